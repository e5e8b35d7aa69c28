use std::{borrow::Cow, collections::BTreeMap};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    context::Context,
    idempotency::IdempotencyError,
    retry::Race,
    table::{InvalidCursor, PageError, TableError},
};

/// Seconds after which a client may try again when a dependency is down.
const RETRY_AFTER_SECONDS: u32 = 5;

/// An error as clients see it: RFC 9457 `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<u32>,
    member: Option<Box<(&'static str, String)>>,
}

/// One wrong field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// A JSON pointer (RFC 6901) into the body, or the name of a query or path parameter after `?`
    /// or `:`.
    pub pointer: String,
    pub detail: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "about:blank")]
    problem_type: &'static str,
    title: &'static str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    correlation_id: String,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(flatten)]
    #[schema(ignore)]
    member: Option<BTreeMap<&'static str, &'a str>>,
}

impl Problem {
    /// A problem with a stable `code` for programs and a `detail` for people.
    pub fn new(status: StatusCode, code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self { status, code: code.into(), detail: detail.into(), errors: Vec::new(), retry_after: None, member: None }
    }

    /// 400: the request cannot be read.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// 401, with the same answer whatever was wrong with the credentials.
    pub fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "a valid bearer token or API key is required")
    }

    /// 403.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 404: there is no such `entity`, or it is somebody else's.
    pub fn not_found(entity: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("no such {entity}"))
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path has other methods")
    }

    /// 409: the request clashes with the present state.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 422, pointing at every wrong field.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] => format!("{}: {}", only.pointer, only.detail),
            many => format!("{} fields are invalid", many.len()),
        };
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail) }
    }

    /// 422, pointing at fields that the body lacks.
    pub fn missing(fields: &[&str]) -> Self {
        let error = |field: &&str| FieldError { pointer: format!("/{field}"), detail: "is required".to_owned() };
        Self::invalid(fields.iter().map(error).collect())
    }

    /// 422, pointing at one field.
    pub fn invalid_field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError { pointer: pointer.into(), detail: detail.into() }])
    }

    /// 429.
    pub fn too_many_requests(retry_after_seconds: u32) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "too many attempts; try again later")
            .retry_after(retry_after_seconds)
    }

    /// 503: something this service needs is away.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after(RETRY_AFTER_SECONDS)
    }

    /// 500: a defect. The reason goes to the log, not to the client.
    pub fn internal(reason: impl std::fmt::Display) -> Self {
        tracing::error!(%reason, "internal error");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "an internal error; please report the correlation id")
    }

    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The same problem, with a member of its own (RFC 9457, section 3.2).
    #[must_use]
    pub fn with_member(self, name: &'static str, value: String) -> Self {
        Self { member: Some(Box::new((name, value))), ..self }
    }

    /// The same problem, pointing at a field.
    #[must_use]
    pub fn at(self, pointer: impl Into<String>) -> Self {
        let errors = vec![FieldError { pointer: pointer.into(), detail: self.detail.clone() }];
        self.with_errors(errors)
    }

    pub(super) fn with_errors(self, errors: Vec<FieldError>) -> Self {
        Self { errors, ..self }
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            problem_type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: &self.code,
            detail: &self.detail,
            correlation_id: Context::current().correlation_id,
            errors: &self.errors,
            member: self.member.as_deref().map(|(name, value)| BTreeMap::from([(*name, value.as_str())])),
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The code of a change that lost a race.
const CHANGED_MEANWHILE: &str = "changed_meanwhile";

impl Race for Problem {
    fn is_race(&self) -> bool {
        self.code == CHANGED_MEANWHILE
    }
}

/// A lost table is a 503 and a lost race a 409; what a service means by one of its own failed
/// checks, it says before this conversion.
impl From<TableError> for Problem {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Unavailable(reason) => {
                tracing::error!(reason, "the table is unavailable");
                Self::unavailable("the service's table is unavailable")
            }
            TableError::Failed(_) | TableError::Contended => {
                Self::conflict(CHANGED_MEANWHILE, "it was changed by somebody else at the same time").retry_after(1)
            }
            TableError::Malformed { .. } => Self::internal(error),
        }
    }
}

impl From<PageError> for Problem {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Cursor(InvalidCursor) => invalid_cursor(),
            PageError::Table(error) => error.into(),
        }
    }
}

pub(super) fn invalid_cursor() -> Problem {
    let errors = vec![FieldError { pointer: "?cursor".into(), detail: InvalidCursor.to_string() }];
    Problem::malformed("the cursor was not given out for this list").with_errors(errors)
}

impl From<IdempotencyError> for Problem {
    fn from(error: IdempotencyError) -> Self {
        match error {
            IdempotencyError::InvalidKey => Self::malformed(error.to_string()),
            IdempotencyError::OtherRequest => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", error.to_string())
            }
            IdempotencyError::InProgress => Self::conflict("in_progress", error.to_string()).retry_after(1),
            IdempotencyError::Table(error) => error.into(),
            IdempotencyError::Malformed(reason) => Self::internal(reason),
        }
    }
}
