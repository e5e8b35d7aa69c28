use axum::{Json, Router, extract::State, routing::get};
use serde::Serialize;
use shared::{
    auth::Caller,
    http::{Endpoint, Problem, routes},
    money::Money,
    table::Table,
};
use utoipa::ToSchema;

use crate::store;

pub const PATHS: &[&str] = &["/api/dashboard"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, get(dashboard)).with_state(table)
}

#[derive(Serialize, ToSchema)]
struct Dashboard {
    data: Figures,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DashboardFigures)]
struct Figures {
    total_users: i64,
    total_orders: i64,
    pending_orders: i64,
    completed_orders: i64,
    /// Money taken and not given back.
    total_revenue: Money,
}

/// `GET /api/dashboard`: the business in five figures, for an admin.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    responses((status = 200, body = Dashboard)),
)]
async fn dashboard(State(table): State<Table>, caller: Caller) -> Result<Json<Dashboard>, Problem> {
    caller.must_be_admin()?;
    let figures = store::figures(&table).await?;
    let total_revenue = Money::from_minor_units(figures.revenue).map_err(Problem::internal)?;
    Ok(Json(Dashboard {
        data: Figures {
            total_users: figures.users,
            total_orders: figures.orders,
            pending_orders: figures.pending,
            completed_orders: figures.completed,
            total_revenue,
        },
    }))
}
