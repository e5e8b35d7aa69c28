//! The dashboard's figures, however the events arrive that they are summed up from.

#![allow(clippy::unwrap_used)]

use axum::http::StatusCode;
use gateway::{consumers::business_events::BusinessEvents, http::dashboard, store};
use proptest::prelude::*;
use serde_json::json;
use shared::{
    consumer::{Outcome, handle_batch},
    event::{
        CancelReason, Envelope, OrderCancelled, OrderCreated, OrderStatus, OrderStatusChanged, PaymentCompleted,
        PaymentFailed, PaymentRefunded, RefundReason, Role, UserCreated, UserDeleted,
    },
    id::Id,
    money::Money,
    table::Table,
};
use testing::{Answer, Api, Database, Fault};

fn id(value: u64) -> Id {
    Id::new(value).unwrap()
}

fn money(cents: i64) -> Money {
    Money::from_minor_units(cents).unwrap()
}

fn created(user: u64) -> Envelope {
    Envelope::new(&UserCreated {
        user_id: id(user),
        name: "Somebody".into(),
        email: "somebody@example.com".into(),
        role: Role::Customer,
        version: 1,
    })
    .unwrap()
}

fn deleted(user: u64) -> Envelope {
    Envelope::new(&UserDeleted { user_id: id(user), version: 2, by: None }).unwrap()
}

fn placed(order: u64, user: u64) -> Envelope {
    let product = "Laptop".into();
    let (order_id, user_id, product_id, quantity) = (id(order), id(user), id(2), 1);
    let (category, total) = (None, money(99_999));
    Envelope::new(&OrderCreated { order_id, user_id, product_id, product, category, quantity, total }).unwrap()
}

fn moved(order: u64, from: OrderStatus, to: OrderStatus) -> Envelope {
    Envelope::new(&OrderStatusChanged { order_id: id(order), user_id: id(1), from, to }).unwrap()
}

fn cancelled(order: u64) -> Envelope {
    let (order_id, user_id, product_id, total) = (id(order), id(1), id(2), money(99_999));
    let reason = CancelReason::Requested;
    Envelope::new(&OrderCancelled { order_id, user_id, product_id, quantity: 1, total, reason }).unwrap()
}

fn paid(payment: u64, cents: i64) -> Envelope {
    let (payment_id, order_id, user_id) = (id(payment), id(1), id(1));
    let (amount, category) = (money(cents), None);
    Envelope::new(&PaymentCompleted { payment_id, order_id, user_id, amount, category }).unwrap()
}

fn refunded(payment: u64, cents: i64) -> Envelope {
    let (payment_id, order_id, user_id) = (id(payment), id(1), id(1));
    let reason = RefundReason::OrderCancelled;
    Envelope::new(&PaymentRefunded { payment_id, order_id, user_id, amount: money(cents), category: None, reason })
        .unwrap()
}

struct Gateway {
    database: Database,
    table: Table,
}

fn gateway() -> Gateway {
    let database = Database::new();
    Gateway { table: database.table("gateway"), database }
}

impl Gateway {
    async fn deliver(&self, events: Vec<Envelope>) {
        let consumer = BusinessEvents { table: self.table.clone() };
        for outcome in handle_batch(&consumer, events).await {
            outcome.unwrap();
        }
    }

    fn dashboard(&self) -> Api {
        Api::new(dashboard::router(self.table.clone()))
    }

    async fn figures(&self) -> Answer {
        self.dashboard().admin().get("/api/dashboard").await
    }
}

#[tokio::test]
async fn a_business_that_has_not_begun_has_zeros() {
    let answer = gateway().figures().await;
    assert_eq!(answer.status, StatusCode::OK);
    let zeros =
        json!({"total_users": 0, "total_orders": 0, "pending_orders": 0, "completed_orders": 0, "total_revenue": 0});
    assert_eq!(answer.body["data"].as_object().unwrap().len(), 5);
    for (figure, value) in zeros.as_object().unwrap() {
        assert_eq!(answer.body["data"][figure].as_f64(), value.as_f64(), "{figure}");
    }
}

#[tokio::test]
async fn the_documents_business_has_the_documents_figures() {
    use OrderStatus::{Completed, Paid, Pending, Shipped};
    let gateway = gateway();
    let mut events = vec![created(1), created(2), created(3)];
    events.extend((1..=5).map(|order| placed(order, order % 3 + 1)));
    for order in [1, 2] {
        events.extend([moved(order, Pending, Paid), moved(order, Paid, Shipped), moved(order, Shipped, Completed)]);
    }
    events.extend([paid(1, 99_999), paid(2, 54_998), cancelled(5)]);
    gateway.deliver(events).await;
    let figures = json!({"total_users": 3, "total_orders": 5, "pending_orders": 2, "completed_orders": 2, "total_revenue": 1549.97});
    assert_eq!(gateway.figures().await.body["data"], figures);
}

#[tokio::test]
async fn the_dashboard_costs_one_read_however_many_orders_there_are() {
    let gateway = gateway();
    gateway.deliver((1..=200).map(|order| placed(order, 1)).collect()).await;
    gateway.database.calls();
    assert_eq!(gateway.figures().await.body["data"]["total_orders"], 200);
    assert_eq!(gateway.database.calls(), ["GetItem"]);
    assert_eq!(store::orders_of(&gateway.table, id(1)).await.unwrap(), 200);
}

#[tokio::test]
async fn dozens_of_events_are_one_transaction() {
    let gateway = gateway();
    gateway.deliver((1..=33).map(|order| placed(order, order)).collect()).await;
    let calls = gateway.database.calls();
    assert_eq!(calls.iter().filter(|call| *call == "TransactWriteItems").count(), 1, "{calls:?}");
}

#[tokio::test]
async fn only_an_admin_sees_it() {
    let api = gateway().dashboard();
    assert_eq!(api.get("/api/dashboard").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(api.customer(2).get("/api/dashboard").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn without_its_table_it_says_so() {
    let gateway = gateway();
    gateway.database.inject(Fault::Down);
    assert_eq!(gateway.figures().await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn an_event_that_means_nothing_to_the_dashboard_fails_alone() {
    let gateway = gateway();
    let consumer = BusinessEvents { table: gateway.table.clone() };
    let (payment_id, order_id, user_id) = (id(1), id(1), id(1));
    let failed = PaymentFailed { payment_id, order_id, user_id, amount: money(1), reason: "card_declined".into() };
    let outcomes = handle_batch(&consumer, vec![Envelope::new(&failed).unwrap(), created(1)]).await;
    assert!(outcomes[0].is_err());
    assert!(matches!(outcomes[1], Ok(Outcome::Handled)));
}

/// What may happen to a few users, orders and payments, each thing at most once.
fn histories() -> impl Strategy<Value = Vec<Envelope>> {
    let users = prop::collection::vec(any::<bool>(), 1..5).prop_map(|users| {
        let events = (1..).zip(users).flat_map(|(user, gone)| [Some(created(user)), gone.then(|| deleted(user))]);
        events.flatten().collect::<Vec<_>>()
    });
    let orders = prop::collection::vec((1u64..5, 0usize..=3, any::<bool>()), 0..6).prop_map(|orders| {
        (1..)
            .zip(orders)
            .flat_map(|(order, (user, steps, cancel))| life_of(order, user, steps, cancel))
            .collect::<Vec<_>>()
    });
    let payments = prop::collection::vec((0i64..1_000_000, any::<bool>(), any::<bool>()), 0..6).prop_map(|payments| {
        let events = (1..).zip(payments).flat_map(|(payment, (cents, taken, back))| {
            [taken.then(|| paid(payment, cents)), back.then(|| refunded(payment, cents))]
        });
        events.flatten().collect::<Vec<_>>()
    });
    (users, orders, payments).prop_map(|(users, orders, payments)| [users, orders, payments].concat())
}

fn life_of(order: u64, user: u64, steps: usize, cancel: bool) -> Vec<Envelope> {
    use OrderStatus::{Completed, Paid, Pending, Shipped};
    let path = [(Pending, Paid), (Paid, Shipped), (Shipped, Completed)];
    let mut events = vec![placed(order, user)];
    events.extend(path[..steps].iter().map(|(from, to)| moved(order, *from, *to)));
    if cancel && steps < 2 {
        events.push(cancelled(order));
    }
    events
}

/// Counts anew, from the events in their order.
fn recount(events: &[Envelope]) -> [f64; 5] {
    let of = |name: &str| events.iter().filter(|event| event.event_type == name).collect::<Vec<_>>();
    let left: std::collections::HashSet<_> = events
        .iter()
        .filter(|event| ["order.status_changed", "order.cancelled"].contains(&&*event.event_type))
        .map(|event| event.aggregate_id)
        .collect();
    let back: std::collections::HashSet<_> = of("payment.refunded").iter().map(|event| event.aggregate_id).collect();
    let kept = of("payment.completed").into_iter().filter(|event| !back.contains(&event.aggregate_id));
    let cents: i64 = kept.map(|event| (event.data["amount"].as_f64().unwrap() * 100.0).round() as i64).sum();
    let completed = of("order.status_changed").into_iter().filter(|event| event.data["to"] == "COMPLETED").count();
    [
        (of("user.created").len() - of("user.deleted").len()) as f64,
        of("order.created").len() as f64,
        (of("order.created").len() - left.len()) as f64,
        completed as f64,
        cents as f64 / 100.0,
    ]
}

/// Every event once or more, in any order, in batches of any size.
fn deliveries() -> impl Strategy<Value = (Vec<Envelope>, Vec<Vec<Envelope>>)> {
    histories().prop_flat_map(|events| {
        let times = prop::collection::vec(1usize..=3, events.len());
        (Just(events), times, 1usize..12, any::<u64>()).prop_map(|(events, times, size, seed)| {
            let mut all: Vec<_> =
                events.iter().zip(times).flat_map(|(event, times)| vec![event.clone(); times]).collect();
            shuffle(&mut all, seed);
            (events, all.chunks(size).map(<[Envelope]>::to_vec).collect())
        })
    })
}

fn shuffle(events: &mut [Envelope], mut seed: u64) {
    for last in (1..events.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        events.swap(last, (seed >> 33) as usize % (last + 1));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_figures_are_those_of_a_recount_whatever_the_order_of_the_events((events, batches) in deliveries()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let gateway = gateway();
            for batch in batches {
                gateway.deliver(batch).await;
                let data = gateway.figures().await.body["data"].clone();
                assert!(data.as_object().unwrap().values().all(|figure| figure.as_f64().unwrap() >= 0.0), "{data}");
            }
            let data = gateway.figures().await.body["data"].clone();
            let names = ["total_users", "total_orders", "pending_orders", "completed_orders", "total_revenue"];
            assert_eq!(names.map(|name| data[name].as_f64().unwrap()), recount(&events), "{data}");
        });
    }
}
