use std::time::Duration;

use analytics::answer::Analytics;
use serde_json::{Value, json};
use testing::{Api, Fault};

use crate::world::{PATH, World, answered, paid, question, with, world};

fn flow(scope: &str) -> Value {
    question("cash_flow", scope, "2026-01-01", "2026-02-01")
}

const AT: &str = "2026-01-10T09:00:00Z";

async fn told() -> World {
    let world = world();
    world.tell(&[paid(1, 7, "books", 1_000, AT)]).await;
    world.database.calls();
    world
}

#[tokio::test]
async fn an_answer_is_given_again_without_reading_the_figures() {
    let world = told().await;
    let first = world.ask(&flow("user")).await;
    assert_eq!(world.database.calls(), ["GetItem", "GetItem", "GetItem", "Query", "UpdateItem", "TransactWriteItems"]);
    let again = world.ask(&flow("user")).await;
    assert_eq!(world.database.calls(), ["GetItem", "GetItem", "GetItem", "UpdateItem"]);
    assert_eq!((&first["cached"], &again["cached"]), (&json!(false), &json!(true)));
    assert_eq!(with(&again, "cached", false), first);
}

#[tokio::test]
async fn the_businesss_answer_is_kept_for_the_sum_of_its_shards() {
    let world = told().await;
    world.ask_business(&flow("business")).await;
    let mut calls = world.database.calls();
    calls.sort();
    let expected = ["BatchGetItem", "GetItem", "GetItem"]
        .into_iter()
        .chain(["Query"; 8])
        .chain(["TransactWriteItems", "UpdateItem"]);
    assert_eq!(calls, expected.collect::<Vec<_>>());
    assert_eq!(world.ask_business(&flow("business")).await["cached"], true);
}

#[tokio::test]
async fn an_answer_is_never_older_than_the_last_event_applied() {
    let world = told().await;
    for payment in 2..30 {
        for scope in ["user", "business"] {
            let ask = with(&flow(scope), "time_zone", "Europe/Berlin");
            let payments = if scope == "user" { world.ask(&ask).await } else { world.ask_business(&ask).await };
            assert_eq!(payments["data"]["payments"], payment - 1);
            assert_eq!(payments["cached"], false);
        }
        world.tell(&[paid(payment, 7, "books", 1_000, AT)]).await;
    }
    // What concerns another user leaves a user's own answers as they are.
    world.ask(&flow("user")).await;
    world.tell(&[paid(30, 8, "books", 1_000, AT)]).await;
    assert_eq!(world.ask(&flow("user")).await["cached"], true);
    assert_eq!(world.ask_business(&flow("business")).await["data"]["payments"], 30);
}

#[tokio::test]
async fn an_answer_made_while_figures_change_is_not_kept() {
    let world = told().await;
    let analytics = Analytics::new(world.table.clone()).settled_after(Duration::from_secs(60));
    let api = Api::new(analytics::http::query::router(analytics)).customer(7);
    for _ in 0..2 {
        assert_eq!(answered(api.post(PATH, &flow("user")).await)["cached"], false);
    }
    assert_eq!((world.of_type("answer").len(), world.of_type("part_version").len()), (0, 2));
}

#[tokio::test]
async fn every_part_of_a_question_makes_it_another() {
    let world = told().await;
    let ask = flow("user");
    let others = [
        ask.clone(),
        with(&ask, "metric", "spending_trends"),
        with(&ask, "from", "2026-01-02"),
        with(&ask, "to", "2026-02-02"),
        with(&ask, "granularity", "month"),
        with(&ask, "category", "books"),
        with(&ask, "time_zone", "Europe/Berlin"),
        with(&ask, "user_id", 8),
        with(&ask, "scope", "business"),
    ];
    for question in &others {
        assert_eq!(world.ask_business(question).await["cached"], false, "{question}");
    }
    for question in &others {
        assert_eq!(world.ask_business(question).await["cached"], true, "{question}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_kept_is_given_all_the_same() {
    let world = told().await;
    world.database.inject(Fault::AnswerLost);
    assert_eq!(world.ask(&flow("user")).await["data"]["payments"], 1);
}
