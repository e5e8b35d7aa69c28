//! The payments service: charging an order once, and giving money back.

pub mod consumers;
pub mod http;
pub mod payment;
pub mod provider;
pub mod reconcile;
pub mod refund;
pub mod settlement;
pub mod store;

use std::sync::Arc;

use shared::{
    aws::ConfigError,
    client::{ClientError, Get, ServiceClient},
    id::Id,
    table::Table,
};

use crate::{
    payment::{Order, PayableOrder},
    provider::Provider,
};

/// The service's name, in event sources, function names and health.
pub const SERVICE: &str = "payments";

/// What the service's functions share, built once per cold start.
#[derive(Clone)]
pub struct Payments {
    pub table: Table,
    pub provider: Arc<dyn Provider>,
    /// For orders that no event has told of yet.
    orders: Option<ServiceClient>,
}

impl Payments {
    /// A service on this table that knows only the orders in its replica.
    pub fn new(table: Table, provider: Arc<dyn Provider>) -> Self {
        Self { table, provider, orders: None }
    }

    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self::new(Table::from_env()?, Arc::new(provider::Simulator::from_env()?)))
    }

    /// The same, asking orders for what is not in the replica yet.
    pub fn asking_orders(self) -> Result<Self, ConfigError> {
        Ok(Self { orders: Some(ServiceClient::from_env("orders")?), ..self })
    }

    /// Asks orders for an order, as the caller whose `Authorization` header this is.
    async fn ask_orders(&self, id: Id, authorization: Option<&str>) -> Result<Option<PayableOrder>, ClientError> {
        let Some(orders) = &self.orders else { return Ok(None) };
        let request = Get { function: "orders-get", path: format!("/api/orders/{id}"), query: vec![], authorization };
        let order: Option<Order> = orders.get(&request).await?;
        Ok(order.map(PayableOrder::from))
    }
}
