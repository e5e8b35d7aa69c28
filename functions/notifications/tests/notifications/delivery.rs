use std::{collections::HashMap, sync::atomic::Ordering, time::Duration};

use notifications::notification::{CLAIM, Outcome};
use proptest::prelude::*;
use serde_json::{Value, json};
use testing::Fault;

use crate::{
    office::{Behaviour, FUNCTION_TIMEOUT, Office, VISIBILITY, refusal},
    world::{message, world},
};

const HOUR: Duration = Duration::from_secs(3600);

/// An office with a request for each of so many notifications.
async fn office(notifications: usize, behaviours: Vec<Behaviour>) -> Office {
    let world = world().await;
    for chunk in vec![message("Hi"); notifications].chunks(100) {
        assert_eq!(world.batch(chunk).await.body["queued"], chunk.len());
    }
    let mut office = Office::of(world, behaviours);
    office.post(1);
    office.world.database.calls();
    office
}

fn unavailable() -> Behaviour {
    Behaviour::Answers(Outcome::Unavailable(refusal("ServiceUnavailable")))
}

fn throttled() -> Behaviour {
    Behaviour::Answers(Outcome::Throttled(refusal("Throttling")))
}

fn refused() -> Behaviour {
    Behaviour::Answers(Outcome::Refused(refusal("MessageRejected")))
}

fn silent() -> Behaviour {
    Behaviour::Answers(Outcome::Unknown(refusal("NoAnswer")))
}

async fn seen(office: &Office) -> Value {
    office.world.history(7, "").await.body["data"][0].clone()
}

#[tokio::test]
async fn a_delivery_is_two_reads_a_claim_and_a_record_and_is_told() {
    let mut office = office(1, vec![]).await;
    office.run_for(HOUR).await;
    assert_eq!(office.world.database.calls(), ["GetItem", "GetItem", "TransactWriteItems", "TransactWriteItems"]);
    let seen = seen(&office).await;
    let name = format!("message-{}-1", seen["id"]);
    assert_eq!((&seen["status"], &seen["provider_message_id"]), (&json!("SENT"), &json!(name)));
    let told = office.world.events("notification.sent");
    assert_eq!((told.len(), &told[0].data["provider_message_id"]), (1, &json!(name)));
    assert!(!told[0].data.to_string().contains("example.com"));
}

#[tokio::test]
async fn a_request_that_is_delivered_again_and_again_is_sent_once() {
    let mut office = Office::of(office(3, vec![]).await.world, vec![]);
    office.post(4);
    office.run_for(HOUR).await;
    assert_eq!((office.provider.asked(), office.world.events("notification.sent").len()), (3, 3));
    assert!(office.is_idle());
}

#[tokio::test]
async fn two_processes_with_the_same_request_at_the_same_time_send_once() {
    for pauses in [vec![0, 1], vec![2, 0, 1], vec![1, 3, 0, 0, 2]] {
        let office = office(1, vec![]).await;
        office.world.database.interleave(pauses);
        office.race().await;
        assert_eq!((office.provider.asked(), office.statuses()), (1, vec!["SENT".to_owned()]));
    }
}

#[tokio::test]
async fn a_permanent_failure_is_final_with_the_providers_reason() {
    let mut office = office(1, vec![refused()]).await;
    office.run_for(HOUR).await;
    let seen = seen(&office).await;
    assert_eq!([&seen["status"], &seen["failure"], &seen["reason"]], ["FAILED", "refused", "the provider's own words"]);
    assert!(office.dead_letters().is_empty() && office.is_idle());
    let told = office.world.events("notification.failed");
    assert_eq!((told.len(), &told[0].data["code"]), (1, &json!("MessageRejected")));
    assert!(!told[0].data.to_string().contains("own words"));
    let mut again = Office::of(office.world, vec![]);
    again.post(2);
    again.run_for(HOUR).await;
    assert_eq!(again.provider.asked(), 0);
}

#[tokio::test]
async fn a_provider_that_is_away_is_asked_again_with_growing_delays() {
    let mut office = office(1, vec![unavailable(), unavailable(), unavailable()]).await;
    let mut delays = Vec::new();
    for asked in 1..=4 {
        let before = office.now;
        while office.provider.asked() < asked {
            office.run_for(Duration::from_secs(1)).await;
        }
        delays.push(office.now.since(before));
        assert_eq!(office.statuses(), [if asked < 4 { "QUEUED" } else { "SENT" }]);
    }
    assert!(delays.windows(2).all(|pair| pair[0] < pair[1]), "{delays:?}");
    assert_eq!(seen(&office).await["attempts"], 3);
}

#[tokio::test]
async fn what_fails_for_good_is_a_dead_letter_with_its_reason_and_can_be_sent_home() {
    let mut office = office(1, (0..6).map(|_| unavailable()).collect()).await;
    office.run_for(HOUR).await;
    let failed = seen(&office).await;
    assert_eq!([&failed["status"], &failed["failure"]], ["FAILED", "attempts_exhausted"]);
    assert_eq!((office.provider.asked(), office.is_idle()), (6, true));
    assert_eq!(office.world.events("notification.failed").len(), 1);
    let letters = office.dead_letters();
    let records = office.world.database.items(&office.world.platform);
    let record = records.iter().find(|item| item["message_id"]["S"] == letters[0].0).unwrap();
    assert_eq!(record["pk"]["S"], format!("FAILURE#local-notifications-on-requests#{}", letters[0].0));
    assert!(record["reason"]["S"].as_str().unwrap().contains("was not sent: ServiceUnavailable"));
    assert_eq!(office.redrive(), 1);
    office.run_for(HOUR).await;
    let sent = seen(&office).await;
    assert_eq!([&sent["status"], &sent["failure"]], [&json!("SENT"), &Value::Null]);
    assert_eq!(office.world.events("notification.sent").len(), 1);
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_not_asked_again_but_by_an_operators_decision() {
    let mut office = office(1, vec![silent()]).await;
    office.post(1);
    office.run_for(24 * HOUR).await;
    let failed = seen(&office).await;
    assert_eq!([&failed["status"], &failed["failure"]], ["FAILED", "outcome_unknown"]);
    assert_eq!((office.provider.asked(), office.dead_letters().len()), (1, 1));
    // The same letter sent home twice is one decision.
    let (_, body) = office.dead_letters().remove(0);
    office.redrive();
    notifications::queue::DeliveryQueue::dead_letter(&*office.queue, &body).await.unwrap();
    office.redrive();
    office.run_for(HOUR).await;
    assert_eq!((office.provider.asked(), office.statuses()), (2, vec!["SENT".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_between_the_providers_answer_and_its_record_sends_nothing_twice() {
    let mut office = office(2, vec![Behaviour::TakesItAndTheProcessEnds]).await;
    office.run_for(Duration::from_secs(170)).await;
    let mut statuses = office.statuses();
    statuses.sort();
    assert_eq!(statuses, ["SENDING", "SENT"]);
    office.run_for(HOUR).await;
    assert_eq!((office.provider.asked(), office.dead_letters().len(), office.is_idle()), (2, 1, true));
    let lost = office.world.events("notification.failed");
    assert_eq!((&lost[0].data["failure"], &lost[0].data["code"]), (&json!("outcome_unknown"), &json!("ProcessLost")));
    office.redrive();
    office.run_for(HOUR).await;
    assert_eq!((office.provider.asked(), office.statuses()), (3, vec!["SENT".to_owned(); 2]));
}

#[tokio::test(start_paused = true)]
async fn a_record_whose_answer_is_lost_is_found_to_be_written() {
    let mut office = office(1, vec![Behaviour::TakesItAndThen(Fault::AnswerLost)]).await;
    office.run_for(HOUR).await;
    assert_eq!((office.statuses(), office.provider.asked()), (vec!["SENT".to_owned()], 1));
    assert_eq!((office.world.events("notification.sent").len(), office.dead_letters().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_answer_is_lost_is_found_to_be_ones_own() {
    let mut office = office(1, vec![]).await;
    office.world.database.inject(Fault::AnswerLost);
    office.run_for(HOUR).await;
    assert_eq!((office.statuses(), office.provider.asked()), (vec!["SENT".to_owned()], 1));
}

#[tokio::test(start_paused = true)]
async fn a_table_that_is_lost_after_the_provider_was_asked_sends_nothing_twice() {
    let mut office = office(1, vec![Behaviour::TakesItAndThen(Fault::Down)]).await;
    office.run_for(Duration::from_secs(170)).await;
    office.world.database.heal();
    office.run_for(HOUR).await;
    assert_eq!((office.provider.asked(), office.dead_letters().len()), (1, 1));
    assert_eq!(seen(&office).await["failure"], "outcome_unknown");
}

#[tokio::test]
async fn a_table_that_is_away_loses_nothing() {
    let mut office = office(1, vec![]).await;
    office.world.database.inject(Fault::Down);
    office.run_for(Duration::from_secs(200)).await;
    office.world.database.heal();
    office.run_for(HOUR).await;
    assert_eq!((office.provider.asked(), office.statuses()), (1, vec!["SENT".to_owned()]));
    assert!(office.is_idle() && office.dead_letters().is_empty());
}

#[tokio::test]
async fn a_queue_that_does_not_take_a_message_back_loses_nothing() {
    let mut office = office(1, vec![unavailable()]).await;
    office.queue.away.store(true, Ordering::SeqCst);
    office.run_for(Duration::from_secs(60)).await;
    assert_eq!(office.statuses(), ["QUEUED"]);
    office.queue.away.store(false, Ordering::SeqCst);
    office.run_for(HOUR).await;
    assert_eq!((office.provider.asked(), office.statuses()), (2, vec!["SENT".to_owned()]));
}

#[tokio::test]
async fn a_provider_that_throttles_slows_deliveries_down_and_loses_and_doubles_none() {
    let mut office = office(40, (0..15).map(|_| throttled()).collect()).await;
    let started = office.now;
    while office.provider.asked() < 55 {
        office.run_for(Duration::from_secs(1)).await;
        assert!(office.now.since(started) < 24 * HOUR, "{} asked", office.provider.asked());
    }
    assert!(office.now.since(started) > HOUR / 2, "{:?}", office.now.since(started));
    office.run_for(HOUR).await;
    assert_eq!((office.statuses(), office.provider.taken().len()), (vec!["SENT".to_owned(); 40], 40));
    assert_eq!(office.world.events("notification.sent").len(), 40);
    assert!(office.dead_letters().is_empty() && office.is_idle());
}

#[tokio::test]
async fn while_a_provider_is_left_alone_nothing_else_is_sent_to_it() {
    let mut office = office(100, vec![throttled()]).await;
    office.run_for(Duration::ZERO).await;
    assert_eq!(office.provider.asked(), 1);
    office.run_for(HOUR).await;
    assert_eq!((office.provider.asked(), office.statuses()), (101, vec!["SENT".to_owned(); 100]));
}

#[tokio::test]
async fn a_provider_that_throttles_all_day_makes_a_dead_letter_that_can_be_sent_home() {
    let mut office = office(1, (0..400).map(|_| throttled()).collect()).await;
    office.run_for(30 * HOUR).await;
    assert_eq!((seen(&office).await["failure"].as_str(), office.dead_letters().len()), (Some("attempts_exhausted"), 1));
    assert!(office.provider.asked() < 300, "{}", office.provider.asked());
}

#[tokio::test]
async fn what_quiet_hours_hold_back_is_not_sent_even_if_it_is_asked_for() {
    let world = world().await;
    let clock = |minutes: u64| {
        let moment = shared::time::Timestamp::now().plus(Duration::from_secs(minutes * 60));
        moment.to_string()[11..16].to_owned()
    };
    let quiet = json!({"from": clock(61), "until": clock(60), "channels": ["email"]});
    world.prefer(7, &json!({ "quiet_hours": quiet })).await;
    world.sent(&message("Hi")).await;
    let mut office = Office::of(world, vec![]);
    office.world.wake(office.now.plus(HOUR)).await;
    office.post(1);
    office.run_for(Duration::from_secs(58 * 60)).await;
    assert_eq!(office.provider.asked(), 0);
    office.run_for(Duration::from_secs(4 * 60)).await;
    assert_eq!(office.provider.asked(), 1);
}

#[test]
fn a_claim_outlasts_the_function_and_a_message_stays_hidden_until_then() {
    let file = |name: &str| std::fs::read_to_string(format!("{}/../../{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let seconds = |text: &str, after: &str, name: &str| {
        let text = &text[text.find(after).unwrap()..];
        let value = text.split_once(name).unwrap().1.lines().next().unwrap().trim().parse().unwrap();
        Duration::from_secs(value)
    };
    let timeout = seconds(&file("template.yaml"), "  NotificationsOnRequests:", "Timeout:");
    let hidden = seconds(&file("infra/notifications.yaml"), "  RequestsQueue:", "VisibilityTimeout:");
    assert_eq!((timeout, hidden), (FUNCTION_TIMEOUT, VISIBILITY));
    assert!(timeout < CLAIM && CLAIM < hidden);
}

fn behaviours() -> impl Strategy<Value = Behaviour> {
    prop_oneof![
        4 => Just(Behaviour::Answers(Outcome::Sent(String::new()))),
        2 => Just(unavailable()),
        2 => Just(throttled()),
        1 => Just(refused()),
        1 => Just(silent()),
        1 => Just(Behaviour::TakesItAndTheProcessEnds),
        1 => Just(Behaviour::TakesItAndThen(Fault::AnswerLost)),
        1 => Just(Behaviour::TakesItAndThen(Fault::Down)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_goes_wrong_each_notification_is_sent_once_or_waits_for_an_operator(
        behaviours in prop::collection::vec(behaviours(), 0..30), times in 1usize..4, steps in prop::collection::vec(1u64..400, 0..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let world = office(5, vec![]).await.world;
            let mut office = Office::of(world, behaviours);
            office.post(times);
            for step in steps {
                office.run_for(Duration::from_secs(step)).await;
                office.world.database.heal();
            }
            for _ in 0..50 {
                office.run_for(HOUR).await;
                office.world.database.heal();
            }
            prop_assert!(office.is_idle());
            let mut taken: HashMap<(u64, u32), usize> = HashMap::new();
            for name in office.provider.taken() {
                *taken.entry(name).or_default() += 1;
            }
            prop_assert!(taken.values().all(|times| *times == 1), "sent twice: {:?}", taken);
            let letters = office.dead_letters();
            for item in office.world.of_type("notification") {
                let (id, status) = (item["id"]["N"].as_str().unwrap(), item["status"]["S"].as_str().unwrap());
                let refused = item["failure"]["S"] == "refused";
                let dead = letters.iter().any(|(_, body)| body.contains(&format!("\"notification_id\":{id}")));
                prop_assert!(status == "SENT" || refused || dead, "{id} is {status} and lost");
            }
            // Once the trouble is over, sending the letters home delivers all that can be.
            while office.redrive() > 0 {
                office.run_for(HOUR).await;
                office.world.database.heal();
            }
            let ends = office.statuses();
            prop_assert!(ends.iter().all(|status| status == "SENT" || status == "FAILED"), "{ends:?}");
            Ok(())
        })?;
    }
}
