use std::collections::{HashMap, HashSet};

use axum::{Json, Router, extract::State, routing::post};
use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::{
    auth::{Caller, Scope},
    http::{Endpoint, FieldError, Problem, Valid, read_element, routes, within},
    id::Id,
    time::Timestamp,
};
use utoipa::ToSchema;

use crate::{
    Notifications,
    composing::{NewNotification, NotTold, compose},
    recipient::Recipient,
    recording::{self, KeyedRequest, Order, Recorded},
    store,
};

pub const PATHS: &[&str] = &["/api/notifications/send-batch"];

const KEY: &str = "idempotency_key";
const MAX_KEY_LENGTH: usize = 255;

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Notifications::from_env()?))
}

pub fn router(notifications: Notifications) -> Router {
    routes(PATHS, post(send_batch)).with_state(notifications)
}

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = NotificationBatch)]
#[serde(deny_unknown_fields)]
struct Batch {
    /// Each is read by itself, so that a wrong one leaves the others alone: what `/send` takes, and an
    /// `idempotency_key` of its own.
    #[garde(length(min = 1, max = 100))]
    #[schema(value_type = Vec<Object>, min_items = 1, max_items = 100)]
    notifications: Vec<Value>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = NotificationOutcomes)]
struct Outcomes {
    queued: usize,
    duplicates: usize,
    opted_out: usize,
    rejected: usize,
    /// To be sent again.
    unavailable: usize,
    results: Vec<Outcome>,
}

/// What became of the notification with this index in the request.
#[derive(Serialize, ToSchema)]
#[schema(as = NotificationOutcome)]
struct Outcome {
    index: usize,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Id>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = NotificationOutcomeStatus)]
#[serde(rename_all = "snake_case")]
enum Status {
    Queued,
    Duplicate,
    OptedOut,
    Rejected,
    Unavailable,
}

/// A notification of the batch that could be read.
struct Request {
    index: usize,
    new: NewNotification,
    key: Option<KeyedRequest>,
}

/// `POST /api/notifications/send-batch`: tell up to a hundred users something, and say what became of
/// each.
#[utoipa::path(
    post,
    path = shared::openapi::at(PATHS),
    request_body = Batch,
    responses((status = 200, body = Outcomes)),
)]
async fn send_batch(
    State(notifications): State<Notifications>,
    caller: Caller,
    Valid(batch): Valid<Batch>,
) -> Result<Json<Outcomes>, Problem> {
    caller.must_have_scope(Scope::NotificationsSend)?;
    let (requests, mut outcomes) = read(&caller.subject(), batch.notifications);
    let known = store::recipients(&notifications.table, requests.iter().map(|request| request.new.user_id)).await?;
    let known: HashMap<Id, Recipient> = known.into_iter().map(|recipient| (recipient.user_id, recipient)).collect();
    let now = Timestamp::now();
    let (mut indexes, mut orders) = (Vec::new(), Vec::new());
    for Request { index, new, key } in requests {
        match compose(&notifications.library, known.get(&new.user_id), &new, now) {
            Ok(draft) => {
                indexes.push(index);
                orders.push(Order { draft, key });
            }
            Err(reason) => outcomes.push(not_told(index, reason)?),
        }
    }
    let recorded = recording::record(&notifications.table, &orders, now).await?;
    outcomes.extend(indexes.into_iter().zip(recorded).map(|(index, recorded)| outcome(index, recorded)));
    if outcomes.iter().all(|outcome| outcome.status == Status::Unavailable) {
        return Err(Problem::unavailable("the service's table is unavailable; send the batch again"));
    }
    Ok(Json(summed_up(outcomes)))
}

/// What could be read, and the outcomes of what could not.
fn read(caller: &str, elements: Vec<Value>) -> (Vec<Request>, Vec<Outcome>) {
    let (mut requests, mut outcomes) = (Vec::new(), Vec::new());
    let mut keys = HashSet::new();
    for (index, element) in elements.into_iter().enumerate() {
        match accept(caller, element) {
            Ok((_, Some(key))) if !keys.insert(key.name().to_owned()) => {
                outcomes.push(rejected(index, vec![key_error("is another's in this batch")]));
            }
            Ok((new, key)) => requests.push(Request { index, new, key }),
            Err(errors) => outcomes.push(rejected(index, errors)),
        }
    }
    (requests, outcomes)
}

fn accept(caller: &str, mut element: Value) -> Result<(NewNotification, Option<KeyedRequest>), Vec<FieldError>> {
    let key = element.as_object_mut().and_then(|fields| fields.remove(KEY)).filter(|key| !key.is_null());
    let new: NewNotification = read_element(&element)?;
    let Some(key) = key else { return Ok((new, None)) };
    let text = key.as_str().filter(|text| (1..=MAX_KEY_LENGTH).contains(&text.len()));
    let text = text.ok_or_else(|| vec![key_error("a text of 1 to 255 bytes")])?;
    let keyed = KeyedRequest::new(caller, text, &new).map_err(|error| vec![key_error(&error.to_string())])?;
    Ok((new, Some(keyed)))
}

fn key_error(detail: &str) -> FieldError {
    FieldError { pointer: format!("/{KEY}"), detail: detail.to_owned() }
}

fn not_told(index: usize, reason: NotTold) -> Result<Outcome, Problem> {
    match reason.field_errors() {
        Some(errors) => Ok(rejected(index, errors)),
        None if matches!(reason, NotTold::OptedOut) => {
            Ok(Outcome { index, status: Status::OptedOut, id: None, errors: Vec::new() })
        }
        None => Err(reason.into()),
    }
}

fn rejected(index: usize, errors: Vec<FieldError>) -> Outcome {
    let errors = within(&format!("/notifications/{index}"), errors);
    Outcome { index, status: Status::Rejected, id: None, errors }
}

fn outcome(index: usize, recorded: Recorded) -> Outcome {
    let told = |status, id| Outcome { index, status, id, errors: Vec::new() };
    match recorded {
        Recorded::Accepted(notification) => told(Status::Queued, Some(notification.id)),
        Recorded::Duplicate(id) => told(Status::Duplicate, Some(id)),
        Recorded::Unavailable => told(Status::Unavailable, None),
        Recorded::Conflict => rejected(index, vec![key_error("was used for another notification")]),
    }
}

fn summed_up(mut results: Vec<Outcome>) -> Outcomes {
    results.sort_by_key(|outcome| outcome.index);
    let count = |status| results.iter().filter(|outcome| outcome.status == status).count();
    Outcomes {
        queued: count(Status::Queued),
        duplicates: count(Status::Duplicate),
        opted_out: count(Status::OptedOut),
        rejected: count(Status::Rejected),
        unavailable: count(Status::Unavailable),
        results,
    }
}
