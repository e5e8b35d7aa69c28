//! A product and its stock.

use garde::Validate;
use serde::{Deserialize, Serialize};
use shared::{
    event::{ProductCreated, ProductUpdated},
    id::Id,
    money::Money,
    text::not_blank,
    time::Timestamp,
};
use utoipa::ToSchema;

/// The most units of a product on sale.
pub const MAX_STOCK: u32 = 1_000_000;
const MAX_PRICE_MINOR_UNITS: i64 = 100_000_000;

/// A product as an admin describes it: the body of a create and of a full update.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProduct {
    #[garde(custom(not_blank), length(chars, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    #[garde(inner(length(chars, max = 2000)))]
    #[schema(max_length = 2000)]
    pub description: Option<String>,
    #[garde(inner(length(chars, min = 1, max = 100)))]
    #[schema(min_length = 1, max_length = 100)]
    pub category: Option<String>,
    #[garde(custom(sellable))]
    #[schema(value_type = f64, minimum = 0.01, maximum = 1_000_000, multiple_of = 0.01)]
    pub price: Money,
    /// Units on sale. Absent, a new product has none and an update leaves them as they are.
    #[garde(inner(range(max = MAX_STOCK)))]
    #[schema(maximum = 1_000_000)]
    pub stock: Option<u32>,
}

fn sellable(price: &Money, (): &()) -> garde::Result {
    if (1..=MAX_PRICE_MINOR_UNITS).contains(&price.minor_units()) {
        Ok(())
    } else {
        Err(garde::Error::new("a price lies between 0.01 and 1000000"))
    }
}

/// A product. `stock + reserved + sold` changes only when an admin sets the stock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": 2, "name": "Laptop", "description": null, "category": "computers", "price": 999.99, "stock": 98,
    "reserved": 1, "sold": 1, "created_at": "2026-01-15T10:30:45.123Z", "updated_at": "2026-01-15T10:30:45.123Z",
    "version": 1,
}))]
pub struct Product {
    pub id: Id,
    pub name: String,
    pub description: Option<String>,
    pub category: Option<String>,
    pub price: Money,
    /// Units on sale.
    pub stock: i64,
    /// Units set aside for orders that are not confirmed yet.
    pub reserved: i64,
    /// Units of confirmed orders.
    pub sold: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Of the description and the price; stock moves without raising it.
    pub version: u64,
}

impl Product {
    pub fn new(id: Id, new: &NewProduct) -> Self {
        let now = Timestamp::now();
        Self {
            id,
            name: new.name.trim().to_owned(),
            description: new.description.clone(),
            category: new.category.clone(),
            price: new.price,
            stock: i64::from(new.stock.unwrap_or(0)),
            reserved: 0,
            sold: 0,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    /// The product as the update describes it, one version on.
    #[must_use]
    pub fn updated(&self, new: &NewProduct) -> Self {
        Self {
            name: new.name.trim().to_owned(),
            description: new.description.clone(),
            category: new.category.clone(),
            price: new.price,
            stock: new.stock.map_or(self.stock, i64::from),
            updated_at: Timestamp::now(),
            version: self.version + 1,
            ..self.clone()
        }
    }

    /// What tells the others that the product can be ordered.
    pub fn created_event(&self) -> ProductCreated {
        ProductCreated {
            product_id: self.id,
            name: self.name.clone(),
            price: self.price,
            category: self.category.clone(),
            version: self.version,
        }
    }

    /// What tells the others what the product is called, costs and belongs to now.
    pub fn updated_event(&self) -> ProductUpdated {
        ProductUpdated {
            product_id: self.id,
            name: self.name.clone(),
            price: self.price,
            category: self.category.clone(),
            version: self.version,
        }
    }
}
