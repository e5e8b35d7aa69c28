use axum::{Json, Router, extract::State, routing::post};
use serde_json::Value;
use shared::{
    auth::Caller,
    http::{Endpoint, Problem, Valid, routes},
};

use crate::{
    answer::{Analytics, Answer},
    question::Query,
};

pub const PATHS: &[&str] = &["/api/analytics/query"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Analytics::from_env()?))
}

pub fn router(analytics: Analytics) -> Router {
    routes(PATHS, post(query)).with_state(analytics)
}

/// `POST /api/analytics/query`: a metric of a user's own figures, or of the business's to an admin.
#[utoipa::path(
    post,
    path = shared::openapi::at(PATHS),
    request_body = Query,
    responses((status = 200, body = Answer)),
)]
async fn query(
    State(analytics): State<Analytics>,
    caller: Caller,
    Valid(query): Valid<Query>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(analytics.answer(&query.question(&caller)?).await?))
}
