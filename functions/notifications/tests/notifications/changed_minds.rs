//! What a user says after something was queued for them, and before it is sent.

use std::time::Duration;

use notifications::notification::{Outcome, Refusal};
use serde_json::{Value, json};
use shared::{
    event::{Role, UserDeleted, UserUpdated},
    time::Timestamp,
};

use crate::{
    office::{Behaviour, Office},
    world::{World, id, message, world},
};

const HOUR: Duration = Duration::from_secs(3600);

/// An office with one e-mail to the customer 7 in its queue.
async fn queued(message: &Value, behaviours: Vec<Behaviour>) -> Office {
    let world = world().await;
    assert!(world.sent(message).await.status.is_success());
    let mut office = Office::of(world, behaviours);
    office.post(1);
    office
}

fn email() -> Value {
    message("Hi")
}

fn urgent() -> Value {
    let mut message = email();
    message["urgent"] = true.into();
    message
}

fn away() -> Behaviour {
    Behaviour::Answers(Outcome::Unavailable(Refusal::new("ServiceUnavailable", "later")))
}

fn silent() -> Behaviour {
    Behaviour::Answers(Outcome::Unknown(Refusal::new("NoAnswer", "nothing")))
}

/// Quiet hours from now on, for so many minutes.
async fn rest(world: &World, minutes: u64) {
    let clock = |moment: Timestamp| moment.to_string()[11..16].to_owned();
    let (from, until) = (Timestamp::now(), Timestamp::now().plus(Duration::from_secs(minutes * 60)));
    let quiet = json!({"from": clock(from), "until": clock(until), "channels": ["email"]});
    assert!(world.prefer(7, &json!({ "quiet_hours": quiet })).await.status.is_success());
}

/// That the notification was given up before the provider was asked any more, for this reason, and
/// leaves nothing to do.
async fn assert_given_up(office: &Office, asked: usize, failure: &str, code: &str) {
    let seen =
        office.world.get(&json!({"id": office.stored("id")[0]["N"].as_str().unwrap().parse::<u64>().unwrap()})).await;
    assert_eq!(
        (office.provider.asked(), &seen["status"], &seen["failure"]),
        (asked, &json!("FAILED"), &json!(failure))
    );
    let told = office.world.events("notification.failed");
    assert_eq!(
        (&told.last().unwrap().data["failure"], &told.last().unwrap().data["code"]),
        (&json!(failure), &json!(code))
    );
    assert!(office.is_idle() && office.dead_letters().is_empty());
}

#[tokio::test]
async fn who_opts_out_before_it_is_sent_is_not_told() {
    for opt_out in [json!([{"channel": "email"}]), json!([{"channel": "email", "category": "general"}])] {
        let mut office = queued(&urgent(), vec![]).await;
        office.world.prefer(7, &json!({ "opt_out": opt_out })).await;
        office.run_for(HOUR).await;
        assert_given_up(&office, 0, "opted_out", "OptedOut").await;
    }
}

#[tokio::test]
async fn who_opts_out_between_two_attempts_is_not_told() {
    let mut office = queued(&email(), vec![away()]).await;
    office.run_for(Duration::from_secs(1)).await;
    office.world.prefer(7, &json!({"opt_out": [{"channel": "email"}]})).await;
    office.run_for(HOUR).await;
    assert_given_up(&office, 1, "opted_out", "OptedOut").await;
}

#[tokio::test]
async fn who_deletes_their_account_before_it_is_sent_is_not_told() {
    let mut office = queued(&email(), vec![]).await;
    office.world.hear(&UserDeleted { user_id: id(7), version: 2, by: None }).await;
    office.run_for(HOUR).await;
    assert_given_up(&office, 0, "unreachable", "UserGone").await;
}

#[tokio::test]
async fn a_number_that_was_taken_back_is_not_used() {
    let world = world().await;
    world.prefer(7, &json!({"phone": "+41446681800"})).await;
    let mut by_sms = email();
    by_sms["channel"] = "sms".into();
    assert!(world.sent(&by_sms).await.status.is_success());
    let mut office = Office::of(world, vec![]);
    office.post(1);
    office.world.prefer(7, &json!({"phone": null})).await;
    office.run_for(HOUR).await;
    assert_given_up(&office, 0, "unreachable", "NoAddress").await;
}

#[tokio::test]
async fn a_letter_sent_home_after_the_user_opted_out_is_not_sent() {
    let mut office = queued(&email(), vec![silent()]).await;
    office.run_for(HOUR).await;
    office.world.prefer(7, &json!({"opt_out": [{"channel": "email"}]})).await;
    assert_eq!(office.redrive(), 1);
    office.run_for(HOUR).await;
    assert_given_up(&office, 1, "opted_out", "OptedOut").await;
}

#[tokio::test]
async fn what_is_sent_goes_to_the_address_that_is_the_users_then() {
    let mut office = queued(&email(), vec![away()]).await;
    office.run_for(Duration::from_secs(1)).await;
    let (name, role) = ("Anna".into(), Role::Customer);
    let moved = UserUpdated { user_id: id(7), name, email: "anna@new.example".into(), role, version: 2, by: None };
    office.world.hear(&moved).await;
    office.run_for(HOUR).await;
    assert_eq!(office.provider.addresses(), ["anna@example.com", "anna@new.example"]);
    assert_eq!(office.stored("to")[0]["S"], "anna@new.example");
}

#[tokio::test]
async fn what_is_queued_when_quiet_hours_begin_waits_for_their_end() {
    let mut office = queued(&email(), vec![]).await;
    rest(&office.world, 120).await;
    office.run_for(HOUR).await;
    assert_eq!((office.provider.asked(), office.statuses(), office.is_idle()), (0, vec!["QUEUED".to_owned()], true));
    assert_eq!(office.world.wake(office.now).await, 0);
    office.run_for(HOUR).await;
    assert_eq!(office.world.wake(office.now).await, 1);
    office.post(1);
    office.run_for(HOUR).await;
    assert_eq!((office.provider.asked(), office.statuses()), (1, vec!["SENT".to_owned()]));
}

#[tokio::test]
async fn what_is_urgent_is_sent_though_quiet_hours_began() {
    let mut office = queued(&urgent(), vec![]).await;
    rest(&office.world, 120).await;
    office.run_for(HOUR).await;
    assert_eq!((office.provider.asked(), office.statuses()), (1, vec!["SENT".to_owned()]));
}

#[tokio::test]
async fn a_letter_sent_home_in_quiet_hours_waits_and_is_then_one_more_series() {
    let mut office = queued(&email(), vec![silent()]).await;
    office.run_for(Duration::from_secs(1)).await;
    rest(&office.world, 60).await;
    office.redrive();
    office.run_for(HOUR + HOUR / 60).await;
    assert_eq!((office.provider.asked(), office.statuses()), (1, vec!["QUEUED".to_owned()]));
    office.world.wake(office.now).await;
    office.post(1);
    office.run_for(HOUR).await;
    assert_eq!((office.provider.asked(), office.statuses()), (2, vec!["SENT".to_owned()]));
}
