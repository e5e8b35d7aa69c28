//! The events service's client of queues against the emulator: the queues, the rule and the bus are made
//! for the test and removed after it.

#![allow(clippy::unwrap_used)]

use std::{collections::HashMap, time::Duration};

use aws_sdk_sqs::types::QueueAttributeName;
use e2e::emulator::Feature;
use events::{
    dead_letters::{Method, redrive_all, redrive_one},
    queues::{Depth, NativeRedrive, Queue, QueueError, QueueName, Queues},
    sqs::Sqs,
    stats::queue_stats,
};
use serde_json::json;
use shared::aws;

const STACK: &str = "events-emulator-test";

struct Emulator {
    sqs: aws_sdk_sqs::Client,
    rules: aws_sdk_eventbridge::Client,
    queues: Sqs,
    urls: Vec<String>,
}

fn name() -> QueueName {
    "orders-on-user-events".parse().unwrap()
}

fn home() -> Queue {
    Queue::Consumer(name())
}

fn dead() -> Queue {
    Queue::DeadLetters(name())
}

impl Emulator {
    async fn new() -> Self {
        let config = aws::sdk_config().unwrap();
        let sqs = aws_sdk_sqs::Client::new(&config);
        let rules = aws_sdk_eventbridge::Client::new(&config);
        let bus = format!("{STACK}-events");
        let queues = Sqs::of(&config, STACK, &bus);
        let dead_url = create(&sqs, &format!("{STACK}-orders-on-user-events-dlq"), HashMap::new()).await;
        let attributes = sqs.get_queue_attributes().queue_url(&dead_url).attribute_names(QueueAttributeName::QueueArn);
        let arn = attributes.send().await.unwrap().attributes.unwrap()[&QueueAttributeName::QueueArn].clone();
        let policy = json!({"deadLetterTargetArn": arn, "maxReceiveCount": 3}).to_string();
        let policy = HashMap::from([
            (QueueAttributeName::RedrivePolicy, policy),
            (QueueAttributeName::VisibilityTimeout, "1".into()),
        ]);
        let home_url = create(&sqs, &format!("{STACK}-orders-on-user-events"), policy).await;
        // Another stack whose name begins with the same words.
        let foreign = create(&sqs, &format!("{STACK}-two-orders-on-user-events"), HashMap::new()).await;
        rules.create_event_bus().name(&bus).send().await.unwrap();
        let pattern = r#"{"source":["quayside.users"],"detail-type":["user.created"]}"#;
        let rule = rules.put_rule().event_bus_name(&bus).name(format!("{STACK}-orders-on-user-events"));
        rule.event_pattern(pattern).send().await.unwrap();
        Self { sqs, rules, queues, urls: vec![home_url, dead_url, foreign] }
    }

    /// Receives a message as often as a consumer may fail to handle it.
    async fn poison(&self) {
        for _ in 0..4 {
            let receive = self.sqs.receive_message().queue_url(&self.urls[0]).max_number_of_messages(10);
            receive.visibility_timeout(1).send().await.unwrap();
            tokio::time::sleep(Duration::from_millis(1100)).await;
        }
    }

    async fn remove(self) {
        for url in self.urls {
            self.sqs.delete_queue().queue_url(url).send().await.unwrap();
        }
        let bus = format!("{STACK}-events");
        let rule = format!("{STACK}-orders-on-user-events");
        self.rules.delete_rule().event_bus_name(&bus).name(rule).send().await.unwrap();
        self.rules.delete_event_bus().name(bus).send().await.unwrap();
    }
}

async fn create(sqs: &aws_sdk_sqs::Client, name: &str, attributes: HashMap<QueueAttributeName, String>) -> String {
    let answer = sqs.create_queue().queue_name(name).set_attributes(Some(attributes)).send().await.unwrap();
    answer.queue_url.unwrap()
}

#[tokio::test]
async fn the_queues_of_an_emulator_are_seen_and_their_messages_moved() {
    if !Feature::RedriveByHand.is_there() {
        return;
    }
    let emulator = Emulator::new().await;
    let queues = &emulator.queues;
    assert_eq!(queues.names().await.unwrap(), [name()]);
    let rule = queues.subscription(&name()).await.unwrap().unwrap();
    assert!(rule.takes("quayside.users", "user.created") && !rule.takes("quayside.users", "user.updated"));
    let nowhere: QueueName = "orders-on-nothing".parse().unwrap();
    assert_eq!(queues.subscription(&nowhere).await, Ok(None));
    assert_eq!(queues.depth(&Queue::Consumer(nowhere)).await, Err(QueueError::Missing));

    for number in 0..12 {
        queues.send(&home(), &format!("message {number}"), &HashMap::new()).await.unwrap();
    }
    assert_eq!(queues.depth(&home()).await, Ok(Depth { waiting: 12, in_flight: 0 }));
    let known: Vec<String> =
        queues.receive(&home(), Duration::from_secs(1)).await.unwrap().into_iter().map(|m| m.id).collect();
    assert_eq!(known.len(), 10);
    assert_eq!(queues.depth(&home()).await, Ok(Depth { waiting: 2, in_flight: 10 }));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    emulator.poison().await;
    emulator.poison().await;
    let stats = queue_stats(queues).await.unwrap();
    assert_eq!((stats.len(), stats[0].figures.depth, stats[0].dead_letters.depth), (1, Some(0), Some(12)));
    println!("figures: {}", serde_json::to_string(&stats).unwrap());

    let held = queues.receive(&dead(), Duration::from_secs(30)).await.unwrap();
    assert!(held.iter().any(|message| known.contains(&message.id)), "a message keeps its id");
    assert!(held.iter().all(|message| message.sent_at.unix_millis() > 1_700_000_000_000));
    assert_eq!(queues.depth(&dead()).await, Ok(Depth { waiting: 2, in_flight: 10 }));
    for message in &held {
        queues.release(&dead(), message).await.unwrap();
    }
    assert_eq!(queues.depth(&dead()).await, Ok(Depth { waiting: 12, in_flight: 0 }));

    println!("native redrive: {:?}", queues.redrive_natively(&name()).await);
    let one = redrive_one(queues, &name(), &held[3].id, false).await.unwrap();
    assert_eq!((one.messages, one.method), (1, Method::ByHand));
    assert_eq!(queues.depth(&dead()).await, Ok(Depth { waiting: 11, in_flight: 0 }));
    let all = redrive_all(queues, &name(), false).await.unwrap();
    assert_eq!((all.messages, all.method, all.complete), (11, Method::ByHand, true));
    let mut bodies: Vec<String> = Vec::new();
    while bodies.len() < 12 {
        bodies.extend(queues.receive(&home(), Duration::from_secs(60)).await.unwrap().into_iter().map(|m| m.body));
    }
    bodies.sort();
    let mut expected: Vec<String> = (0..12).map(|number| format!("message {number}")).collect();
    expected.sort();
    assert_eq!(bodies, expected);
    assert_eq!(queues.redrive_natively(&name()).await, Ok(NativeRedrive::Unsupported));
    emulator.remove().await;
}
