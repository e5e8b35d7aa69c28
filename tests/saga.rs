//! The order saga under every order of events: each is delivered one to three times, at any later
//! moment, between the customers' own doings, and the money and the stock always come out right.
//!
//! Everything but the bus is real: the services' handlers, consumers and jobs, on a DynamoDB engine
//! in the test's own process.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use axum::Router;
use orders::{
    Orders,
    expiry::ExpireUnpaid,
    order::{Order, OrderStatus},
};
use payments::{
    Payments,
    payment::PaymentStatus,
    provider::{Charge, NoAnswer, Outcome, Provider, Simulator},
    reconcile::Reconcile,
};
use products::product::{NewProduct, Product};
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::{
    consumer::{self, Consumer},
    event::Envelope,
    id::Id,
    money::Money,
    schedule::Job,
    table::Table,
    time::Timestamp,
};
use testing::{Api, Database};

const UNITS: i64 = 3;
const USER: u64 = 1;

/// The simulator, with a ledger of whose money it holds.
#[derive(Default)]
struct Ledger {
    charged: Mutex<HashSet<Id>>,
    refunds: Mutex<HashMap<Id, u32>>,
}

#[async_trait]
impl Provider for Ledger {
    fn accepts(&self, method: &str) -> bool {
        Simulator::silent().accepts(method)
    }

    async fn charge(&self, charge: &Charge) -> Result<Outcome, NoAnswer> {
        let found = self.find(charge).await?;
        if found == Some(Outcome::Approved) {
            self.charged.lock().unwrap().insert(charge.payment_id);
        }
        let lost = charge.method.starts_with("tok_timeout");
        found.filter(|_| !lost).ok_or_else(|| NoAnswer("lost".into()))
    }

    async fn find(&self, charge: &Charge) -> Result<Option<Outcome>, NoAnswer> {
        Simulator::silent().find(charge).await
    }

    async fn refund(&self, charge: &Charge) -> Result<(), NoAnswer> {
        *self.refunds.lock().unwrap().entry(charge.payment_id).or_default() += 1;
        Ok(())
    }
}

/// What a customer, or time, does.
#[derive(Clone, Debug)]
enum Doing {
    Order { quantity: u32 },
    Pay { order: prop::sample::Index, method: &'static str },
    Cancel { order: prop::sample::Index },
    Expire,
    Reconcile,
}

fn doing() -> impl Strategy<Value = Doing> {
    let methods = ["tok_ok", "tok_ok", "tok_declined", "tok_timeout", "tok_timeout_lost"];
    prop_oneof![
        3 => (1u32..=2).prop_map(|quantity| Doing::Order { quantity }),
        4 => (any::<prop::sample::Index>(), prop::sample::select(methods.to_vec()))
            .prop_map(|(order, method)| Doing::Pay { order, method }),
        2 => any::<prop::sample::Index>().prop_map(|order| Doing::Cancel { order }),
        1 => Just(Doing::Expire),
        1 => Just(Doing::Reconcile),
    ]
}

struct Shop {
    database: Database,
    tables: HashMap<&'static str, Table>,
    ledger: Arc<Ledger>,
    /// Deliveries that are on their way.
    queue: Vec<(Arc<dyn Consumer>, Envelope)>,
    published: HashMap<(String, Id), u32>,
    orders: Vec<u64>,
    choices: Vec<u16>,
    chosen: usize,
}

impl Shop {
    async fn open(choices: Vec<u16>) -> Self {
        let database = Database::new();
        let tables = ["products", "orders", "payments"].map(|name| (name, database.table(name))).into();
        let shop = Self {
            database,
            tables,
            ledger: Arc::default(),
            queue: Vec::new(),
            published: HashMap::new(),
            orders: Vec::new(),
            choices,
            chosen: 0,
        };
        let laptop = NewProduct {
            name: "Laptop".into(),
            description: None,
            category: None,
            price: Money::from_minor_units(99_999).unwrap(),
            stock: Some(UNITS as u32),
        };
        let product = Product::new(Id::new(2).unwrap(), &laptop);
        shop.tables["products"].commit(products::store::insertion(&product)).await.unwrap();
        shop
    }

    /// One of `0..count`, as the generated schedule has it.
    fn choose(&mut self, count: usize) -> usize {
        self.chosen += 1;
        usize::from(self.choices[self.chosen % self.choices.len()]) % count
    }

    fn payments(&self) -> Payments {
        Payments::new(self.tables["payments"].clone(), self.ledger.clone())
    }

    /// Who listens to an event.
    fn consumers(&self, event_type: &str) -> Vec<Arc<dyn Consumer>> {
        let [products, orders, payments] = ["products", "orders", "payments"].map(|name| self.tables[name].clone());
        let stock = || Arc::new(products::consumers::order_events::OrderEvents { table: products.clone() });
        let payable = || Arc::new(payments::consumers::order_events::OrderEvents { table: payments.clone() });
        match event_type {
            "product.created" => vec![Arc::new(orders::consumers::product_events::ProductEvents { table: orders })],
            "order.created" | "order.cancelled" => vec![stock(), payable()],
            "order.confirmed" => vec![stock()],
            "order.status_changed" => vec![payable()],
            "inventory.reserved" | "inventory.rejected" | "inventory.released" => {
                vec![Arc::new(orders::consumers::inventory_events::InventoryEvents { table: orders })]
            }
            "payment.completed" | "payment.failed" | "payment.refunded" => {
                vec![Arc::new(orders::consumers::payment_events::PaymentEvents { table: orders })]
            }
            "payment.refund_requested" => {
                vec![Arc::new(payments::consumers::refund_requests::RefundRequests { payments: self.payments() })]
            }
            other => panic!("nobody listens to {other}"),
        }
    }

    /// Takes what the services put in their outboxes, to be delivered one to three times each.
    fn collect(&mut self) {
        for item in self.database.stream() {
            if item["type"]["S"] != "outbox" {
                continue;
            }
            let event: Envelope = serde_json::from_str(item["envelope"]["S"].as_str().unwrap()).unwrap();
            *self.published.entry((event.event_type.clone(), event.aggregate_id)).or_default() += 1;
            for consumer in self.consumers(&event.event_type) {
                for _ in 0..=self.choose(3) {
                    self.queue.push((consumer.clone(), event.clone()));
                }
            }
        }
    }

    async fn deliver_one(&mut self) {
        let next = self.choose(self.queue.len());
        let (consumer, event) = self.queue.swap_remove(next);
        consumer::handle(&*consumer, event).await.unwrap();
        self.collect();
    }

    async fn deliver_all(&mut self) {
        self.collect();
        while !self.queue.is_empty() {
            self.deliver_one().await;
        }
    }

    fn api(&self, router: Router) -> Api {
        Api::new(router).customer(USER)
    }

    async fn perform(&mut self, doing: &Doing) {
        let orders = Orders::new(self.tables["orders"].clone());
        match doing {
            Doing::Order { quantity } => {
                let body = json!({"user_id": USER, "product_id": 2, "quantity": quantity});
                let answer = self.api(orders::http::create_order::router(orders)).post("/api/orders", &body).await;
                self.orders.push(answer.body["id"].as_u64().unwrap());
            }
            Doing::Pay { order, method } if !self.orders.is_empty() => {
                let body = json!({"order_id": order.get(&self.orders), "payment_method": method});
                let router = payments::http::create_payment::router(self.payments());
                self.api(router).post("/api/payments", &body).await;
            }
            Doing::Cancel { order } if !self.orders.is_empty() => {
                let path = format!("/api/orders/{}", order.get(&self.orders));
                self.api(orders::http::cancel_order::router(orders)).delete(&path).await;
            }
            Doing::Expire => self.expire(Duration::from_secs(60 * 60)).await,
            Doing::Reconcile => self.reconcile().await,
            Doing::Pay { .. } | Doing::Cancel { .. } => {}
        }
        self.collect();
    }

    /// Time passes beyond every payment window.
    async fn expire(&self, later: Duration) {
        ExpireUnpaid { table: self.tables["orders"].clone() }.run(Timestamp::now().plus(later)).await.unwrap();
    }

    /// Time passes beyond every provider's patience.
    async fn reconcile(&self) {
        let later = Timestamp::now().plus(Duration::from_secs(60 * 60));
        Reconcile { payments: self.payments() }.run(later).await.unwrap();
    }

    fn items(&self, table: &str, item_type: &str) -> Vec<Value> {
        let mut items = self.database.items(&self.tables[table]);
        items.retain(|item| item["type"]["S"] == item_type);
        items
    }

    async fn check(&self) {
        self.check_stock().await;
        for id in &self.orders {
            let id = Id::new(*id).unwrap();
            let order = orders::store::get(&self.tables["orders"], id).await.unwrap().unwrap();
            self.check_money(&order).await;
        }
        for ((event_type, id), times) in &self.published {
            let repeatable = ["order.status_changed", "payment.refund_requested"].contains(&event_type.as_str());
            assert!(repeatable || *times == 1, "{event_type} of {id} was published {times} times");
        }
    }

    async fn check_stock(&self) {
        let laptop = products::store::get(&self.tables["products"], Id::new(2).unwrap()).await.unwrap().unwrap();
        let counters = [laptop.stock, laptop.reserved, laptop.sold];
        assert!(counters.iter().all(|units| *units >= 0), "{counters:?}");
        assert_eq!(counters.iter().sum::<i64>(), UNITS);
        let mut confirmed = 0;
        for id in &self.orders {
            let id = Id::new(*id).unwrap();
            let order = orders::store::get(&self.tables["orders"], id).await.unwrap().unwrap();
            if order.status == OrderStatus::Paid && order.confirmed {
                confirmed += i64::from(order.quantity);
            }
        }
        assert_eq!((laptop.reserved, laptop.sold), (0, confirmed), "stock is held for nobody");
    }

    async fn check_money(&self, order: &Order) {
        let mut kept = 0;
        let mut declined = 0;
        for item in self.items("payments", "payment") {
            if item["order_id"]["N"] != order.id.to_string() {
                continue;
            }
            let id: Id = item["id"]["N"].as_str().unwrap().parse().unwrap();
            let payment = payments::store::get(&self.tables["payments"], id).await.unwrap().unwrap();
            let charged = self.ledger.charged.lock().unwrap().contains(&id);
            let refunds = self.ledger.refunds.lock().unwrap().get(&id).copied().unwrap_or(0);
            assert!(refunds <= u32::from(charged), "payment {id} was given back {refunds} times");
            kept += i64::from(charged) - i64::from(refunds);
            declined += u32::from(payment.status == PaymentStatus::Failed);
            let expected = match (charged, refunds) {
                (false, _) => PaymentStatus::Failed,
                (true, 0) => PaymentStatus::Completed,
                (true, _) => PaymentStatus::Refunded,
            };
            assert_eq!(payment.status, expected);
        }
        assert_eq!(order.failed_payments, declined, "each decline counts once");
        match order.status {
            OrderStatus::Paid => assert_eq!(kept, 1, "a paid order is paid for once"),
            OrderStatus::Cancelled => assert_eq!(kept, 0, "nothing is kept for a cancelled order"),
            other => panic!("the order stayed {other:?}"),
        }
    }
}

async fn run(doings: Vec<Doing>, choices: Vec<u16>) {
    let mut shop = Shop::open(choices).await;
    shop.deliver_all().await;
    for doing in &doings {
        for _ in 0..shop.choose(4) {
            if !shop.queue.is_empty() {
                shop.deliver_one().await;
            }
        }
        shop.perform(doing).await;
    }
    shop.deliver_all().await;
    shop.reconcile().await;
    shop.deliver_all().await;
    shop.expire(Duration::from_secs(24 * 60 * 60)).await;
    shop.deliver_all().await;
    shop.check().await;
}

fn play(doings: Vec<Doing>, choices: Vec<u16>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(doings, choices));
}

fn schedules(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(schedules(1500))]

    #[test]
    fn one_or_two_orders_come_out_right_whatever_the_order_of_events(
        doings in prop::collection::vec(doing(), 2..6),
        choices in prop::collection::vec(any::<u16>(), 64),
    ) {
        play(doings, choices);
    }
}

proptest! {
    #![proptest_config(schedules(800))]

    #[test]
    fn orders_that_compete_for_stock_come_out_right_whatever_the_order_of_events(
        doings in prop::collection::vec(doing(), 6..10),
        choices in prop::collection::vec(any::<u16>(), 64),
    ) {
        play(doings, choices);
    }
}
