use proptest::prelude::*;
use serde_json::{Value, json};
use shared::{
    consumer::Outcome,
    event::{Envelope, Role, UserDeleted, UserRegistered, UserUpdated},
};
use testing::Fault;

use crate::world::{address, created, deserted, id, message, world};

fn registered(name: &str) -> UserRegistered {
    let (username, email) = (name.to_lowercase(), address(name));
    UserRegistered { user_id: id(7), username, email, name: name.into(), role: Role::Customer }
}

fn updated(name: &str, version: u64) -> UserUpdated {
    UserUpdated { user_id: id(7), name: name.into(), email: address(name), role: Role::Customer, version, by: None }
}

#[tokio::test]
async fn news_that_comes_twice_is_heard_once() {
    let world = deserted();
    let event = Envelope::new(&created(7, "Anna", Role::Customer, 1)).unwrap();
    assert_eq!(world.deliver(event.clone()).await.unwrap(), Outcome::Handled);
    let before = world.database.items(&world.table);
    assert_eq!(world.deliver(event).await.unwrap(), Outcome::Duplicate);
    assert_eq!(world.database.items(&world.table), before);
}

#[tokio::test]
async fn news_whose_handling_was_cut_off_is_heard_when_it_comes_again() {
    let world = deserted();
    let event = Envelope::new(&created(7, "Anna", Role::Customer, 1)).unwrap();
    world.database.inject(Fault::Down);
    assert!(world.deliver(event.clone()).await.is_err());
    world.database.heal();
    world.database.inject(Fault::AnswerLost);
    assert!(world.deliver(event.clone()).await.is_err());
    assert_eq!(world.deliver(event).await.unwrap(), Outcome::Duplicate);
    assert_eq!(world.of_type("recipient").len(), 1);
}

#[tokio::test]
async fn a_deleted_user_is_told_nothing_more_and_nothing_personal_is_kept_of_them() {
    let world = world().await;
    world.prefer(7, &json!({"phone": "+41446681800"})).await;
    world.hear(&UserDeleted { user_id: id(7), version: 2, by: None }).await;
    assert_eq!(world.sent(&message("Hi")).await.pointers(), ["/user_id"]);
    let kept = world.of_type("recipient")[0].to_string();
    assert!(!kept.contains("Anna") && !kept.contains("anna@") && !kept.contains("+4144"), "{kept}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_the_order_of_the_news_the_newest_is_known(order in Just((0usize..4).collect::<Vec<_>>()).prop_shuffle(), twice in 0usize..4) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = deserted();
            let news = [
                Envelope::new(&registered("Ann")).unwrap(),
                Envelope::new(&created(7, "Anna", Role::Customer, 1)).unwrap(),
                Envelope::new(&updated("Anne", 2)).unwrap(),
                Envelope::new(&UserUpdated { role: Role::Admin, ..updated("Annette", 3) }).unwrap(),
            ];
            for index in order.iter().chain([&twice]) {
                world.deliver(news[*index].clone()).await.unwrap();
            }
            let stored: &Value = &world.of_type("recipient")[0];
            prop_assert_eq!(&stored["profile"]["M"]["email"]["S"], "annette@example.com");
            prop_assert_eq!(&stored["gsi1pk"]["S"], "ADMINS");
            world.deliver(Envelope::new(&UserDeleted { user_id: id(7), version: 4, by: None }).unwrap()).await.unwrap();
            world.deliver(news[3].clone()).await.unwrap();
            prop_assert!(world.of_type("recipient")[0].get("gsi1pk").is_none());
            Ok(())
        })?;
    }
}
