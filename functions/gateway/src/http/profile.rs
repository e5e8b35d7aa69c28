use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, header},
    routing::get,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::{
    auth::Caller,
    client::{ClientError, Get, ServiceClient},
    http::{Endpoint, PathId, Problem, routes},
    id::Id,
    table::Table,
};
use utoipa::ToSchema;

use crate::store;

pub const PATHS: &[&str] = &["/api/users/{id}/profile"];

/// The newest orders that a profile shows.
const SHOWN_ORDERS: usize = 100;

/// What a profile is put together from.
#[derive(Clone, Debug)]
pub struct Sources {
    pub users: ServiceClient,
    pub orders: ServiceClient,
    /// The gateway's own, which counts each user's orders.
    pub table: Table,
}

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    let [users, orders] = ServiceClient::all_from_env(["users", "orders"])?;
    Ok(router(Sources { users, orders, table: Table::from_env()? }))
}

pub fn router(sources: Sources) -> Router {
    routes(PATHS, get(profile)).with_state(sources)
}

#[derive(Serialize, ToSchema)]
#[schema(as = UserProfileAnswer)]
struct Answer {
    data: Profile,
    /// The parts whose service did not answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<&'static str>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = UserProfile)]
struct Profile {
    #[schema(value_type = Option<Object>)]
    user: Option<Value>,
    /// The newest hundred.
    #[schema(value_type = Option<Vec<Object>>)]
    orders: Option<Vec<Value>>,
    total_orders: Option<u64>,
}

#[derive(Deserialize)]
struct Orders {
    data: Vec<Value>,
    next: Option<String>,
}

/// `GET /api/users/{id}/profile`: a user with their orders. Where a service is away, what there is
/// without it.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    responses((status = 200, body = Answer)),
)]
async fn profile(
    State(sources): State<Sources>,
    caller: Caller,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<Json<Answer>, Problem> {
    caller.must_own(id, "user")?;
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (user, orders) = tokio::join!(sources.user(id, authorization), sources.orders(id, authorization));
    if let (Err(_), Err(error)) = (&user, &orders) {
        return Err(without("users and orders", error));
    }
    let user = match user {
        Ok(None) => return Err(Problem::not_found("user")),
        user => user.unwrap_or_else(|error| missing("user", &error)),
    };
    let orders = orders.unwrap_or_else(|error| missing("orders", &error));
    let total_orders = sources.total(id, orders.as_ref()).await;
    let parts = [("user", user.is_none()), ("orders", orders.is_none()), ("total_orders", total_orders.is_none())];
    let missing = parts.into_iter().filter_map(|(part, missing)| missing.then_some(part)).collect();
    let orders = orders.map(|orders| orders.data);
    Ok(Json(Answer { data: Profile { user, orders, total_orders }, missing }))
}

impl Sources {
    async fn user(&self, id: Id, authorization: Option<&str>) -> Result<Option<Value>, ClientError> {
        let path = format!("/api/users/{id}");
        self.users.get(&Get { function: "users-get", path, query: vec![], authorization }).await
    }

    async fn orders(&self, id: Id, authorization: Option<&str>) -> Result<Option<Orders>, ClientError> {
        let path = format!("/api/orders/user/{id}");
        let query = vec![("limit", SHOWN_ORDERS.to_string())];
        self.orders.get(&Get { function: "orders-by-user", path, query, authorization }).await
    }

    /// How many orders the user has placed: those that are shown, unless there are more.
    async fn total(&self, id: Id, orders: Option<&Orders>) -> Option<u64> {
        if let Some(Orders { data, next: None }) = orders {
            return Some(data.len() as u64);
        }
        match store::orders_of(&self.table, id).await {
            Ok(counted) => Some(counted.max(orders.map_or(0, |orders| orders.data.len() as u64))),
            Err(error) => {
                tracing::warn!(%error, "a user's orders cannot be counted");
                None
            }
        }
    }
}

fn missing<T>(part: &'static str, error: &ClientError) -> Option<T> {
    tracing::warn!(part, %error, "a profile is incomplete");
    None
}

fn without(parts: &str, error: &ClientError) -> Problem {
    tracing::warn!(parts, %error, "no profile");
    Problem::unavailable("the services that know this user are unavailable")
}
