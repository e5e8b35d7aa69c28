use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use shared::{
    consumer::Outcome,
    event::{
        AlertKind, Envelope, OrderConfirmed, Payload, PaymentFailed, PaymentRefunded, RefundReason, Role,
        SensorAlertRaised, UserDeleted, UserRegistered, UserUpdated,
    },
    id::Id,
    money::Money,
    time::Timestamp,
};
use testing::Fault;

use crate::world::{World, address, aged, created, deserted, id, world};

fn confirmed(order: u64) -> OrderConfirmed {
    let total = Money::from_minor_units(299_997).unwrap();
    OrderConfirmed { order_id: id(order), user_id: id(7), product_id: id(2), quantity: 3, total }
}

fn declined(payment: u64) -> PaymentFailed {
    let amount = Money::from_minor_units(299_997).unwrap();
    PaymentFailed { payment_id: id(payment), order_id: id(42), user_id: id(7), amount, reason: "card_declined".into() }
}

fn refunded(payment: u64) -> PaymentRefunded {
    let amount = Money::from_minor_units(299_997).unwrap();
    let (category, reason) = (None, RefundReason::Requested);
    PaymentRefunded { payment_id: id(payment), order_id: id(42), user_id: id(7), amount, category, reason }
}

fn alert(alert: u64) -> SensorAlertRaised {
    SensorAlertRaised {
        alert_id: id(alert),
        sensor_type: "temperature".into(),
        device_id: "boiler-1".into(),
        reading_id: id(5),
        kind: AlertKind::Above,
        value: 84.5,
        threshold: 80.0,
        unit: "°C".into(),
        recorded_at: Timestamp::now(),
    }
}

fn registered(user: u64, name: &str) -> UserRegistered {
    let (username, email) = (name.to_lowercase(), address(name));
    UserRegistered { user_id: id(user), username, email, name: name.into(), role: Role::Customer }
}

fn event<P: Payload>(payload: &P) -> Envelope {
    Envelope::new(payload).unwrap()
}

async fn subjects(world: &World, user: u64) -> Vec<Value> {
    let page = world.history(user, "?limit=100").await.body;
    page["data"].as_array().unwrap().iter().map(|seen| seen["subject"].clone()).collect()
}

#[tokio::test]
async fn orders_and_payments_are_told_to_their_user_once_whatever_is_redelivered() {
    let world = world().await;
    let events = [event(&confirmed(42)), event(&declined(5)), event(&refunded(6))];
    for event in &events {
        assert_eq!(world.occur(event.clone()).await.unwrap(), Outcome::Handled);
    }
    for event in events.iter().rev() {
        assert_eq!(world.occur(event.clone()).await.unwrap(), Outcome::Duplicate);
    }
    // Another event of the same thing.
    assert_eq!(world.occur(event(&confirmed(42))).await.unwrap(), Outcome::Handled);
    let mut told = subjects(&world, 7).await;
    told.sort_by_key(Value::to_string);
    assert_eq!(
        told,
        ["The payment for your order 42 failed", "Your order 42 is confirmed", "Your payment for order 42 is refunded"]
    );
    assert_eq!(world.events("notification.requested").len(), 3);
}

#[tokio::test]
async fn an_occasion_is_one_read_and_one_transaction_and_names_its_cause() {
    let world = world().await;
    let order = event(&confirmed(42));
    world.occur(order.clone()).await.unwrap();
    assert_eq!(world.database.calls(), ["GetItem", "TransactWriteItems"]);
    let requested = world.events("notification.requested").remove(0);
    assert_eq!((requested.causation_id, requested.correlation_id), (Some(order.id), order.correlation_id));
}

#[tokio::test]
async fn a_new_user_is_welcomed_once_whichever_event_comes_first_and_however_often() {
    let news = || [event(&registered(9, "Cleo")), event(&created(9, "Cleo", Role::Customer, 1))];
    for order in [[0, 1], [1, 0]] {
        let (world, news) = (deserted(), news());
        for index in order.into_iter().chain(order) {
            world.deliver(news[index].clone()).await.unwrap();
        }
        assert_eq!(subjects(&world, 9).await, ["Welcome, Cleo"]);
        assert_eq!(world.events("notification.requested").len(), 1);
    }
}

#[tokio::test]
async fn a_user_is_welcomed_by_their_newest_name_even_if_that_came_first() {
    let world = deserted();
    let renamed = UserUpdated {
        user_id: id(9),
        name: "Cleopatra".into(),
        email: address("Cleo"),
        role: Role::Customer,
        version: 2,
        by: None,
    };
    world.hear(&renamed).await;
    assert!(subjects(&world, 9).await.is_empty());
    world.hear(&created(9, "Cleo", Role::Customer, 1)).await;
    assert_eq!(subjects(&world, 9).await, ["Welcome, Cleopatra"]);
}

#[tokio::test]
async fn a_user_who_is_gone_is_neither_welcomed_nor_told_of_orders() {
    let world = deserted();
    world.hear(&UserDeleted { user_id: id(7), version: 2, by: None }).await;
    world.hear(&registered(7, "Anna")).await;
    world.hear(&created(7, "Anna", Role::Customer, 1)).await;
    assert_eq!(world.occur(event(&confirmed(42))).await.unwrap(), Outcome::Handled);
    assert!(world.of_type("notification").is_empty());
}

#[tokio::test]
async fn an_order_that_overtakes_its_users_profile_comes_again() {
    let world = deserted();
    let order = event(&confirmed(42));
    let error = world.occur(order.clone()).await.unwrap_err();
    assert!(error.to_string().contains("not heard of yet"), "{error}");
    world.prefer(7, &json!({"language": "de"})).await;
    assert!(world.occur(order.clone()).await.is_err());
    world.hear(&created(7, "Anna", Role::Customer, 1)).await;
    world.occur(order).await.unwrap();
    assert!(subjects(&world, 7).await.contains(&json!("Ihre Bestellung 42 ist bestätigt")));
}

#[tokio::test]
async fn old_news_is_not_told_when_a_log_is_replayed() {
    let world = world().await;
    let old = |event| aged(event, 4 * 24 * 3600);
    assert_eq!(world.occur(old(event(&confirmed(42)))).await.unwrap(), Outcome::Handled);
    world.deliver(old(event(&created(8, "Ben", Role::Customer, 1)))).await.unwrap();
    assert!(world.of_type("notification").is_empty());
    assert_eq!(world.of_type("recipient").len(), 2);
}

#[tokio::test]
async fn events_are_told_on_the_channels_that_the_user_wants_them_on() {
    let world = world().await;
    let wanted = json!({"phone": "+41446681800", "channels": ["sms", "email", "push"],
        "opt_out": [{"channel": "email", "category": "payments"}]});
    world.prefer(7, &wanted).await;
    world.occur(event(&confirmed(42))).await.unwrap();
    world.occur(event(&declined(5))).await.unwrap();
    let history = world.history(7, "").await.body;
    let mut told: Vec<(&str, &str)> = history["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|seen| (seen["template"].as_str().unwrap(), seen["channel"].as_str().unwrap()))
        .collect();
    told.sort();
    assert_eq!(told, [("order-confirmed", "email"), ("order-confirmed", "sms"), ("payment-failed", "sms")]);
    world.prefer(7, &json!({"channels": []})).await;
    world.occur(event(&refunded(6))).await.unwrap();
    assert_eq!(world.of_type("notification").len(), 3);
}

#[tokio::test]
async fn an_alert_is_told_to_every_admin_once_even_if_telling_was_cut_off() {
    let world = world().await;
    for admin in 1000..1105 {
        world.know(admin, &format!("Root{admin}"), Role::Admin).await;
    }
    let raised = event(&alert(77));
    world.database.inject(Fault::AnswerLost);
    assert!(world.occur(raised.clone()).await.is_err());
    assert_eq!(world.of_type("notification").len(), 1);
    assert_eq!(world.occur(raised.clone()).await.unwrap(), Outcome::Handled);
    assert_eq!(world.occur(raised).await.unwrap(), Outcome::Duplicate);
    world.occur(event(&alert(77))).await.unwrap();
    let mut told: HashMap<String, usize> = HashMap::new();
    for item in world.of_type("notification") {
        *told.entry(item["user_id"]["N"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert!(told.len() == 105 && told.values().all(|times| *times == 1), "{told:?}");
    assert_eq!(world.events("notification.requested").len(), 105);
}

#[tokio::test]
async fn an_alert_that_nobody_is_there_to_be_told_of_waits() {
    let world = world().await;
    let raised = event(&alert(77));
    assert!(world.occur(raised.clone()).await.is_err());
    world.know(1, "Root", Role::Admin).await;
    world.occur(raised).await.unwrap();
    assert_eq!(subjects(&world, 1).await, ["Alert: temperature of boiler-1"]);
}

#[tokio::test]
async fn an_alert_does_not_wait_for_the_end_of_quiet_hours() {
    let world = world().await;
    world.know(1, "Root", Role::Admin).await;
    let clock = |minutes: u64| {
        Timestamp::now().plus(std::time::Duration::from_secs(minutes * 60)).to_string()[11..16].to_owned()
    };
    let quiet = json!({"quiet_hours": {"from": clock(11), "until": clock(10), "channels": ["email"]}});
    world.prefer(1, &quiet).await;
    world.prefer(7, &quiet).await;
    world.occur(event(&alert(77))).await.unwrap();
    world.occur(event(&confirmed(42))).await.unwrap();
    let requested = world.events("notification.requested");
    assert_eq!((requested.len(), &requested[0].data["user_id"]), (1, &json!(1)));
}

#[tokio::test]
async fn an_event_that_is_not_what_it_says_is_not_swallowed() {
    let world = world().await;
    let mut order = event(&confirmed(42));
    order.data = json!({"order_id": 42});
    assert!(world.occur(order).await.is_err());
    let mut declined = event(&declined(5));
    declined.data["reason"] = json!("two\nlines");
    assert!(world.occur(declined).await.unwrap_err().to_string().contains("/params/reason"));
    assert!(world.of_type("inbox").iter().all(|item| item["consumer"]["S"] != "domain-events"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_is_delivered_how_often_and_in_which_order_each_occasion_is_told_once(
        deliveries in prop::collection::vec((0usize..6, any::<bool>()), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let world = deserted();
            let events = [
                event(&confirmed(42)), event(&confirmed(43)), event(&declined(5)), event(&refunded(5)),
                event(&registered(7, "Anna")), event(&created(7, "Anna", Role::Customer, 1)),
            ];
            let every: Vec<(usize, bool)> = (0..6).rev().map(|index| (index, false)).collect();
            for (index, lost) in deliveries.into_iter().chain(every) {
                if lost {
                    world.database.inject(Fault::AnswerLost);
                }
                // What fails comes again, here by the round at the end.
                let delivered = if index < 4 {
                    world.occur(events[index].clone()).await
                } else {
                    world.deliver(events[index].clone()).await
                };
                prop_assert!(lost || delivered.is_ok() || world.of_type("recipient").is_empty());
                world.database.heal();
            }
            let told = subjects(&world, 7).await;
            prop_assert_eq!(told.len(), 5, "{:?}", told);
            prop_assert_eq!(world.events("notification.requested").len(), 5);
            let ids: Vec<Id> = world.events("notification.requested").iter().map(|event| event.aggregate_id).collect();
            prop_assert!(ids.iter().collect::<std::collections::HashSet<_>>().len() == 5);
            Ok(())
        })?;
    }
}
