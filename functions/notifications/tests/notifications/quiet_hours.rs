use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::{
    table::{Key, Transaction, Update},
    time::Timestamp,
};

use crate::world::{World, message, world};

/// A customer for whom it is quiet on every channel, all day but for a minute that is not now.
async fn resting() -> World {
    let world = world().await;
    let clock = |minutes: u64| Timestamp::now().plus(Duration::from_secs(minutes * 60)).to_string()[11..16].to_owned();
    let quiet = json!({"from": clock(11), "until": clock(10), "channels": ["email", "sms", "push"]});
    assert!(world.prefer(7, &json!({"quiet_hours": quiet})).await.status.is_success());
    world
}

fn moment(value: &Value) -> Timestamp {
    serde_json::from_value(value.clone()).unwrap()
}

#[tokio::test]
async fn what_can_wait_waits_for_the_end_of_quiet_hours_and_is_asked_for_once() {
    let world = resting().await;
    let sent = world.sent(&message("Hi")).await.body;
    let due_at = moment(&sent["due_at"]);
    let wait = due_at.since(Timestamp::now());
    assert!(wait > Duration::from_secs(8 * 60) && wait <= Duration::from_secs(10 * 60), "{wait:?}");
    assert!(world.events("notification.requested").is_empty());
    assert_eq!(world.wake(due_at.minus(Duration::from_millis(1))).await, 0);
    assert_eq!(world.wake(due_at).await, 1);
    assert_eq!(world.wake(due_at.plus(Duration::from_secs(60))).await, 0);
    assert_eq!(world.events("notification.requested")[0].data["notification_id"], sent["id"]);
    assert_eq!(world.events("notification.requested").len(), 1);
}

#[tokio::test]
async fn what_is_urgent_does_not_wait() {
    let world = resting().await;
    let mut urgent = message("Fire");
    urgent["urgent"] = true.into();
    world.sent(&urgent).await;
    assert_eq!(world.events("notification.requested").len(), 1);
}

#[tokio::test]
async fn what_cannot_be_read_does_not_keep_the_others_asleep() {
    let world = resting().await;
    let sent = world.sent(&message("Hi")).await.body;
    world.sent(&message("Ho")).await;
    let key = Key::new(format!("NOTIFICATION#{}", sent["id"]), "NOTIFICATION");
    let spoilt = Update::existing("spoilt", key).set("status", AttributeValue::S("MUDDLED".into()));
    world.table.commit(Transaction::new().update(spoilt)).await.unwrap();
    assert_eq!(world.wake(Timestamp::now().plus(Duration::from_secs(3600))).await, 1);
}

#[tokio::test]
async fn two_wakers_at_once_ask_once() {
    let world = resting().await;
    for number in 0..5 {
        world.sent(&message(&number.to_string())).await;
    }
    world.database.interleave(vec![1, 0, 3, 2]);
    let later = Timestamp::now().plus(Duration::from_secs(3600));
    let (one, other) = futures::join!(world.wake(later), world.wake(later));
    assert_eq!((one + other, world.events("notification.requested").len()), (5, 5));
}
