//! Three services, their customers, and the events between them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::Router;
use futures::future::{join, join_all};
use orders::{Orders, expiry::ExpireUnpaid};
use payments::{Payments, consumers::provider_events::ProviderEvents, provider::Notification, reconcile::Reconcile};
use products::product::{NewProduct, Product};
use proptest::sample::Index;
use serde_json::{Value, json};
use shared::{
    consumer::{self, Consumer, MessageHandler},
    event::Envelope,
    id::Id,
    money::Money,
    schedule::Job,
    table::Table,
    time::Timestamp,
};
use testing::{Answer, Api, Database};

use crate::{invariant, ledger::Ledger, process::killed_after};

/// What there is of the one product.
pub const UNITS: i64 = 3;
pub const PRODUCT: u64 = 2;
const USER: u64 = 1;
/// Failures of one delivery after which something is wrong for good.
const FAILURES: u32 = 20;

/// What a customer, or time, does.
#[derive(Clone, Debug)]
pub enum Doing {
    Order {
        quantity: u32,
    },
    Pay {
        order: Index,
        method: &'static str,
    },
    Cancel {
        order: Index,
    },
    /// By an admin: the order's payment is given back.
    Refund {
        order: Index,
    },
    /// By an admin: the order was paid in another way.
    MarkPaid {
        order: Index,
    },
    /// By the provider, of its own accord.
    Notify {
        charge: Index,
    },
    Expire,
    Reconcile,
}

/// An event on its way to a consumer.
struct Delivery {
    consumer: Arc<dyn Consumer>,
    event: Envelope,
    failures: u32,
}

pub struct Shop {
    pub database: Database,
    pub tables: HashMap<&'static str, Table>,
    pub ledger: Arc<Ledger>,
    /// The orders that customers were told of.
    pub orders: Vec<u64>,
    /// How often an event of this type and aggregate was published.
    pub published: HashMap<(String, Id), u32>,
    /// How many of the customers' requests may have made a payment each.
    pub payments_asked_for: usize,
    queue: Vec<Delivery>,
    requests: u32,
    choices: Vec<u16>,
    chosen: usize,
}

impl Shop {
    /// A shop with a few units of one product, and a schedule that decides whatever chance would.
    pub async fn open(choices: Vec<u16>) -> Self {
        let database = Database::new();
        let tables = ["products", "orders", "payments"].map(|name| (name, database.table(name))).into();
        database.interleave(choices.iter().map(|choice| (choice >> 8) as u8 % 4).collect());
        let mut shop = Self {
            database,
            tables,
            ledger: Arc::default(),
            orders: Vec::new(),
            published: HashMap::new(),
            payments_asked_for: 0,
            queue: Vec::new(),
            requests: 0,
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
        let product = Product::new(Id::new(PRODUCT).unwrap(), &laptop);
        shop.tables["products"].commit(products::store::insertion(&product)).await.unwrap();
        shop.deliver_all().await;
        shop
    }

    /// Lets things happen, one or two at a time, while events arrive.
    pub async fn perform_all(&mut self, doings: &[Doing]) {
        let mut left = doings;
        while !left.is_empty() {
            let count = (1 + self.choose(2)).min(left.len());
            let (now, later) = left.split_at(count);
            self.meanwhile(now).await;
            left = later;
        }
    }

    /// Delivers what is on its way, and what comes of it, until all is quiet.
    pub async fn deliver_all(&mut self) {
        self.collect();
        while !self.queue.is_empty() {
            self.meanwhile(&[]).await;
        }
    }

    /// A moment beyond every payment window.
    pub async fn expire(&self, later: Duration) {
        let now = Timestamp::now().plus(later);
        ExpireUnpaid { table: self.tables["orders"].clone() }.run(now).await.unwrap();
    }

    /// A moment beyond every provider's patience.
    pub async fn reconcile(&self) {
        let now = Timestamp::now().plus(Duration::from_secs(60 * 60));
        Reconcile { payments: self.payments() }.run(now).await.unwrap();
    }

    /// The provider notifies of each charge, as it promises, at least once.
    pub async fn notify_of_all(&self) {
        for notification in self.ledger.notifications() {
            self.notify(&notification).await;
        }
    }

    async fn notify(&self, notification: &Notification) {
        let consumer = ProviderEvents { table: self.tables["payments"].clone() };
        consumer.handle(&serde_json::to_string(notification).unwrap()).await.unwrap();
    }

    /// The id of the payment that paid for an order.
    async fn payment_of(&self, order: u64) -> Option<Id> {
        let order = orders::store::get(&self.tables["orders"], Id::new(order).unwrap()).await.unwrap();
        order?.payment_id
    }

    /// What a table holds of one type of item.
    pub fn items(&self, table: &str, item_type: &str) -> Vec<Value> {
        let mut items = self.database.items(&self.tables[table]);
        items.retain(|item| item["type"]["S"] == item_type);
        items
    }

    /// One of `0..count`, as the schedule has it.
    fn choose(&mut self, count: usize) -> usize {
        self.chosen += 1;
        usize::from(self.choices[self.chosen % self.choices.len()]) % count
    }

    /// The step at which a process is killed, if it is one of one in so many.
    fn death(&mut self, one_in: usize) -> Option<usize> {
        (self.choose(one_in) == 0).then(|| 1 + self.choose(60))
    }

    /// At the same time: customers' doings, and up to four deliveries.
    async fn meanwhile(&mut self, doings: &[Doing]) {
        let arriving = 1 + self.choose(4);
        let deliveries: Vec<_> = (0..arriving).map_while(|_| self.next_delivery()).collect();
        let deaths: Vec<_> = deliveries.iter().map(|_| self.death(8)).collect();
        let attempts = deliveries.iter().zip(deaths).map(|(delivery, death)| {
            killed_after(death.unwrap_or(usize::MAX), consumer::handle(&*delivery.consumer, delivery.event.clone()))
        });
        let requests: Vec<_> = doings.iter().map(|doing| (doing, self.request_key(), self.death(3))).collect();
        let shop = &*self;
        let requested = requests.iter().map(|(doing, key, death)| shop.perform(doing, key, *death));
        let (outcomes, answers) = join(join_all(attempts), join_all(requested)).await;
        for (delivery, outcome) in deliveries.into_iter().zip(outcomes) {
            if !matches!(outcome, Some(Ok(_))) {
                self.put_back(delivery);
            }
        }
        for (request, answer) in requests.iter().zip(answers) {
            self.note(request.0, answer.as_ref(), request.2.is_some());
        }
        if doings.iter().any(|doing| matches!(doing, Doing::Reconcile)) {
            self.reconcile().await;
        }
        self.collect();
        invariant::check_at_any_time(self);
    }

    /// A customer whose answer is lost, with the process that was to give it or without, asks again
    /// with the same key.
    async fn perform(&self, doing: &Doing, key: &str, death: Option<usize>) -> Option<Answer> {
        if let Some(step) = death {
            killed_after(step, self.request(doing, key)).await;
        }
        self.request(doing, key).await
    }

    async fn request(&self, doing: &Doing, key: &str) -> Option<Answer> {
        let orders = || Orders::new(self.tables["orders"].clone());
        Some(match doing {
            Doing::Order { quantity } => {
                let body = json!({"user_id": USER, "product_id": PRODUCT, "quantity": quantity});
                customer(orders::http::create_order::router(orders()), key).post("/api/orders", &body).await
            }
            Doing::Pay { order, method } if !self.orders.is_empty() => {
                let body = json!({"order_id": order.get(&self.orders), "payment_method": method});
                let router = payments::http::create_payment::router(self.payments());
                customer(router, key).post("/api/payments", &body).await
            }
            Doing::Cancel { order } if !self.orders.is_empty() => {
                let path = format!("/api/orders/{}", order.get(&self.orders));
                customer(orders::http::cancel_order::router(orders()), key).delete(&path).await
            }
            Doing::Refund { order } if !self.orders.is_empty() => {
                let payment = self.payment_of(*order.get(&self.orders)).await?;
                let router = payments::http::refund_payment::router(self.tables["payments"].clone());
                Api::new(router).admin().post(&format!("/api/payments/{payment}/refund"), &json!({})).await
            }
            Doing::MarkPaid { order } if !self.orders.is_empty() => {
                let path = format!("/api/orders/{}/status", order.get(&self.orders));
                let router = orders::http::set_order_status::router(orders());
                Api::new(router).admin().put(&path, &json!({"status": "PAID"})).await
            }
            Doing::Notify { charge } => {
                let notifications = self.ledger.notifications();
                if !notifications.is_empty() {
                    self.notify(charge.get(&notifications)).await;
                }
                return None;
            }
            Doing::Expire => {
                self.expire(Duration::from_secs(60 * 60)).await;
                return None;
            }
            Doing::Reconcile
            | Doing::Pay { .. }
            | Doing::Cancel { .. }
            | Doing::Refund { .. }
            | Doing::MarkPaid { .. } => return None,
        })
    }

    fn note(&mut self, doing: &Doing, answer: Option<&Answer>, asked_twice: bool) {
        let Some(answer) = answer else { return };
        match doing {
            Doing::Order { .. } => self.orders.push(answer.body["id"].as_u64().unwrap()),
            Doing::Pay { .. } => {
                let made = [201, 202, 402].contains(&answer.status.as_u16());
                self.payments_asked_for += usize::from(made || asked_twice);
            }
            _ => {}
        }
    }

    fn request_key(&mut self) -> String {
        self.requests += 1;
        self.requests.to_string()
    }

    fn next_delivery(&mut self) -> Option<Delivery> {
        if self.queue.is_empty() {
            return None;
        }
        let next = self.choose(self.queue.len());
        Some(self.queue.swap_remove(next))
    }

    fn put_back(&mut self, delivery: Delivery) {
        let failures = delivery.failures + 1;
        assert!(failures < FAILURES, "{} is never handled", delivery.event.event_type);
        self.queue.push(Delivery { failures, ..delivery });
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
                    self.queue.push(Delivery { consumer: consumer.clone(), event: event.clone(), failures: 0 });
                }
            }
        }
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

    fn payments(&self) -> Payments {
        Payments::new(self.tables["payments"].clone(), self.ledger.clone())
    }
}

fn customer(router: Router, key: &str) -> Api {
    Api::new(router).customer(USER).with("idempotency-key", key)
}
