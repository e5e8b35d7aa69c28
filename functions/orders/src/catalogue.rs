//! What things cost: a replica of the catalogue, fed by the products' events.

use serde::{Deserialize, Serialize};
use shared::{
    client::{ClientError, Get, ServiceClient},
    id::Id,
    money::Money,
    table::{IndexKey, Indexes, Item, Key, Listing, PageError, PageRequest, Table, TableError, Transaction},
};

use crate::order::{NewOrder, Quote};

impl Item for Quote {
    const TYPE: &'static str = "quote";

    fn key(&self) -> Key {
        quote_key(self.product_id)
    }

    fn indexes(&self) -> Indexes {
        Indexes { gsi1: None, gsi2: Some(IndexKey::new(named(&self.name), self.product_id.sortable())) }
    }
}

fn quote_key(product_id: Id) -> Key {
    Key::new(format!("PRODUCT#{product_id}"), "PRODUCT")
}

fn named(name: &str) -> String {
    format!("PRODUCT_NAME#{}", name.trim().to_lowercase())
}

/// Prices products: from the replica, and from the products service only for what that lacks.
#[derive(Clone, Debug)]
pub struct Catalogue {
    table: Table,
    products: Option<ServiceClient>,
}

/// Why a product could not be priced.
#[derive(Debug, thiserror::Error)]
pub enum QuoteError {
    #[error("no product with this id")]
    UnknownId,
    #[error("no product of this name")]
    UnknownName,
    #[error(transparent)]
    Page(#[from] PageError),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// A product as the products service answers.
#[derive(Deserialize, Serialize)]
struct Product {
    id: Id,
    name: String,
    price: Money,
    #[serde(default)]
    category: Option<String>,
    version: u64,
}

#[derive(Deserialize)]
struct Products {
    data: Vec<Product>,
}

impl From<Product> for Quote {
    fn from(product: Product) -> Self {
        let Product { id, name, price, category, version } = product;
        Self { product_id: id, name, price, category, version }
    }
}

impl Catalogue {
    pub fn new(table: Table, products: Option<ServiceClient>) -> Self {
        Self { table, products }
    }

    /// The present price of what the order asks for.
    pub async fn quote(&self, new: &NewOrder) -> Result<Quote, QuoteError> {
        let known = match (new.product_id, &new.product) {
            (Some(id), _) => self.table.get(&quote_key(id)).await?,
            (None, Some(name)) => self.find(name).await?,
            (None, None) => None,
        };
        match known {
            Some(quote) => Ok(quote),
            None => self.ask(new).await,
        }
    }

    async fn find(&self, name: &str) -> Result<Option<Quote>, PageError> {
        let newest = PageRequest { limit: Some(1), cursor: None };
        let page = self.table.page(&Listing::partition("gsi2", named(name)), &newest).await?;
        Ok(page.data.into_iter().next())
    }

    async fn ask(&self, new: &NewOrder) -> Result<Quote, QuoteError> {
        let unknown = || if new.product_id.is_some() { QuoteError::UnknownId } else { QuoteError::UnknownName };
        let products = self.products.as_ref().ok_or_else(unknown)?;
        let found: Option<Product> = match (new.product_id, &new.product) {
            (Some(id), _) => products.get(&get("products-get", format!("/api/products/{id}"), vec![])).await?,
            (None, Some(name)) => {
                let query = vec![("name", name.clone())];
                let list: Option<Products> = products.get(&get("products-list", "/api/products".into(), query)).await?;
                list.and_then(|list| list.data.into_iter().next())
            }
            (None, None) => None,
        };
        let quote = Quote::from(found.ok_or_else(unknown)?);
        self.remember(&quote).await?;
        Ok(quote)
    }

    /// Keeps a quote unless an event has brought the product meanwhile.
    async fn remember(&self, quote: &Quote) -> Result<(), TableError> {
        match self.table.commit(Transaction::new().insert(quote)).await {
            Err(error) if error.is_race() => Ok(()),
            result => result,
        }
    }

    /// What is known of the product with this id.
    pub async fn known(&self, product_id: Id) -> Result<Option<Quote>, TableError> {
        self.table.get(&quote_key(product_id)).await
    }
}

fn get<'a>(function: &'a str, path: String, query: Vec<(&'a str, String)>) -> Get<'a> {
    Get { function, path, query, authorization: None }
}
