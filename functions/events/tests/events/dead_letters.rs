use std::time::Duration;

use axum::http::StatusCode;
use events::{
    dead_letters::redrive_all,
    http::{list_dead_letters, redrive},
    queues::{NativeRedrive, Queue},
};
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use shared::{
    consumer::{ConsumerError, MessageHandler, messages_recorded},
    failure::Failures,
    table::Table,
};
use testing::{Answer, Api, Database, Fault};
use tokio::time::timeout;

use crate::world::{FakeQueues, Trouble, event, from, name};

const CONSUMER: &str = "orders-on-user-events";

struct Operator {
    database: Database,
    platform: Table,
    queues: FakeQueues,
}

fn home() -> Queue {
    Queue::Consumer(name(CONSUMER))
}

fn dead() -> Queue {
    Queue::DeadLetters(name(CONSUMER))
}

fn body(number: i64) -> String {
    serde_json::to_string(&from("users", &event(number, "user.updated", 1))).unwrap()
}

impl Operator {
    fn new() -> Self {
        let database = Database::new();
        let platform = database.table("platform");
        let queues = FakeQueues::with(&[(CONSUMER, json!({})), ("auth-on-user-events", json!({}))]);
        Self { database, platform, queues }
    }

    /// So many messages in the dead-letter queue.
    fn with(messages: i64) -> Self {
        let operator = Self::new();
        for number in 0..messages {
            operator.queues.put(&dead(), &format!("m{number}"), &body(number));
        }
        operator
    }

    async fn look(&self, query: &str) -> Answer {
        let router = list_dead_letters::router(self.platform.clone(), self.queues.shared());
        Api::new(router).admin().get(&format!("/api/events/dead-letters{query}")).await
    }

    async fn redrive(&self, body: Value) -> Answer {
        let path = format!("/api/events/dead-letters/{CONSUMER}/redrive");
        Api::new(redrive::router(self.queues.shared())).admin().post(&path, &body).await
    }
}

/// A consumer that can handle nothing.
struct Hopeless;

#[async_trait::async_trait]
impl MessageHandler for Hopeless {
    async fn handle(&self, _: &str) -> Result<(), ConsumerError> {
        Err(ConsumerError::Rejected("no order 42".into()))
    }
}

/// The consumer fails once more to handle a message, in the way that Lambda has it.
async fn fail(failures: Failures, message_id: &str, attempt: u32) -> Value {
    let event = json!({"Records": [{
        "messageId": message_id, "receiptHandle": "r", "body": body(0), "eventSource": "aws:sqs",
        "attributes": {"ApproximateReceiveCount": attempt.to_string()}, "messageAttributes": {},
        "eventSourceARN": format!("arn:aws:sqs:eu-central-1:123456789012:local-{CONSUMER}"), "awsRegion": "eu-central-1",
    }]});
    let function = messages_recorded(Hopeless, failures);
    function.invoke(LambdaEvent::new(event, lambda_runtime::Context::default())).await.unwrap()
}

#[tokio::test]
async fn a_dead_letter_is_shown_with_its_reason_attempts_and_source() {
    let operator = Operator::with(1);
    for attempt in 1..=3 {
        fail(Failures::new(operator.platform.clone()), "m0", attempt).await;
    }
    operator.database.calls();
    let answer = operator.look("").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let letter = &answer.body["data"][0];
    assert_eq!(letter["queue"], CONSUMER);
    assert_eq!(letter["message_id"], "m0");
    assert_eq!(letter["reason"], "no order 42");
    assert_eq!(letter["attempts"], 3);
    assert_eq!(letter["source"], "quayside.users");
    assert_eq!(letter["message"]["detail"]["type"], "user.updated");
    assert_eq!(operator.database.calls(), ["BatchGetItem"]);
    assert_eq!(operator.look("?queue=auth-on-user-events").await.body["data"], json!([]));
}

#[tokio::test]
async fn a_message_whose_reason_nobody_knows_says_so() {
    let operator = Operator::new();
    operator.queues.put(&dead(), "m0", "not JSON");
    let letter = operator.look("").await.body["data"][0].clone();
    assert_eq!(
        (&letter["reason"], &letter["attempts"], &letter["message"]),
        (&json!("the function ended before it could say"), &Value::Null, &json!("not JSON"))
    );
}

#[tokio::test]
async fn a_message_that_the_bus_could_not_deliver_is_shown_with_what_the_bus_says() {
    let operator = Operator::new();
    let attributes = [
        ("ERROR_CODE", "NO_PERMISSIONS"),
        ("ERROR_MESSAGE", "Lack of permissions to invoke cross account target."),
        ("RETRY_ATTEMPTS", "3"),
    ];
    operator.queues.put_with(&dead(), "m0", &body(0), &attributes);
    let letter = operator.look("").await.body["data"][0].clone();
    assert_eq!((&letter["reason"], &letter["attempts"]), (&json!(attributes[1].1), &json!(3)));
    fail(Failures::new(operator.platform.clone()), "m0", 2).await;
    let letter = operator.look("").await.body["data"][0].clone();
    assert_eq!((&letter["reason"], &letter["attempts"]), (&json!("no order 42"), &json!(2)));
}

#[tokio::test]
async fn a_consumer_fails_as_it_did_when_its_reason_cannot_be_kept() {
    let operator = Operator::new();
    operator.database.inject(Fault::Down);
    let answer = fail(Failures::new(operator.platform.clone()), "m0", 1).await;
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "m0"}]}));
    assert_eq!(fail(Failures::from_env(), "m0", 1).await, answer);
}

#[tokio::test]
async fn looking_leaves_the_messages_where_they_are_for_others_to_receive() {
    let operator = Operator::with(25);
    assert_eq!(operator.look("?limit=12").await.body["data"].as_array().unwrap().len(), 12);
    assert_eq!(operator.look("?limit=100").await.body["data"].as_array().unwrap().len(), 25);
    assert_eq!(operator.redrive(json!({"dry_run": true})).await.body["messages"], 25);
    assert_eq!(operator.queues.bodies(&dead()).len(), 25);
}

#[tokio::test]
async fn more_than_an_answer_can_hold_is_not_shown() {
    let operator = Operator::new();
    for number in 0..20 {
        operator.queues.put(&dead(), &format!("m{number}"), &"x".repeat(256 * 1024));
    }
    assert_eq!(operator.look("?limit=100").await.body["data"].as_array().unwrap().len(), 16);
}

#[tokio::test]
async fn one_message_goes_home_and_the_others_stay() {
    let operator = Operator::with(25);
    let wanted = operator.queues.bodies(&dead())[17].clone();
    let dry = operator.redrive(json!({"message_id": "m17", "dry_run": true})).await;
    assert_eq!((dry.status, &dry.body["messages"], &dry.body["complete"]), (StatusCode::OK, &json!(1), &json!(false)));
    assert_eq!(operator.queues.bodies(&home()), Vec::<String>::new());
    let answer = operator.redrive(json!({"message_id": "m17"})).await;
    let expected = json!({"queue": CONSUMER, "dry_run": false, "method": "by_hand", "messages": 1, "complete": true});
    assert_eq!((answer.status, answer.body), (StatusCode::OK, expected));
    assert_eq!(operator.queues.bodies(&home()), [wanted]);
    assert_eq!(operator.redrive(json!({"dry_run": true})).await.body["messages"], 24);
}

#[tokio::test]
async fn all_messages_go_home() {
    let operator = Operator::with(25);
    let all = operator.queues.bodies(&dead());
    let dry = operator.redrive(json!({"dry_run": true})).await;
    let expected = json!({"queue": CONSUMER, "dry_run": true, "method": "none", "messages": 25, "complete": false});
    assert_eq!((dry.status, dry.body), (StatusCode::OK, expected));
    assert_eq!(operator.queues.bodies(&dead()), all);
    let answer = operator.redrive(json!({})).await;
    let expected = json!({"queue": CONSUMER, "dry_run": false, "method": "by_hand", "messages": 25, "complete": true});
    assert_eq!((answer.status, answer.body), (StatusCode::OK, expected));
    assert_eq!(operator.queues.bodies(&home()), all);
    assert_eq!(operator.queues.bodies(&dead()), Vec::<String>::new());
}

#[tokio::test]
async fn a_redrive_is_not_complete_while_somebody_holds_a_message() {
    let operator = Operator::with(3);
    let queues = operator.queues.shared();
    queues.receive(&dead(), Duration::from_secs(15)).await.unwrap();
    let answer = operator.redrive(json!({})).await;
    assert_eq!((&answer.body["messages"], &answer.body["complete"]), (&json!(0), &json!(false)));
}

#[tokio::test]
async fn a_message_that_somebody_holds_is_not_said_to_be_missing() {
    let operator = Operator::with(3);
    let queues = operator.queues.shared();
    queues.receive(&dead(), Duration::from_secs(15)).await.unwrap();
    let answer = operator.redrive(json!({"message_id": "m1"})).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.body);
}

#[tokio::test]
async fn the_queue_services_own_redrive_is_used_where_there_is_one() {
    let operator = Operator::with(3);
    operator.queues.redrives_natively(NativeRedrive::Started);
    let answer = operator.redrive(json!({})).await;
    let expected = json!({"queue": CONSUMER, "dry_run": false, "method": "native", "messages": 3, "complete": false});
    assert_eq!((answer.status, answer.body), (StatusCode::ACCEPTED, expected));
    assert_eq!(operator.queues.bodies(&dead()).len(), 3);
    operator.queues.redrives_natively(NativeRedrive::Running);
    let answer = operator.redrive(json!({})).await;
    assert_eq!((answer.status, &answer.body["code"]), (StatusCode::CONFLICT, &json!("redrive_running")));
    assert_eq!(operator.redrive(json!({"message_id": "m1"})).await.body["method"], "by_hand");
}

#[tokio::test(start_paused = true)]
async fn a_redrive_that_is_killed_anywhere_loses_nothing_and_is_finished_by_the_next() {
    let whole = Operator::with(12);
    whole.redrive(json!({})).await;
    let calls = whole.queues.calls();
    assert!(calls > 24, "{calls}");
    for call in 0..calls {
        let operator = Operator::with(12);
        let all = operator.queues.bodies(&dead());
        operator.queues.trouble(Trouble::KilledAt(call));
        let consumer = name(CONSUMER);
        let killed = timeout(Duration::from_secs(1), redrive_all(&operator.queues, &consumer, false)).await;
        assert!(killed.is_err(), "killed at call {call}");
        operator.queues.trouble(Trouble::None);
        let somewhere = [operator.queues.bodies(&home()), operator.queues.bodies(&dead())].concat();
        assert!(all.iter().all(|body| somewhere.contains(body)), "killed at call {call}");
        tokio::time::sleep(Duration::from_secs(31)).await;
        assert_eq!(operator.redrive(json!({})).await.body["complete"], true);
        let arrived = operator.queues.bodies(&home());
        assert!(all.iter().all(|body| arrived.contains(body)), "killed at call {call}");
        assert!(arrived.len() <= all.len() + 10, "each at most twice, those on the way: {}", arrived.len());
        assert_eq!(operator.queues.bodies(&dead()), Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_redrive_that_loses_the_queues_on_the_way_says_how_far_it_came_and_loses_nothing() {
    let whole = Operator::with(12);
    whole.redrive(json!({})).await;
    for call in 0..whole.queues.calls() {
        let operator = Operator::with(12);
        let all = operator.queues.bodies(&dead());
        operator.queues.trouble(Trouble::DownFrom(call));
        let answer = operator.redrive(json!({})).await;
        let said = answer.body["messages"].as_u64().unwrap_or_default();
        assert!(answer.status == StatusCode::SERVICE_UNAVAILABLE || answer.body["complete"] == false, "{call}");
        assert_eq!(u64::try_from(operator.queues.bodies(&home()).len()).unwrap(), said, "down from call {call}");
        operator.queues.trouble(Trouble::None);
        tokio::time::sleep(Duration::from_secs(31)).await;
        operator.redrive(json!({})).await;
        let arrived = operator.queues.bodies(&home());
        assert!(all.iter().all(|body| arrived.contains(body)), "down from call {call}");
    }
}

#[tokio::test]
async fn dead_letters_are_for_admins() {
    let operator = Operator::with(1);
    let look = Api::new(list_dead_letters::router(operator.platform.clone(), operator.queues.shared()));
    let redrive = Api::new(redrive::router(operator.queues.shared()));
    let path = format!("/api/events/dead-letters/{CONSUMER}/redrive");
    assert_eq!(look.get("/api/events/dead-letters").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(look.customer(1).get("/api/events/dead-letters").await.status, StatusCode::FORBIDDEN);
    assert_eq!(redrive.post(&path, &json!({})).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(redrive.customer(1).post(&path, &json!({})).await.status, StatusCode::FORBIDDEN);
    assert_eq!(operator.queues.calls(), 0);
}

#[tokio::test]
async fn bad_requests_are_refused_with_a_pointer() {
    let operator = Operator::with(1);
    for (query, pointer) in [
        ("?limit=0", "?limit"),
        ("?limit=x", "?limit"),
        ("?queue=orders", "?queue"),
        ("?queue=orders-on-user-events-dlq", "?queue"),
        ("?queue=", "?queue"),
        ("?cursor=eyJ0IjoiYSIsImsiOiJiIn0", "?cursor"),
    ] {
        let answer = operator.look(query).await;
        assert_eq!((answer.status, answer.pointers()), (StatusCode::BAD_REQUEST, vec![pointer]), "{query}");
    }
    assert_eq!(operator.look("?queue=orders-on-nothing").await.status, StatusCode::NOT_FOUND);
    for (body, pointer) in [
        (json!({"message_id": ""}), "/message_id"),
        (json!({"message_id": 1}), "/message_id"),
        (json!({"message_id": "x".repeat(201)}), "/message_id"),
        (json!({"message_id": "nobody"}), "/message_id"),
        (json!({"dry_run": "yes"}), "/dry_run"),
        (json!({"all": true}), "/all"),
    ] {
        let answer = operator.redrive(body.clone()).await;
        assert_eq!((answer.status, answer.pointers()), (StatusCode::UNPROCESSABLE_ENTITY, vec![pointer]), "{body}");
    }
    let api = Api::new(redrive::router(operator.queues.shared())).admin();
    for queue in ["orders-on-nothing", "orders", "orders-on-user-events-dlq", "..%2f"] {
        let answer = api.post(&format!("/api/events/dead-letters/{queue}/redrive"), &json!({})).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{queue}");
    }
    let path = format!("/api/events/dead-letters/{CONSUMER}/redrive");
    assert_eq!(api.post_raw(&path, "{}").await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(api.with("content-type", "application/json").post_raw(&path, "{").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(operator.queues.bodies(&dead()).len(), 1);
}

#[tokio::test]
async fn queues_that_are_away_are_a_503() {
    let operator = Operator::with(1);
    operator.queues.trouble(Trouble::DownFrom(0));
    for answer in [operator.look("").await, operator.redrive(json!({})).await] {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers.contains_key("retry-after"));
    }
}
