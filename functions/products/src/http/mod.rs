//! The products endpoints.

pub mod create_product;
pub mod get_product;
pub mod health;
pub mod list_products;
pub mod update_product;
