//! The products table.

use aws_sdk_dynamodb::types::AttributeValue;
use shared::{
    id::Id,
    table::{
        IndexKey, Indexes, Item, Key, Listing, Page, PageError, PageRequest, Shard, Table, TableError, Transaction,
        Update,
    },
};

use crate::{
    product::Product,
    reservation::{Reservation, ReservationState},
};

const PRODUCTS: &str = "PRODUCTS";
/// The label of the check that there is enough stock.
pub const STOCK: &str = "stock";

impl Item for Product {
    const TYPE: &'static str = "product";

    fn key(&self) -> Key {
        product_key(self.id)
    }

    fn indexes(&self) -> Indexes {
        Indexes {
            gsi1: Some(IndexKey::new(Shard::of(PRODUCTS, self.id), self.id.sortable())),
            gsi2: Some(IndexKey::new(named(&self.name), self.id.sortable())),
        }
    }
}

impl shared::http::Resource for Product {
    const COLLECTION: &'static str = "/api/products";

    fn id(&self) -> Id {
        self.id
    }
}

impl Item for Reservation {
    const TYPE: &'static str = "reservation";

    fn key(&self) -> Key {
        reservation_key(self.order_id)
    }

    fn version(&self) -> Option<u64> {
        Some(self.version)
    }
}

fn product_key(id: Id) -> Key {
    Key::new(format!("PRODUCT#{id}"), "PRODUCT")
}

fn reservation_key(order_id: Id) -> Key {
    Key::new(format!("RESERVATION#{order_id}"), "RESERVATION")
}

fn named(name: &str) -> String {
    format!("PRODUCT_NAME#{}", name.trim().to_lowercase())
}

/// Stores a new product and publishes that there is one.
pub fn insertion(product: &Product) -> Transaction {
    Transaction::new().insert_new(product).publish(&product.created_event())
}

/// Changes a product's description, and its stock if `updated` has another, leaving alone what
/// orders move meanwhile; fails as a race when the description or a stock to be set has changed.
pub fn update(stored: &Product, updated: &Product) -> Transaction {
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let number = |value: &dyn ToString| AttributeValue::N(value.to_string());
    let mut update = Update::existing(Product::TYPE, stored.key())
        .require("version", "=", number(&stored.version))
        .set("version", number(&updated.version))
        .set("name", text(&updated.name))
        .set("gsi2pk", text(&named(&updated.name)))
        .set("price", number(&updated.price))
        .set("updated_at", text(&updated.updated_at.to_string()));
    for (attribute, value) in [("description", &updated.description), ("category", &updated.category)] {
        update = match value {
            Some(value) => update.set(attribute, text(value)),
            None => update.remove(attribute),
        };
    }
    if updated.stock != stored.stock {
        update = update.require("stock", "=", number(&stored.stock)).set("stock", number(&updated.stock));
    }
    Transaction::new().update(update).publish(&updated.updated_event())
}

/// Moves units between a product's counters; taking more than is on sale fails the check [`STOCK`].
pub fn move_stock(product_id: Id, stock: i64, reserved: i64, sold: i64) -> Update {
    let mut update = Update::existing(STOCK, product_key(product_id));
    if stock < 0 {
        update = update.require("stock", ">=", AttributeValue::N((-stock).to_string()));
    }
    for (attribute, amount) in [("stock", stock), ("reserved", reserved), ("sold", sold)] {
        if amount != 0 {
            update = update.add(attribute, amount);
        }
    }
    update
}

/// The product with this id.
pub async fn get(table: &Table, id: Id) -> Result<Option<Product>, TableError> {
    table.get(&product_key(id)).await
}

/// The reservation for an order.
pub async fn reservation(table: &Table, order_id: Id) -> Result<Option<Reservation>, TableError> {
    table.get(&reservation_key(order_id)).await
}

/// A reservation that only records why there is none.
pub fn without_stock(order_id: Id, product_id: Id, quantity: u32, state: ReservationState) -> Transaction {
    Transaction::new().insert(&Reservation::new(order_id, product_id, quantity, state))
}

/// All products, newest first.
pub async fn page(table: &Table, request: &PageRequest) -> Result<Page<Product>, PageError> {
    table.page(&Listing::sharded("gsi1", PRODUCTS), request).await
}

/// The products of this name, whatever its case, newest first.
pub async fn page_named(table: &Table, name: &str, request: &PageRequest) -> Result<Page<Product>, PageError> {
    table.page(&Listing::partition("gsi2", named(name)), request).await
}
