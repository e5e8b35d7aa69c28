//! Days that have not ended are not days on which nothing was sold.

use serde_json::{Value, json};
use shared::time::Timestamp;

use crate::world::{Entry, World, moment, paid, question, with, world_as_of};

const MARCH: &str = "2026-03-16T12:00:00Z";

/// A shop that has sold the same every day of 2026 so far, half of it books, until noon of a day.
async fn steady(now: &str) -> World {
    let world = world_as_of(now);
    let mut entries: Vec<Entry> = Vec::new();
    let mut at = moment("2026-01-01T09:00:00Z");
    while at < moment(now) {
        for category in ["books", "toys"] {
            let number = entries.len() as u64 + 1;
            entries.push(Entry { at, ..paid(number, 7, category, 10_000, now) });
        }
        at = at.plus(std::time::Duration::from_secs(86_400));
    }
    world.tell(&entries).await;
    world
}

fn this_year(metric: &str) -> Value {
    question(metric, "business", "2026-01-01", "2027-01-01")
}

fn component(answer: &Value, name: &str) -> Value {
    let components = answer["data"]["components"].as_array().unwrap();
    components.iter().find(|component| component["name"] == name).unwrap()["score"].clone()
}

#[tokio::test]
async fn a_steady_year_is_as_healthy_in_march_as_at_its_end() {
    let world = steady(MARCH).await;
    for granularity in ["day", "month"] {
        let answer = world.ask_business(&with(&this_year("health_score"), "granularity", granularity)).await;
        let scores = ["trend", "stability", "diversity"].map(|name| component(&answer, name));
        assert_eq!(
            (scores, &answer["data"]["score"]),
            ([100, 100, 100].map(Value::from), &json!(100)),
            "{granularity}"
        );
        assert_eq!((&answer["to"], &answer["judged_to"]), (&json!("2027-01-01"), &json!("2026-03-16")));
    }
}

#[tokio::test]
async fn a_steady_year_has_no_anomalies_in_march_and_a_day_without_sales_is_one() {
    let world = steady(MARCH).await;
    let answer = world.ask_business(&this_year("anomalies")).await;
    // Of two categories, the days from the first of January to the fifteenth of March.
    assert_eq!((&answer["data"]["anomalies"], &answer["data"]["judged"]), (&json!([]), &json!(2 * 74)));
    let world = world.at(moment("2026-03-18T00:00:00Z"));
    let answer = world.ask_business(&this_year("anomalies")).await;
    let found = answer["data"]["anomalies"].as_array().unwrap();
    let dates: Vec<_> = found.iter().map(|anomaly| (&anomaly["date"], &anomaly["direction"])).collect();
    assert_eq!(dates, [(&json!("2026-03-17"), &json!("low")); 2]);
}

#[tokio::test]
async fn a_kept_answer_is_given_until_midnight_where_it_was_asked() {
    let world = steady(MARCH).await;
    let at = |world: World, text: &str| world.at(moment(text));
    for metric in ["health_score", "anomalies"] {
        let berlin = with(&this_year(metric), "time_zone", "Europe/Berlin");
        let world = steady(MARCH).await;
        assert_eq!(world.ask_business(&berlin).await["cached"], false);
        let world = at(world, "2026-03-16T22:59:59Z");
        assert_eq!(world.ask_business(&berlin).await["cached"], true);
        let world = at(world, "2026-03-16T23:00:00Z");
        let answer = world.ask_business(&berlin).await;
        assert_eq!((&answer["cached"], &answer["judged_to"]), (&json!(false), &json!("2026-03-17")));
    }
    // What is no judgement does not change at midnight.
    world.ask_business(&this_year("cash_flow")).await;
    let world = at(world, "2026-03-17T12:00:00Z");
    assert_eq!(world.ask_business(&this_year("cash_flow")).await["cached"], true);
}

#[tokio::test]
async fn a_range_that_is_still_to_come_is_one_in_which_nothing_happened() {
    let world = steady(MARCH).await;
    let ask = |metric| question(metric, "business", "2026-03-16", "2026-05-01");
    let health = world.ask_business(&ask("health_score")).await;
    assert_eq!((&health["data"]["score"], &health["judged_to"]), (&json!(0), &json!("2026-03-16")));
    assert_eq!(world.ask_business(&ask("anomalies")).await["data"]["judged"], 0);
    let now = world
        .at(Timestamp::now())
        .ask_business(&question("health_score", "business", "2026-01-01", "2026-02-01"))
        .await;
    assert_eq!(now["judged_to"], "2026-02-01");
}
