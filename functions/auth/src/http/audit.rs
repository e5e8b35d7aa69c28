use axum::{Router, extract::State, routing::get};
use shared::{
    auth::Caller,
    http::{Endpoint, Problem, QueryParams, routes},
    table::{Page, PageRequest, Table},
};

use super::signed_in_admin;
use crate::audit::{self, AuditEntry, AuditQuery};

pub const PATHS: &[&str] = &["/api/auth/audit", "/auth/audit"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, get(list)).with_state(table)
}

/// `GET /api/auth/audit`: the audit log for an admin, newest first: all of it, or one `user_id`'s; `from` a
/// moment, and `to` before another.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    params(AuditQuery, PageRequest),
    responses((status = 200, body = Page<AuditEntry>)),
)]
async fn list(
    State(table): State<Table>,
    caller: Caller,
    QueryParams(query): QueryParams<AuditQuery>,
    request: PageRequest,
) -> Result<Page<AuditEntry>, Problem> {
    signed_in_admin(&table, &caller).await?;
    Ok(audit::page(&table, &query, &request).await?)
}
