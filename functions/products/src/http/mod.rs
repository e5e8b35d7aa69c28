//! The products endpoints.

pub mod create_product;
pub mod get_product;
pub mod health;
pub mod list_products;
pub mod update_product;

/// What the endpoints say of themselves.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    create_product::create_product,
    get_product::get_product,
    health::endpoint,
    list_products::list_products,
    update_product::update_product,
))]
pub struct Documentation;
