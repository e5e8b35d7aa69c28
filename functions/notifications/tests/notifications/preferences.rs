use axum::http::StatusCode;
use notifications::http;
use serde_json::{Value, json};
use shared::event::{Role, UserDeleted};
use testing::{Answer, Api};

use crate::world::{World, created, deserted, id, world};

const PATH: &str = "/api/notifications/preferences/7";

async fn preferences(world: &World) -> Answer {
    Api::new(http::get_preferences::router(world.table.clone())).customer(7).get(PATH).await
}

#[tokio::test]
async fn preferences_are_as_they_were_put_and_before_that_e_mail_in_english() {
    let world = world().await;
    let before = preferences(&world).await;
    assert_eq!(world.database.calls(), ["GetItem"]);
    assert_eq!(
        (before.status, &before.body["language"], &before.body["channels"]),
        (StatusCode::OK, &json!("en"), &json!(["email"]))
    );
    let wanted = json!({
        "language": "de", "time_zone": "Europe/Zurich", "phone": "+41446681800",
        "push_endpoint": "arn:aws:sns:eu-central-1:123456789012:endpoint/GCM/quayside/5e3e9847-3183-3f18-a7e8-671c3a57d4b3",
        "channels": ["email", "push"], "opt_out": [{"channel": "sms"}, {"channel": "email", "category": "orders"}],
        "quiet_hours": {"from": "22:00", "until": "07:00", "channels": ["sms", "push"]},
    });
    assert_eq!(world.prefer(7, &wanted).await.status, StatusCode::OK);
    assert_eq!(world.database.calls(), ["GetItem", "TransactWriteItems"]);
    assert_eq!(preferences(&world).await.body, wanted);
    world.prefer(7, &json!({})).await;
    assert_eq!(preferences(&world).await.body, before.body);
}

#[tokio::test]
async fn preferences_that_make_no_sense_are_refused_with_a_pointer() {
    let world = world().await;
    let cases: [(Value, &str); 16] = [
        (json!({"language": "xx"}), "/language"),
        (json!({"time_zone": "Mars/Olympus"}), "/time_zone"),
        (json!({"phone": "0446681800"}), "/phone"),
        (json!({"phone": "+0446681800"}), "/phone"),
        (json!({"phone": "+4144668180x"}), "/phone"),
        (json!({"phone": "+"}), "/phone"),
        (json!({"push_endpoint": "arn:aws:sns:eu-central-1:123456789012:app/GCM/quayside"}), "/push_endpoint"),
        (json!({"push_endpoint": "arn:aws:sns:eu-central-1:123456789012:some-topic"}), "/push_endpoint"),
        (json!({"push_endpoint": "https://example.com"}), "/push_endpoint"),
        (json!({"channels": ["fax"]}), "/channels/0"),
        (json!({"opt_out": [{"channel": "email", "category": "nope"}]}), "/opt_out/0/category"),
        (json!({"opt_out": vec![json!({"channel": "sms"}); 51]}), "/opt_out"),
        (json!({"quiet_hours": {"from": "25:00", "until": "07:00"}}), "/quiet_hours/from"),
        (json!({"quiet_hours": {"from": "7:00", "until": "08:00"}}), "/quiet_hours/from"),
        (json!({"quiet_hours": {"from": "07:00", "until": "07:00"}}), "/quiet_hours/until"),
        (json!({"email": "eve@example.com"}), "/email"),
    ];
    for (body, pointer) in cases {
        let answer = world.prefer(7, &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", answer.body);
        assert!(answer.pointers().contains(&pointer), "{body}: {}", answer.body);
    }
}

#[tokio::test]
async fn preferences_are_ones_own() {
    let world = world().await;
    let set = Api::new(http::set_preferences::router(world.table.clone()));
    assert_eq!(set.customer(8).put(PATH, &json!({})).await.status, StatusCode::NOT_FOUND);
    assert_eq!(set.put(PATH, &json!({})).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(set.admin().put(PATH, &json!({})).await.status, StatusCode::OK);
    let get = Api::new(http::get_preferences::router(world.table.clone()));
    assert_eq!(get.customer(8).get(PATH).await.status, StatusCode::NOT_FOUND);
    assert_eq!(get.get(PATH).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn preferences_may_be_put_before_the_profile_is_heard_of_and_not_after_it_is_gone() {
    let world = deserted();
    assert_eq!(world.prefer(7, &json!({"language": "de", "phone": "+41446681800"})).await.status, StatusCode::OK);
    world.hear(&created(7, "Anna", Role::Customer, 1)).await;
    assert_eq!(preferences(&world).await.body["language"], "de");
    world.hear(&UserDeleted { user_id: id(7), version: 2, by: None }).await;
    assert_eq!(preferences(&world).await.body["phone"], Value::Null);
    assert_eq!(world.prefer(7, &json!({})).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn preferences_and_a_new_profile_at_the_same_time_are_both_kept() {
    let world = world().await;
    world.database.interleave(vec![1, 0, 2, 1, 3]);
    let wanted = json!({"language": "de"});
    let newer = created(7, "Anne", Role::Customer, 2);
    futures::join!(world.prefer(7, &wanted), world.hear(&newer));
    world.database.interleave(vec![]);
    let stored = &world.of_type("recipient")[0];
    assert_eq!(
        (&stored["profile"]["M"]["name"]["S"], &stored["preferences"]["M"]["language"]["S"]),
        (&json!("Anne"), &json!("de"))
    );
}
