//! Payments as their callers see them, with a provider whose books can be read.

#![allow(clippy::unwrap_used)]

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::http::StatusCode;
use payments::{
    Payments,
    consumers::{order_events::OrderEvents, provider_events::ProviderEvents, refund_requests::RefundRequests},
    http,
    provider::{Charge, NoAnswer, Outcome, Provider, Simulator},
    reconcile::Reconcile,
};
use serde_json::{Value, json};
use shared::{
    consumer::{self, Consumer, MessageHandler, Outcome as Delivered},
    event::{
        CancelReason, Envelope, OrderCancelled, OrderCreated, OrderStatus, OrderStatusChanged, Payload, RefundReason,
        RefundRequested,
    },
    id::Id,
    money::Money,
    schedule::Job,
    table::Table,
    time::Timestamp,
};
use testing::{Answer, Api, Database, Fault};

/// The simulator, with books: how often each payment was charged and given back.
#[derive(Default)]
struct Books {
    charges: Mutex<HashMap<Id, u32>>,
    refunds: Mutex<HashMap<Id, u32>>,
    away: AtomicBool,
}

impl Books {
    fn taken(&self) -> u32 {
        self.charges.lock().unwrap().values().sum()
    }

    fn given_back(&self) -> u32 {
        self.refunds.lock().unwrap().values().sum()
    }
}

#[async_trait]
impl Provider for Books {
    fn accepts(&self, method: &str) -> bool {
        Simulator::silent().accepts(method)
    }

    async fn charge(&self, charge: &Charge) -> Result<Outcome, NoAnswer> {
        let found = self.find(charge).await?;
        if found == Some(Outcome::Approved) {
            *self.charges.lock().unwrap().entry(charge.payment_id).or_default() += 1;
        }
        let lost = charge.method.starts_with("tok_timeout");
        found.filter(|_| !lost).ok_or_else(|| NoAnswer("lost".into()))
    }

    async fn find(&self, charge: &Charge) -> Result<Option<Outcome>, NoAnswer> {
        Simulator::silent().find(charge).await
    }

    async fn refund(&self, charge: &Charge) -> Result<(), NoAnswer> {
        if self.away.load(Ordering::Relaxed) {
            return Err(NoAnswer("away".into()));
        }
        *self.refunds.lock().unwrap().entry(charge.payment_id).or_default() += 1;
        Ok(())
    }
}

struct Shop {
    database: Database,
    table: Table,
    books: Arc<Books>,
}

fn id(value: u64) -> Id {
    Id::new(value).unwrap()
}

/// A service that knows order 1 of customer 1.
async fn shop() -> Shop {
    let database = Database::new();
    let shop = Shop { table: database.table("payments"), database, books: Arc::default() };
    shop.tell(&created(1)).await;
    shop.database.calls();
    shop
}

fn total() -> Money {
    Money::from_minor_units(99_999).unwrap()
}

fn created(order: u64) -> OrderCreated {
    let (product, category, total) = ("Laptop".into(), Some("computers".into()), total());
    OrderCreated { order_id: id(order), user_id: id(1), product_id: id(2), product, category, quantity: 1, total }
}

fn cancelled(order: u64) -> OrderCancelled {
    let (total, reason) = (total(), CancelReason::Requested);
    OrderCancelled { order_id: id(order), user_id: id(1), product_id: id(2), quantity: 1, total, reason }
}

impl Shop {
    fn payments(&self) -> Payments {
        Payments::new(self.table.clone(), self.books.clone())
    }

    fn api(&self) -> Api {
        Api::new(http::create_payment::router(self.payments())).customer(1)
    }

    async fn pay(&self, method: &str) -> Answer {
        self.api().post("/api/payments", &json!({"order_id": 1, "payment_method": method})).await
    }

    async fn tell<P: Payload>(&self, event: &P) -> Delivered {
        self.deliver(&OrderEvents { table: self.table.clone() }, Envelope::new(event).unwrap()).await
    }

    async fn deliver(&self, consumer: &dyn Consumer, event: Envelope) -> Delivered {
        consumer::handle(consumer, event).await.unwrap()
    }

    fn refunds(&self) -> RefundRequests {
        RefundRequests { payments: self.payments() }
    }

    /// Hands the refund requests that were published to their consumer.
    async fn refund_what_was_asked(&self) {
        for event in self.published().into_iter().filter(|event| event.event_type == RefundRequested::TYPE) {
            self.deliver(&self.refunds(), event.clone()).await;
            self.deliver(&self.refunds(), event).await;
        }
    }

    fn published(&self) -> Vec<Envelope> {
        self.database.published(&self.table)
    }

    async fn get(&self, payment: &Value) -> Value {
        let api = Api::new(http::get_payment::router(self.table.clone())).admin();
        api.get(&format!("/api/payments/{}", payment["id"])).await.body
    }
}

#[tokio::test]
async fn a_payment_takes_the_orders_total_in_a_claim_and_a_settlement() {
    let shop = shop().await;
    let answer = shop.api().post("/api/payments", &json!({"order_id": 1})).await;
    assert_eq!((answer.status, &answer.body["amount"]), (StatusCode::CREATED, &json!(999.99)));
    assert_eq!(answer.body["status"], "COMPLETED");
    let calls = shop.database.calls();
    assert_eq!(calls.iter().filter(|call| *call == "TransactWriteItems").count(), 2, "{calls:?}");
    assert!(!calls.contains(&"Scan".to_owned()));
    assert_eq!(shop.books.taken(), 1);
    shop.get(&answer.body).await;
    assert_eq!(shop.database.calls(), ["GetItem"]);
}

#[tokio::test]
async fn bad_payments_are_refused_with_a_pointer_and_charge_nobody() {
    let shop = shop().await;
    let cases = [
        (json!({}), "/order_id"),
        (json!({"order_id": "1"}), "/order_id"),
        (json!({"order_id": 0}), "/order_id"),
        (json!({"order_id": 9_007_199_254_740_992u64}), "/order_id"),
        (json!({"order_id": 1, "amount": 1}), "/amount"),
        (json!({"order_id": 1, "payment_method": "tok_unknown"}), "/payment_method"),
        (json!({"order_id": 1, "payment_method": ""}), "/payment_method"),
        (json!({"order_id": 1, "payment_method": 7}), "/payment_method"),
    ];
    for (body, pointer) in cases {
        let answer = shop.api().post("/api/payments", &body).await;
        assert_eq!((answer.status, answer.pointers()), (StatusCode::UNPROCESSABLE_ENTITY, vec![pointer]), "{body}");
    }
    assert_eq!(shop.books.taken(), 0);
}

#[tokio::test]
async fn an_order_that_is_unknown_or_somebody_elses_is_not_found() {
    let shop = shop().await;
    assert_eq!(shop.api().post("/api/payments", &json!({"order_id": 404})).await.status, StatusCode::NOT_FOUND);
    let stranger = Api::new(http::create_payment::router(shop.payments())).customer(9);
    assert_eq!(stranger.post("/api/payments", &json!({"order_id": 1})).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_order_is_charged_once_however_often_it_is_paid_for() {
    let shop = shop().await;
    assert_eq!(shop.pay("tok_ok").await.status, StatusCode::CREATED);
    let again = shop.pay("tok_ok").await;
    assert_eq!((again.status, &again.body["code"]), (StatusCode::CONFLICT, &json!("already_paid")));
    assert_eq!(shop.books.taken(), 1);
}

#[tokio::test]
async fn two_payments_at_once_charge_once() {
    let shop = shop().await;
    let (first, second) = tokio::join!(shop.pay("tok_ok"), shop.pay("tok_ok"));
    let mut statuses = [first.status, second.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::CREATED, StatusCode::CONFLICT]);
    assert_eq!(shop.books.taken(), 1);
}

#[tokio::test]
async fn a_declined_card_says_why_and_another_may_follow() {
    let shop = shop().await;
    for (method, code) in [
        ("tok_declined", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_expired_card", "expired_card"),
    ] {
        let answer = shop.pay(method).await;
        assert_eq!((answer.status, &answer.body["code"]), (StatusCode::PAYMENT_REQUIRED, &json!(code)));
    }
    assert_eq!(shop.pay("tok_ok").await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn the_same_key_gives_the_same_answer_and_charges_once() {
    let shop = shop().await;
    let api = shop.api().with("idempotency-key", "k1");
    let body = json!({"order_id": 1});
    let first = api.post("/api/payments", &body).await;
    let again = api.post("/api/payments", &body).await;
    assert_eq!((first.status, first.body), (again.status, again.body));
    let declined = shop.api().with("idempotency-key", "k2");
    shop.tell(&created(3)).await;
    let body = json!({"order_id": 3, "payment_method": "tok_declined"});
    let first = declined.post("/api/payments", &body).await;
    let again = declined.post("/api/payments", &body).await;
    assert_eq!((first.status, again.status), (StatusCode::PAYMENT_REQUIRED, StatusCode::PAYMENT_REQUIRED));
    assert_eq!(shop.books.taken(), 1);
}

#[tokio::test]
async fn a_payment_whose_function_died_is_settled_by_reconciliation_and_charged_once() {
    let shop = shop().await;
    let pending = shop.pay("tok_timeout").await;
    assert_eq!((pending.status, &pending.body["status"]), (StatusCode::ACCEPTED, &json!("PENDING")));
    assert_eq!(shop.pay("tok_ok").await.status, StatusCode::CONFLICT);
    let job = Reconcile { payments: shop.payments() };
    assert_eq!(job.run(Timestamp::now()).await.unwrap(), 0);
    assert_eq!(job.run(Timestamp::now().plus(Duration::from_secs(61))).await.unwrap(), 1);
    assert_eq!(shop.get(&pending.body).await["status"], "COMPLETED");
    assert_eq!(shop.books.taken(), 1);
}

#[tokio::test]
async fn a_charge_that_never_arrived_fails_and_the_order_can_be_paid_for_again() {
    let shop = shop().await;
    let pending = shop.pay("tok_timeout_lost").await;
    let job = Reconcile { payments: shop.payments() };
    job.run(Timestamp::now().plus(Duration::from_secs(61))).await.unwrap();
    let failed = shop.get(&pending.body).await;
    assert_eq!((&failed["status"], &failed["decline_code"]), (&json!("FAILED"), &json!("not_charged")));
    assert_eq!(shop.pay("tok_ok").await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_payment_and_its_refund_say_what_category_was_paid_for() {
    let shop = shop().await;
    let payment = shop.pay("tok_ok").await.body;
    let request = RefundRequested {
        payment_id: id(payment["id"].as_u64().unwrap()),
        order_id: id(1),
        reason: RefundReason::Requested,
    };
    shop.deliver(&shop.refunds(), Envelope::new(&request).unwrap()).await;
    let published = shop.published();
    let told = published.iter().filter(|event| ["payment.completed", "payment.refunded"].contains(&&*event.event_type));
    assert_eq!(told.map(|event| event.data["category"].as_str().unwrap()).collect::<Vec<_>>(), ["computers"; 2]);
}

#[tokio::test]
async fn a_notification_settles_once_however_often_it_comes() {
    let shop = shop().await;
    let pending = shop.pay("tok_timeout").await;
    let consumer = ProviderEvents { table: shop.table.clone() };
    let body = json!({"payment_id": pending.body["id"], "outcome": "approved"}).to_string();
    for _ in 0..3 {
        consumer.handle(&body).await.unwrap();
    }
    assert_eq!(shop.get(&pending.body).await["status"], "COMPLETED");
    assert_eq!(shop.published().iter().filter(|event| event.event_type == "payment.completed").count(), 1);
    assert!(consumer.handle("{}").await.is_err());
    assert!(consumer.handle(&json!({"payment_id": 404, "outcome": "approved"}).to_string()).await.is_err());
}

#[tokio::test]
async fn a_cancelled_order_cannot_be_paid_for_even_when_the_cancellation_came_first() {
    let shop = shop().await;
    shop.tell(&cancelled(7)).await;
    shop.tell(&created(7)).await;
    let answer = shop.api().post("/api/payments", &json!({"order_id": 7})).await;
    assert_eq!((answer.status, &answer.body["code"]), (StatusCode::CONFLICT, &json!("order_closed")));
}

#[tokio::test]
async fn an_order_paid_for_in_another_way_is_closed() {
    let shop = shop().await;
    let (from, to) = (OrderStatus::Pending, OrderStatus::Paid);
    shop.tell(&OrderStatusChanged { order_id: id(1), user_id: id(1), from, to }).await;
    assert_eq!(shop.pay("tok_ok").await.body["code"], "order_closed");
}

#[tokio::test]
async fn the_payment_of_a_cancelled_order_is_given_back_once() {
    let shop = shop().await;
    let payment = shop.pay("tok_ok").await.body;
    let event = Envelope::new(&cancelled(1)).unwrap();
    let consumer = OrderEvents { table: shop.table.clone() };
    assert_eq!(shop.deliver(&consumer, event.clone()).await, Delivered::Handled);
    assert_eq!(shop.deliver(&consumer, event).await, Delivered::Duplicate);
    shop.refund_what_was_asked().await;
    assert_eq!(shop.get(&payment).await["status"], "REFUNDED");
    assert_eq!(shop.books.given_back(), 1);
}

#[tokio::test]
async fn two_requests_for_the_same_refund_give_back_once() {
    let shop = shop().await;
    let payment = shop.pay("tok_ok").await.body;
    let payment_id = id(payment["id"].as_u64().unwrap());
    for reason in [RefundReason::OrderCancelled, RefundReason::AlreadyPaid] {
        let request = RefundRequested { payment_id, order_id: id(1), reason };
        shop.deliver(&shop.refunds(), Envelope::new(&request).unwrap()).await;
    }
    assert_eq!(shop.books.given_back(), 1);
    assert_eq!(shop.published().iter().filter(|event| event.event_type == "payment.refunded").count(), 1);
}

/// Every deadline passes.
async fn reconcile(shop: &Shop) -> usize {
    let payments = Payments::new(shop.table.clone(), shop.books.clone());
    Reconcile { payments }.run(Timestamp::now().plus(Duration::from_secs(3600))).await.unwrap()
}

#[tokio::test]
async fn a_refund_that_a_provider_away_for_long_does_not_answer_is_made_when_it_is_back() {
    let shop = shop().await;
    let payment = shop.pay("tok_ok").await.body;
    let payment_id = id(payment["id"].as_u64().unwrap());
    let request = RefundRequested { payment_id, order_id: id(1), reason: RefundReason::OrderCancelled };
    shop.books.away.store(true, Ordering::Relaxed);
    shop.deliver(&shop.refunds(), Envelope::new(&request).unwrap()).await;
    assert_eq!((reconcile(&shop).await, &shop.get(&payment).await["status"]), (0, &json!("REFUNDING")));
    shop.books.away.store(false, Ordering::Relaxed);
    assert_eq!((reconcile(&shop).await, &shop.get(&payment).await["status"]), (1, &json!("REFUNDED")));
    assert_eq!((reconcile(&shop).await, shop.books.given_back()), (0, 1));
}

#[tokio::test]
async fn a_charge_that_was_given_up_and_turns_up_late_is_given_back() {
    let shop = shop().await;
    let payment = shop.pay("tok_timeout_lost").await.body;
    assert_eq!((reconcile(&shop).await, &shop.get(&payment).await["status"]), (1, &json!("FAILED")));
    let late = json!({"payment_id": payment["id"], "outcome": "approved"}).to_string();
    for _ in 0..2 {
        ProviderEvents { table: shop.table.clone() }.handle(&late).await.unwrap();
    }
    assert_eq!(shop.get(&payment).await["refund_reason"], "late_charge");
    shop.refund_what_was_asked().await;
    assert_eq!((&shop.get(&payment).await["status"], shop.books.given_back()), (&json!("REFUNDED"), 1));
}

#[tokio::test]
async fn a_change_of_an_order_that_is_not_known_yet_comes_again() {
    let shop = shop().await;
    let (from, to) = (OrderStatus::Pending, OrderStatus::Paid);
    let paid = Envelope::new(&OrderStatusChanged { order_id: id(8), user_id: id(1), from, to }).unwrap();
    let consumer = OrderEvents { table: shop.table.clone() };
    assert!(consumer::handle(&consumer, paid.clone()).await.is_err());
    shop.tell(&created(8)).await;
    shop.deliver(&consumer, paid).await;
    let answer = shop.api().post("/api/payments", &json!({"order_id": 8})).await;
    assert_eq!(answer.body["code"], "order_closed");
}

#[tokio::test]
async fn only_an_admin_gives_money_back_and_only_of_a_completed_payment() {
    let shop = shop().await;
    let payment = shop.pay("tok_ok").await.body;
    let path = format!("/api/payments/{}/refund", payment["id"]);
    let api = Api::new(http::refund_payment::router(shop.table.clone()));
    assert_eq!(api.customer(1).post(&path, &json!({})).await.status, StatusCode::FORBIDDEN);
    let part = api.admin().post(&path, &json!({"amount": 5})).await;
    assert_eq!((part.status, part.pointers()), (StatusCode::UNPROCESSABLE_ENTITY, vec!["/amount"]));
    assert_eq!(api.admin().post(&path, &json!({})).await.status, StatusCode::ACCEPTED);
    assert_eq!(api.admin().post(&path, &json!({})).await.status, StatusCode::ACCEPTED);
    shop.refund_what_was_asked().await;
    assert_eq!(api.admin().post(&path, &json!({})).await.body["status"], "REFUNDED");
    shop.tell(&created(3)).await;
    shop.api().post("/api/payments", &json!({"order_id": 3, "payment_method": "tok_declined"})).await;
    let list = Api::new(http::list_payments::router(shop.table.clone())).customer(1);
    let failed = list.get("/api/payments?limit=1").await.body["data"][0].clone();
    let path = format!("/api/payments/{}/refund", failed["id"]);
    assert_eq!(api.admin().post(&path, &json!({})).await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn customers_list_their_own_payments_and_strangers_find_none() {
    let shop = shop().await;
    let payment = shop.pay("tok_ok").await.body;
    let list = Api::new(http::list_payments::router(shop.table.clone()));
    assert_eq!(list.customer(1).get("/api/payments").await.body["data"][0]["id"], payment["id"]);
    assert_eq!(list.customer(9).get("/api/payments").await.body["data"], json!([]));
    assert_eq!(list.admin().get("/api/payments").await.body["data"][0]["id"], payment["id"]);
    let get = Api::new(http::get_payment::router(shop.table.clone()));
    let path = format!("/api/payments/{}", payment["id"]);
    assert_eq!(get.customer(9).get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(get.customer(9).get("/api/payments/abc").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_lost_table_takes_no_money() {
    let shop = shop().await;
    shop.database.inject(Fault::Down);
    let answer = shop.pay("tok_ok").await;
    assert_eq!((answer.status, shop.books.taken()), (StatusCode::SERVICE_UNAVAILABLE, 0));
    assert!(answer.headers.contains_key("retry-after"));
}
