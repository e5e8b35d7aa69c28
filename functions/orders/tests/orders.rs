//! The orders endpoints as their callers see them.

#![allow(clippy::unwrap_used)]

use axum::http::StatusCode;
use orders::{Orders, catalogue::Catalogue, consumers, expiry::ExpireUnpaid, http, order::Quote};
use serde_json::{Value, json};
use shared::{
    consumer::{self, Outcome},
    event::{Envelope, InventoryReserved, Payload, PaymentFailed, ProductUpdated, UserCreated, UserDeleted},
    id::Id,
    money::Money,
    schedule::Job,
    table::{Table, Transaction},
    time::Timestamp,
};
use testing::{Answer, Api, Database, Fault};

struct Shop {
    database: Database,
    table: Table,
    orders: Orders,
}

fn id(value: u64) -> Id {
    Id::new(value).unwrap()
}

async fn shop() -> Shop {
    let database = Database::new();
    let table = database.table("orders");
    let price = Money::from_minor_units(99_999).unwrap();
    let category = Some("computers".to_owned());
    let laptop = Quote { product_id: id(2), name: "Laptop".into(), price, category, version: 1 };
    table.commit(Transaction::new().insert(&laptop)).await.unwrap();
    database.calls();
    Shop { orders: Orders::new(table.clone()), table, database }
}

impl Shop {
    fn create(&self) -> Api {
        Api::new(http::create_order::router(self.orders.clone())).customer(1)
    }

    async fn order(&self, body: &Value) -> Answer {
        self.create().post("/api/orders", body).await
    }

    async fn placed(&self) -> Value {
        let answer = self.order(&json!({"user_id": 1, "product_id": 2, "quantity": 3})).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        answer.body
    }

    fn stored(&self, item_type: &str) -> usize {
        self.database.items(&self.table).iter().filter(|item| item["type"]["S"] == item_type).count()
    }

    async fn inventory<P: Payload>(&self, payload: &P) -> Outcome {
        let consumer = consumers::inventory_events::InventoryEvents { table: self.table.clone() };
        consumer::handle(&consumer, Envelope::new(payload).unwrap()).await.unwrap()
    }

    async fn get(&self, order: &Value) -> Value {
        let api = Api::new(http::get_order::router(self.orders.clone())).admin();
        api.get(&format!("/api/orders/{}", order["id"])).await.body
    }
}

#[tokio::test]
async fn the_documents_order_costs_what_the_document_says() {
    let order = shop().await.placed().await;
    assert_eq!((&order["total"], &order["status"]), (&json!(2999.97), &json!("PENDING")));
}

#[tokio::test]
async fn an_order_by_product_name_with_the_right_total_is_accepted() {
    let shop = shop().await;
    let answer = shop.order(&json!({"user_id": 1, "product": " laptop", "quantity": 1, "total": 999.99})).await;
    assert_eq!((answer.status, &answer.body["product"]), (StatusCode::CREATED, &json!("Laptop")));
}

#[tokio::test]
async fn an_order_tells_the_category_that_its_product_had() {
    let shop = shop().await;
    shop.placed().await;
    let items = shop.database.items(&shop.table);
    let outbox = items.iter().find(|item| item["event_type"]["S"] == "order.created").unwrap();
    let event: Envelope = serde_json::from_str(outbox["envelope"]["S"].as_str().unwrap()).unwrap();
    assert_eq!(event.data["category"], "computers");
}

#[tokio::test]
async fn an_order_is_one_read_and_one_transaction() {
    let shop = shop().await;
    let create = shop.create().with("idempotency-key", "k1");
    create.post("/api/orders", &json!({"user_id": 1, "product_id": 2, "quantity": 1})).await;
    assert_eq!(shop.database.calls(), ["GetItem", "TransactWriteItems"]);
    assert_eq!(["order", "outbox", "idempotency", "payment_deadline"].map(|item| shop.stored(item)), [1, 1, 1, 1]);
}

#[tokio::test]
async fn getting_an_order_is_one_read() {
    let shop = shop().await;
    let order = shop.placed().await;
    shop.database.calls();
    assert_eq!(shop.get(&order).await, order);
    assert_eq!(shop.database.calls(), ["GetItem"]);
}

#[tokio::test]
async fn bad_orders_are_refused_with_a_pointer_and_leave_nothing_behind() {
    let shop = shop().await;
    let huge = json!(u64::MAX);
    let cases = [
        (json!({"product_id": 2, "quantity": 1}), "/user_id"),
        (json!({"user_id": "1", "product_id": 2, "quantity": 1}), "/user_id"),
        (json!({"user_id": huge, "product_id": 2, "quantity": 1}), "/user_id"),
        (json!({"user_id": 1, "quantity": 1}), "/product_id"),
        (json!({"user_id": 1, "product_id": 2, "product": "Laptop", "quantity": 1}), "/product_id"),
        (json!({"user_id": 1, "product_id": 99, "quantity": 1}), "/product_id"),
        (json!({"user_id": 1, "product_id": 2, "quantity": 0}), "/quantity"),
        (json!({"user_id": 1, "product_id": 2, "quantity": -1}), "/quantity"),
        (json!({"user_id": 1, "product_id": 2, "quantity": 1.5}), "/quantity"),
        (json!({"user_id": 1, "product_id": 2, "quantity": 4_000_000_000u32}), "/quantity"),
        (json!({"user_id": 1, "product_id": 2, "quantity": 1, "total": 999.999}), "/total"),
        (json!({"user_id": 1, "product_id": 2, "quantity": 1, "total": 1}), "/total"),
        (json!({"user_id": 1, "product_id": 2, "quantity": 1, "status": "PAID"}), "/status"),
        (json!({"user_id": 1, "product": "Nope", "quantity": 1}), "/product"),
        (json!({"user_id": 1, "product": "x".repeat(201), "quantity": 1}), "/product"),
    ];
    for (body, pointer) in cases {
        let answer = shop.order(&body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", answer.body);
        assert!(answer.pointers().contains(&pointer), "{body}: {}", answer.body);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    assert_eq!(shop.stored("order"), 0);
}

#[tokio::test]
async fn what_is_not_json_is_refused() {
    let shop = shop().await;
    let post = |mime: &str, body: String| {
        let api = shop.create().with("content-type", mime);
        async move { api.post_raw("/api/orders", body).await.status }
    };
    assert_eq!(post("application/json", "{".into()).await, StatusCode::BAD_REQUEST);
    assert_eq!(post("application/json", "".into()).await, StatusCode::BAD_REQUEST);
    assert_eq!(post("application/json", "{} x".into()).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(post("application/json", " [1, 2, null, 1, null]".into()).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(post("text/plain", "{}".into()).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(post("application/json", "x".repeat(1 << 20)).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(shop.stored("order"), 0);
}

#[tokio::test]
async fn ordering_for_somebody_else_or_without_a_token_is_refused() {
    let shop = shop().await;
    let body = json!({"user_id": 7, "product_id": 2, "quantity": 1});
    assert_eq!(shop.order(&body).await.status, StatusCode::FORBIDDEN);
    let nobody = Api::new(http::create_order::router(shop.orders.clone()));
    assert_eq!(nobody.post("/api/orders", &body).await.status, StatusCode::UNAUTHORIZED);
    let admin = nobody.admin().post("/api/orders", &body).await;
    assert_eq!((admin.status, admin.pointers()), (StatusCode::UNPROCESSABLE_ENTITY, vec!["/user_id"]));
}

#[tokio::test]
async fn the_same_key_and_body_is_one_order_however_often_it_is_sent() {
    let shop = shop().await;
    let create = shop.create().with("idempotency-key", "k1");
    let body = json!({"user_id": 1, "product_id": 2, "quantity": 1});
    let first = create.post("/api/orders", &body).await;
    let again = create.post("/api/orders", &body).await;
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(first.body, again.body);
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!((shop.stored("order"), shop.stored("outbox")), (1, 1));
}

#[tokio::test]
async fn an_answer_lost_after_the_write_is_given_again() {
    let shop = shop().await;
    let create = shop.create().with("idempotency-key", "k1");
    let body = json!({"user_id": 1, "product_id": 2, "quantity": 1});
    shop.database.inject(Fault::AnswerLost);
    assert_eq!(create.post("/api/orders", &body).await.status, StatusCode::SERVICE_UNAVAILABLE);
    let again = create.post("/api/orders", &body).await;
    assert_eq!((again.status, shop.stored("order")), (StatusCode::CREATED, 1));
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused() {
    let shop = shop().await;
    let create = shop.create().with("idempotency-key", "k1");
    create.post("/api/orders", &json!({"user_id": 1, "product_id": 2, "quantity": 1})).await;
    let other = create.post("/api/orders", &json!({"user_id": 1, "product_id": 2, "quantity": 2})).await;
    assert_eq!(
        (other.status, &other.body["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("idempotency_key_reused"))
    );
    assert_eq!(shop.stored("order"), 1);
}

#[tokio::test]
async fn one_customers_key_says_nothing_about_anothers() {
    let shop = shop().await;
    let api = Api::new(http::create_order::router(shop.orders.clone())).with("idempotency-key", "k1");
    for user in [1, 3] {
        let body = json!({"user_id": user, "product_id": 2, "quantity": 1});
        assert_eq!(api.customer(user).post("/api/orders", &body).await.body["user_id"], user);
    }
}

#[tokio::test]
async fn a_stranger_finds_no_order() {
    let shop = shop().await;
    let path = format!("/api/orders/{}", shop.placed().await["id"]);
    let get = Api::new(http::get_order::router(shop.orders.clone()));
    let cancel = Api::new(http::cancel_order::router(shop.orders.clone()));
    assert_eq!(get.customer(9).get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(cancel.customer(9).delete(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(get.customer(1).get(&path).await.status, StatusCode::OK);
}

#[tokio::test]
async fn ids_that_are_none_are_malformed() {
    let shop = shop().await;
    let get = Api::new(http::get_order::router(shop.orders.clone())).admin();
    for text in ["0", "-1", "abc", "1e3", "9007199254740992", "99999999999999999999999", "%00", "1%2F2"] {
        let answer = get.get(&format!("/api/orders/{text}")).await;
        assert_eq!((answer.status, answer.pointers()), (StatusCode::BAD_REQUEST, vec![":id"]), "{text}");
    }
    assert_eq!(get.get("/api/orders/9007199254740991").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_order_is_cancelled_once() {
    let shop = shop().await;
    let path = format!("/api/orders/{}", shop.placed().await["id"]);
    let cancel = Api::new(http::cancel_order::router(shop.orders.clone())).customer(1);
    let first = cancel.delete(&path).await;
    assert_eq!((first.status, &first.body["status"]), (StatusCode::OK, &json!("CANCELLED")));
    assert_eq!(cancel.delete(&path).await.status, StatusCode::CONFLICT);
    assert_eq!(shop.stored("outbox"), 2);
}

#[tokio::test]
async fn only_an_admin_moves_an_order_on() {
    let shop = shop().await;
    let path = format!("/api/orders/{}/status", shop.placed().await["id"]);
    let api = Api::new(http::set_order_status::router(shop.orders.clone()));
    assert_eq!(api.customer(1).put(&path, &json!({"status": "PAID"})).await.status, StatusCode::FORBIDDEN);
    assert_eq!(api.admin().put(&path, &json!({"status": "COMPLETED"})).await.status, StatusCode::CONFLICT);
    let unknown = api.admin().put(&path, &json!({"status": "LOST"})).await;
    assert_eq!((unknown.status, unknown.pointers()), (StatusCode::UNPROCESSABLE_ENTITY, vec!["/status"]));
    assert_eq!(api.admin().put(&path, &json!({"status": "PAID"})).await.body["status"], "PAID");
}

#[tokio::test]
async fn lists_show_names_and_only_ones_own_orders_page_by_page() {
    let shop = shop().await;
    let user = UserCreated {
        user_id: id(1),
        name: "Alice Johnson".into(),
        email: "alice@example.com".into(),
        role: Default::default(),
        version: 1,
    };
    let users = consumers::user_events::UserEvents { table: shop.table.clone() };
    consumer::handle(&users, Envelope::new(&user).unwrap()).await.unwrap();
    for _ in 0..5 {
        shop.placed().await;
    }
    let list = Api::new(http::list_orders::router(shop.orders.clone()));
    let mut seen = Vec::new();
    let mut path = "/api/orders?limit=2".to_owned();
    loop {
        let page = list.admin().get(&path).await.body;
        let orders = page["data"].as_array().unwrap();
        assert!(orders.iter().all(|order| order["user"] == "Alice Johnson" && order["product"] == "Laptop"));
        seen.extend(orders.iter().map(|order| order["id"].as_u64().unwrap()));
        match page["next"].as_str() {
            Some(cursor) => path = format!("/api/orders?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.is_sorted_by(|a, b| a > b));
    assert_eq!(list.customer(9).get("/api/orders").await.body["data"], json!([]));
    assert!(!shop.database.calls().contains(&"Scan".to_owned()));
}

#[tokio::test]
async fn cursors_and_limits_that_were_tampered_with_are_refused() {
    let shop = shop().await;
    for _ in 0..2 {
        shop.placed().await;
    }
    let list = Api::new(http::list_orders::router(shop.orders.clone()));
    let cursor = list.customer(1).get("/api/orders?limit=1").await.body["next"].as_str().unwrap().to_owned();
    let others = list.admin().get(&format!("/api/orders?cursor={cursor}")).await;
    assert_eq!((others.status, others.pointers()), (StatusCode::BAD_REQUEST, vec!["?cursor"]));
    for query in ["cursor=x", "cursor=", "limit=0", "limit=101", "limit=x", "limit=-1"] {
        assert_eq!(list.admin().get(&format!("/api/orders?{query}")).await.status, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test]
async fn an_event_delivered_twice_has_one_effect() {
    let shop = shop().await;
    let order = shop.placed().await;
    let order_id = id(order["id"].as_u64().unwrap());
    let failed = PaymentFailed {
        payment_id: id(5),
        order_id,
        user_id: id(1),
        amount: Money::ZERO,
        reason: "card_declined".into(),
    };
    let event = Envelope::new(&failed).unwrap();
    let payments = consumers::payment_events::PaymentEvents { table: shop.table.clone() };
    assert_eq!(consumer::handle(&payments, event.clone()).await.unwrap(), Outcome::Handled);
    assert_eq!(consumer::handle(&payments, event).await.unwrap(), Outcome::Duplicate);
    assert_eq!(shop.get(&order).await["failed_payments"], 1);
}

#[tokio::test]
async fn an_event_about_an_unknown_order_is_not_swallowed() {
    let shop = shop().await;
    let reserved = InventoryReserved { order_id: id(404), product_id: id(2), quantity: 1 };
    let consumer = consumers::inventory_events::InventoryEvents { table: shop.table.clone() };
    assert!(consumer::handle(&consumer, Envelope::new(&reserved).unwrap()).await.is_err());
}

#[tokio::test]
async fn an_old_price_never_replaces_a_newer_one() {
    let shop = shop().await;
    let products = consumers::product_events::ProductEvents { table: shop.table.clone() };
    for (version, units) in [(3, 300), (2, 200)] {
        let price = Money::from_minor_units(units).unwrap();
        let category = Some(format!("category {version}"));
        let update = ProductUpdated { product_id: id(2), name: "Laptop".into(), price, category, version };
        consumer::handle(&products, Envelope::new(&update).unwrap()).await.unwrap();
    }
    let known = Catalogue::new(shop.table.clone(), None).known(id(2)).await.unwrap().unwrap();
    assert_eq!((known.version, known.price.minor_units()), (3, 300));
    assert_eq!(known.category.as_deref(), Some("category 3"));
}

#[tokio::test]
async fn a_deleted_user_stays_deleted_when_older_news_arrives() {
    let shop = shop().await;
    let users = consumers::user_events::UserEvents { table: shop.table.clone() };
    let deleted = UserDeleted { user_id: id(1), version: 2, by: None };
    let created = UserCreated {
        user_id: id(1),
        name: "Alice".into(),
        email: "a@example.com".into(),
        role: Default::default(),
        version: 1,
    };
    consumer::handle(&users, Envelope::new(&deleted).unwrap()).await.unwrap();
    consumer::handle(&users, Envelope::new(&created).unwrap()).await.unwrap();
    assert_eq!(orders::store::known_user(&shop.table, id(1)).await.unwrap().unwrap().name, None);
}

#[tokio::test]
async fn an_unpaid_order_is_cancelled_when_its_window_has_passed_and_a_paid_one_is_not() {
    let shop = shop().await;
    let (unpaid, paid) = (shop.placed().await, shop.placed().await);
    let api = Api::new(http::set_order_status::router(shop.orders.clone())).admin();
    api.put(&format!("/api/orders/{}/status", paid["id"]), &json!({"status": "PAID"})).await;
    let job = ExpireUnpaid { table: shop.table.clone() };
    assert_eq!(job.run(Timestamp::now()).await.unwrap(), 0);
    let later = Timestamp::now().plus(shop.orders.payment_window);
    assert_eq!(job.run(later).await.unwrap(), 1);
    assert_eq!(job.run(later).await.unwrap(), 0);
    assert_eq!(shop.get(&unpaid).await["cancel_reason"], "unpaid");
    assert_eq!(shop.get(&paid).await["status"], "PAID");
    assert_eq!(shop.stored("payment_deadline"), 0);
}

#[tokio::test]
async fn a_lost_table_is_a_503_that_says_when_to_come_back() {
    let shop = shop().await;
    shop.database.inject(Fault::Down);
    let answer = shop.order(&json!({"user_id": 1, "product_id": 2, "quantity": 1})).await;
    assert_eq!((answer.status, answer.headers.contains_key("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, true));
    shop.database.heal();
    shop.placed().await;
}

#[tokio::test]
async fn reserved_stock_shows_in_the_order() {
    let shop = shop().await;
    let order = shop.placed().await;
    let order_id = id(order["id"].as_u64().unwrap());
    assert_eq!(shop.inventory(&InventoryReserved { order_id, product_id: id(2), quantity: 3 }).await, Outcome::Handled);
    assert_eq!(shop.get(&order).await["stock"], "RESERVED");
}
