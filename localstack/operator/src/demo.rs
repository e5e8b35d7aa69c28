//! Demo data that reproduces the documents' sample answers: three users, three products and five
//! orders, two of them pending, two completed and one cancelled, worth 1549.97 in all.
//!
//! Everything is stored with the events that tell of it, and the services do the rest as they do for
//! anybody: they reserve the stock, confirm the orders and keep their replicas.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use orders::order::{CancelReason, NewOrder, Order, OrderStatus, Quote};
use payments::{
    payment::Payment,
    provider::{APPROVED, Outcome},
    settlement::settle,
};
use products::product::{NewProduct, Product};
use shared::{
    event::Role,
    id::Id,
    money::Money,
    table::{NEW_ID, Table, TableError, Transaction},
};
use users::user::User;

use crate::stack::Stack;

/// Demo orders wait for their payment this long: ten years.
const PAYMENT_WINDOW: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How long the services may take to follow.
const PATIENCE: Duration = Duration::from_secs(60);

/// A small id, as a monolith would have given.
pub const fn id(value: u64) -> Id {
    match Id::new(value) {
        Some(id) => id,
        None => unreachable!(),
    }
}

/// What the demo shop sells: id, name, category, price in cents.
const PRODUCTS: [(u64, &str, &str, i64); 3] =
    [(1, "Mouse", "accessories", 2_499), (2, "Laptop", "computers", 99_999), (3, "Monitor", "accessories", 27_499)];
const STOCK: u32 = 100;

/// How a demo order ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Pending,
    Completed,
    Cancelled,
}

/// Who ordered what: id, user, product, quantity.
const ORDERS: [(u64, u64, u64, u32, End); 5] = [
    (1, 1, 2, 1, End::Completed),
    (2, 2, 3, 2, End::Completed),
    (3, 2, 1, 2, End::Pending),
    (4, 3, 2, 1, End::Pending),
    (5, 3, 3, 1, End::Cancelled),
];

/// Loads what is missing of the demo data.
pub async fn load(stack: &Stack) -> Result<()> {
    let carol = User::new(id(3), "Carol Davis", "carol@example.com", Role::Customer);
    store(&stack.table("users"), users::store::insertion(&carol)).await?;
    for (number, name, category, cents) in PRODUCTS {
        let product = product(number, name, category, cents)?;
        store(&stack.table("products"), products::store::insertion(&product)).await?;
    }
    for (number, user, product, quantity, _) in ORDERS {
        let order = order(number, user, product, quantity)?;
        store(&stack.table("orders"), orders::store::insertion(&order)).await?;
    }
    for (number, .., end) in ORDERS {
        match end {
            End::Pending => {}
            End::Completed => complete(stack, id(number)).await?,
            End::Cancelled => cancel(&stack.table("orders"), id(number)).await?,
        }
    }
    Ok(())
}

/// Stores something that has an id of its own, unless it was stored before.
async fn store(table: &Table, insertion: Transaction) -> Result<()> {
    match table.commit(insertion).await {
        Err(TableError::Failed(checks)) if checks.iter().any(|check| check.label == NEW_ID) => Ok(()),
        result => Ok(result?),
    }
}

fn product(number: u64, name: &str, category: &str, cents: i64) -> Result<Product> {
    let new = NewProduct {
        name: name.to_owned(),
        description: None,
        category: Some(category.to_owned()),
        price: Money::from_minor_units(cents)?,
        stock: Some(STOCK),
    };
    Ok(Product::new(id(number), &new))
}

fn order(number: u64, user: u64, product: u64, quantity: u32) -> Result<Order> {
    let sold = PRODUCTS.iter().find(|(number, ..)| *number == product);
    let (_, name, category, cents) = sold.with_context(|| format!("no demo product {product}"))?;
    let quote = Quote {
        product_id: id(product),
        name: (*name).to_owned(),
        price: Money::from_minor_units(*cents)?,
        category: Some((*category).to_owned()),
        version: 1,
    };
    let new = NewOrder { user_id: id(user), product_id: Some(id(product)), product: None, quantity, total: None };
    Ok(Order::place(id(number), &new, &quote, PAYMENT_WINDOW)?)
}

async fn cancel(table: &Table, order_id: Id) -> Result<()> {
    let order = existing(table, order_id).await?;
    if order.status == OrderStatus::Pending {
        orders::store::change(table, order_id, |order| order.cancel(CancelReason::Requested)).await?;
    }
    Ok(())
}

/// Pays for an order, waits until its stock is reserved, ships it and completes it.
async fn complete(stack: &Stack, order_id: Id) -> Result<()> {
    let table = stack.table("orders");
    if existing(&table, order_id).await?.status == OrderStatus::Completed {
        return Ok(());
    }
    pay(&stack.table("payments"), order_id).await?;
    let started = Instant::now();
    loop {
        let order = existing(&table, order_id).await?;
        let next = match order.status {
            OrderStatus::Completed => return Ok(()),
            OrderStatus::Shipped => Some(OrderStatus::Completed),
            OrderStatus::Paid if order.confirmed => Some(OrderStatus::Shipped),
            OrderStatus::Cancelled => bail!("demo order {order_id} was cancelled meanwhile"),
            _ => None,
        };
        match next {
            Some(status) => {
                orders::store::change(&table, order_id, |order| order.set_status(status)).await?;
            }
            None => pause(started, "orders to confirm a demo order").await?,
        }
    }
}

/// Takes the demo order's money under the order's own id.
async fn pay(table: &Table, order_id: Id) -> Result<()> {
    let started = Instant::now();
    let order = loop {
        match payments::store::order(table, order_id).await? {
            Some(order) => break order,
            None => pause(started, "payments to learn of a demo order").await?,
        }
    };
    if order.paid_by.is_some() {
        return Ok(());
    }
    if order.claim.is_none() {
        let payment = Payment::start(order_id, &order, APPROVED);
        store(table, payments::store::claim(&payment, &order)).await?;
    }
    settle(table, order_id, &Outcome::Approved).await?;
    Ok(())
}

async fn existing(table: &Table, order_id: Id) -> Result<Order> {
    orders::store::get(table, order_id).await?.with_context(|| format!("no demo order {order_id}"))
}

async fn pause(started: Instant, awaited: &str) -> Result<()> {
    if started.elapsed() > PATIENCE {
        bail!("waited {PATIENCE:?} for {awaited}; look at the functions' logs");
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    Ok(())
}
