use axum::{Router, extract::State, routing::post};
use shared::{
    auth::{Caller, Scope},
    http::{Endpoint, Problem, Valid, routes},
    idempotency::{Idempotency, Once},
    time::Timestamp,
};

use super::Accepted;
use crate::{
    Notifications,
    composing::{NewNotification, compose},
    notification::Notification,
    store,
};

pub const PATHS: &[&str] = &["/api/notifications/send"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Notifications::from_env()?))
}

pub fn router(notifications: Notifications) -> Router {
    routes(PATHS, post(send)).with_state(notifications)
}

/// `POST /api/notifications/send`: tell a user something.
#[utoipa::path(
    post,
    path = shared::openapi::at(PATHS),
    params(Idempotency),
    request_body = NewNotification,
    responses((status = 201, body = Accepted)),
)]
async fn send(
    State(notifications): State<Notifications>,
    caller: Caller,
    idempotency: Idempotency,
    Valid(new): Valid<NewNotification>,
) -> Result<Once<Accepted>, Problem> {
    caller.must_have_scope(Scope::NotificationsSend)?;
    let now = Timestamp::now();
    let recipient = store::recipient(&notifications.table, new.user_id).await?;
    let draft = compose(&notifications.library, recipient.as_ref(), &new, now)?;
    let request = |id| {
        let notification = Notification::new(id, draft.clone(), now);
        Ok((store::insertion(&notification), Accepted::from(&notification)))
    };
    idempotency.create(&notifications.table, &new, request).await
}
