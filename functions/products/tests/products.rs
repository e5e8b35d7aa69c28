//! The catalogue as its callers see it, and the stock whatever order events come in.

#![allow(clippy::unwrap_used)]

use axum::http::StatusCode;
use products::{Products, consumers::order_events::OrderEvents, http};
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::{
    consumer::{self, Outcome},
    event::{CancelReason, Envelope, OrderCancelled, OrderConfirmed, OrderCreated},
    id::Id,
    money::Money,
    table::Table,
};
use testing::{Answer, Api, Database, Fault};

struct Shop {
    database: Database,
    table: Table,
}

fn id(value: u64) -> Id {
    Id::new(value).unwrap()
}

fn shop() -> Shop {
    let database = Database::new();
    Shop { table: database.table("products"), database }
}

impl Shop {
    fn products(&self) -> Products {
        Products { table: self.table.clone() }
    }

    fn create(&self) -> Api {
        Api::new(http::create_product::router(self.products())).admin()
    }

    async fn product(&self, body: &Value) -> Answer {
        self.create().post("/api/products", body).await
    }

    async fn laptop(&self, stock: u32) -> Id {
        let answer = self.product(&json!({"name": "Laptop", "price": 999.99, "stock": stock})).await;
        id(answer.body["id"].as_u64().unwrap())
    }

    async fn get(&self, product: Id) -> Value {
        Api::new(http::get_product::router(self.products())).get(&format!("/api/products/{product}")).await.body
    }

    /// What is reserved and sold, by the reservations.
    async fn recount(&self) -> [i64; 2] {
        let mut units = [0, 0];
        for item in self.database.items(&self.table) {
            let quantity: i64 = item["quantity"]["N"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
            match item["state"]["S"].as_str() {
                Some("RESERVED") => units[0] += quantity,
                Some("SOLD") => units[1] += quantity,
                _ => {}
            }
        }
        units
    }

    async fn counters(&self, product: Id) -> [i64; 3] {
        let product = self.get(product).await;
        ["stock", "reserved", "sold"].map(|counter| product[counter].as_i64().unwrap())
    }

    async fn handle(&self, event: &Envelope) -> Outcome {
        consumer::handle(&OrderEvents { table: self.table.clone() }, event.clone()).await.unwrap()
    }

    fn published(&self) -> Vec<String> {
        let items = self.database.items(&self.table);
        let outbox = items.iter().filter(|item| item["type"]["S"] == "outbox");
        let mut types: Vec<String> = outbox.map(|item| item["event_type"]["S"].as_str().unwrap().into()).collect();
        types.sort();
        types
    }
}

fn created(order: u64, product_id: Id, quantity: u32) -> Envelope {
    let event = OrderCreated {
        order_id: id(order),
        user_id: id(1),
        product_id,
        product: "Laptop".into(),
        category: None,
        quantity,
        total: Money::ZERO,
    };
    Envelope::new(&event).unwrap()
}

fn confirmed(order: u64, product_id: Id, quantity: u32) -> Envelope {
    let event = OrderConfirmed { order_id: id(order), user_id: id(1), product_id, quantity, total: Money::ZERO };
    Envelope::new(&event).unwrap()
}

fn cancelled(order: u64, product_id: Id, quantity: u32) -> Envelope {
    let reason = CancelReason::Requested;
    let event =
        OrderCancelled { order_id: id(order), user_id: id(1), product_id, quantity, total: Money::ZERO, reason };
    Envelope::new(&event).unwrap()
}

#[tokio::test]
async fn a_new_product_is_one_transaction_and_getting_it_one_read() {
    let shop = shop();
    let product = shop.laptop(5).await;
    assert_eq!(shop.database.calls(), ["TransactWriteItems"]);
    let found = shop.get(product).await;
    assert_eq!(shop.database.calls(), ["GetItem"]);
    assert_eq!((&found["name"], &found["price"], &found["stock"]), (&json!("Laptop"), &json!(999.99), &json!(5)));
    assert_eq!(shop.published(), ["product.created"]);
}

#[tokio::test]
async fn bad_products_are_refused_with_a_pointer_and_leave_nothing_behind() {
    let shop = shop();
    let cases = [
        (json!({"price": 1}), "/name"),
        (json!({"name": "  ", "price": 1}), "/name"),
        (json!({"name": "x".repeat(201), "price": 1}), "/name"),
        (json!({"name": 1, "price": 1}), "/name"),
        (json!({"name": "x"}), "/price"),
        (json!({"name": "x", "price": 9.999}), "/price"),
        (json!({"name": "x", "price": 0}), "/price"),
        (json!({"name": "x", "price": -1}), "/price"),
        (json!({"name": "x", "price": 1e300}), "/price"),
        (json!({"name": "x", "price": "1"}), "/price"),
        (json!({"name": "x", "price": 1, "stock": -1}), "/stock"),
        (json!({"name": "x", "price": 1, "stock": 1_000_001}), "/stock"),
        (json!({"name": "x", "price": 1, "id": 7}), "/id"),
    ];
    for (body, pointer) in cases {
        let answer = shop.product(&body).await;
        assert_eq!((answer.status, answer.pointers()), (StatusCode::UNPROCESSABLE_ENTITY, vec![pointer]), "{body}");
    }
    assert_eq!(shop.database.items(&shop.table).len(), 0);
}

#[tokio::test]
async fn only_an_admin_changes_the_catalogue() {
    let shop = shop();
    let product = shop.laptop(5).await;
    let body = json!({"name": "Mine", "price": 1});
    let create = Api::new(http::create_product::router(shop.products()));
    let update = Api::new(http::update_product::router(shop.products()));
    assert_eq!(create.post("/api/products", &body).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(create.customer(1).post("/api/products", &body).await.status, StatusCode::FORBIDDEN);
    assert_eq!(update.customer(1).put(&format!("/api/products/{product}"), &body).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_update_changes_the_price_and_leaves_what_orders_hold() {
    let shop = shop();
    let product = shop.laptop(5).await;
    shop.handle(&created(1, product, 2)).await;
    let update = Api::new(http::update_product::router(shop.products())).admin();
    let answer = update.put(&format!("/api/products/{product}"), &json!({"name": "Laptop 2", "price": 899.5})).await;
    assert_eq!((answer.status, &answer.body["version"]), (StatusCode::OK, &json!(2)));
    let found = shop.get(product).await;
    assert_eq!((&found["name"], &found["price"]), (&json!("Laptop 2"), &json!(899.5)));
    assert_eq!(shop.counters(product).await, [3, 2, 0]);
    assert_eq!(update.put("/api/products/404", &json!({"name": "x", "price": 1})).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_others_are_told_a_products_category_and_when_it_changes() {
    let shop = shop();
    let body = json!({"name": "Mouse", "price": 24.99, "category": "accessories"});
    let product = shop.product(&body).await.body["id"].clone();
    let update = Api::new(http::update_product::router(shop.products())).admin();
    update
        .put(&format!("/api/products/{product}"), &json!({"name": "Mouse", "price": 24.99, "category": "gaming"}))
        .await;
    let items = shop.database.items(&shop.table);
    let outbox = items.iter().filter(|item| item["type"]["S"] == "outbox");
    let events = outbox.map(|item| serde_json::from_str::<Envelope>(item["envelope"]["S"].as_str().unwrap()).unwrap());
    let mut told: Vec<_> = events.map(|event| (event.event_type, event.data["category"].clone())).collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [("product.created", json!("accessories")), ("product.updated", json!("gaming"))];
    assert_eq!(told, expected.map(|(name, category)| (name.to_owned(), category)));
}

#[tokio::test]
async fn a_product_is_found_by_name_whatever_its_case_and_by_its_new_name_after_a_change() {
    let shop = shop();
    let product = shop.laptop(5).await;
    let list = Api::new(http::list_products::router(shop.products()));
    assert_eq!(list.get("/api/products?name=LAPTOP").await.body["data"][0]["id"], product.value());
    let update = Api::new(http::update_product::router(shop.products())).admin();
    update.put(&format!("/api/products/{product}"), &json!({"name": "Notebook", "price": 1})).await;
    assert_eq!(list.get("/api/products?name=laptop").await.body["data"], json!([]));
    assert_eq!(list.get("/api/products?name=notebook").await.body["data"][0]["id"], product.value());
    assert!(!shop.database.calls().contains(&"Scan".to_owned()));
}

#[tokio::test]
async fn the_last_units_go_to_one_order_and_the_other_is_told() {
    let shop = shop();
    let product = shop.laptop(3).await;
    shop.handle(&created(1, product, 2)).await;
    shop.handle(&created(2, product, 2)).await;
    assert_eq!(shop.counters(product).await, [1, 2, 0]);
    assert_eq!(shop.published(), ["inventory.rejected", "inventory.reserved", "product.created"]);
}

#[tokio::test]
async fn an_order_for_an_unknown_product_is_rejected() {
    let shop = shop();
    shop.handle(&created(1, id(404), 1)).await;
    assert_eq!(shop.published(), ["inventory.rejected"]);
}

#[tokio::test]
async fn a_cancellation_that_overtakes_its_order_reserves_nothing() {
    let shop = shop();
    let product = shop.laptop(3).await;
    shop.handle(&cancelled(1, product, 2)).await;
    shop.handle(&created(1, product, 2)).await;
    assert_eq!(shop.counters(product).await, [3, 0, 0]);
}

#[tokio::test]
async fn a_lost_table_fails_the_delivery_so_that_it_comes_again() {
    let shop = shop();
    let product = shop.laptop(3).await;
    let event = created(1, product, 2);
    shop.database.inject(Fault::Down);
    let consumer = OrderEvents { table: shop.table.clone() };
    assert!(consumer::handle(&consumer, event.clone()).await.is_err());
    shop.database.heal();
    assert_eq!(shop.handle(&event).await, Outcome::Handled);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Orders of one or two units for four, some cancelled, some confirmed once reserved; every event
    /// delivered one to three times, cancellations in any place.
    #[test]
    fn units_are_never_lost_made_or_sold_twice(
        orders in prop::collection::vec((1u32..=2, any::<bool>(), any::<bool>()), 1..6),
        deliveries in prop::collection::vec((any::<prop::sample::Index>(), 1usize..=3), 6..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let shop = shop();
            let product = shop.laptop(4).await;
            let mut events: Vec<Envelope> = Vec::new();
            for (number, (quantity, cancel, _)) in (1u64..).zip(&orders) {
                events.push(created(number, product, *quantity));
                if *cancel {
                    events.push(cancelled(number, product, *quantity));
                }
            }
            let schedule = deliveries.iter().flat_map(|(index, times)| vec![index.get(&events).clone(); *times]);
            for event in schedule.collect::<Vec<_>>().iter().chain(&events) {
                shop.handle(event).await;
                let [stock, reserved, sold] = shop.counters(product).await;
                assert!(stock >= 0 && stock + reserved + sold == 4);
            }
            for (number, (quantity, _, confirm)) in (1u64..).zip(&orders) {
                if *confirm {
                    let event = confirmed(number, product, *quantity);
                    shop.handle(&event).await;
                    shop.handle(&event).await;
                }
            }
            let [stock, reserved, sold] = shop.counters(product).await;
            assert!(stock >= 0 && reserved >= 0 && sold >= 0 && stock + reserved + sold == 4);
            assert_eq!([reserved, sold], shop.recount().await, "the counters are what the reservations add up to");
            let wanted: u32 = orders.iter().filter(|(_, cancel, _)| !cancel).map(|(quantity, ..)| quantity).sum();
            assert!(reserved + sold <= i64::from(wanted));
        });
    }
}
