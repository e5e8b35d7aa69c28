use serde::{Deserialize, Serialize};

use super::payload;
use crate::{id::Id, money::Money};

/// A product can be ordered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProductCreated {
    pub product_id: Id,
    pub name: String,
    pub price: Money,
    /// `None` when it has none, or in events from before there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Of the product's description and price: replicas keep the highest they have seen.
    pub version: u64,
}

/// A product's description or price changed; carries what replicas keep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProductUpdated {
    pub product_id: Id,
    pub name: String,
    pub price: Money,
    /// `None` when it has none, or in events from before there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    pub version: u64,
}

payload! {
    ProductCreated = "product.created", "Product", product_id;
    ProductUpdated = "product.updated", "Product", product_id;
}
