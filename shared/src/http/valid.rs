use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, OptionalFromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use garde::Validate;
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::ToSchema;

use super::{
    FieldError, Problem,
    fault::{Fault, faults},
};

/// Larger bodies are searched for the first fault only.
const SEARCHED_BYTES: usize = 16 * 1024;

/// A JSON body that was read and validated.
///
/// Answers 415 for another content type, 413 for a body over [`BODY_LIMIT`](super::BODY_LIMIT), 400
/// for malformed JSON, and 422 with a pointer to every wrong field. Types used here deny unknown
/// fields.
#[derive(Clone, Debug)]
pub struct Valid<T>(pub T);

/// An `application/x-www-form-urlencoded` body that was read and validated, as OAuth 2 clients
/// send it. Answers as [`Valid`] does.
#[derive(Clone, Debug)]
pub struct Form<T>(pub T);

/// The body of a request that says everything with its path: `{}`, or none as `Option<Valid<Nothing>>`.
#[derive(Clone, Copy, Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct Nothing {}

impl<T, S> FromRequest<S> for Valid<T>
where
    T: DeserializeOwned + Validate<Context = ()>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = body(request, state, "application/json", |mime| mime.ends_with("+json")).await?;
        must_be_an_object(&body)?;
        let mut deserializer = serde_json::Deserializer::from_slice(&body);
        let value =
            serde_path_to_error::deserialize(&mut deserializer).map_err(|error| unreadable::<T>(&error, &body))?;
        deserializer.end().map_err(|error| Problem::malformed(format!("malformed JSON: {error}")))?;
        validated(value).map(Self)
    }
}

/// As an optional argument: `None` for an empty body, whatever its content type.
impl<T, S> OptionalFromRequest<S> for Valid<T>
where
    T: DeserializeOwned + Validate<Context = ()>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = bytes(Request::from_parts(parts.clone(), body), state).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let request = Request::from_parts(parts, Body::from(bytes));
        <Self as FromRequest<S>>::from_request(request, state).await.map(Some)
    }
}

/// Reads and validates one element of a JSON body by itself, for endpoints that answer for each.
///
/// # Errors
/// What is wrong with it, with pointers that begin at the element.
pub fn read_element<T>(element: &serde_json::Value) -> Result<T, Vec<FieldError>>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    if element.is_array() {
        return Err(vec![FieldError { pointer: String::new(), detail: "must be an object".to_owned() }]);
    }
    match serde_path_to_error::deserialize(element) {
        Ok(value) => check(value),
        Err(error) => Err(faults::<T>(Fault::of(&error), Some(element.clone()))),
    }
}

/// The errors of an element that stands at this pointer, with pointers that begin at the body.
pub fn within(element: &str, errors: Vec<FieldError>) -> Vec<FieldError> {
    let rooted = |error: FieldError| FieldError { pointer: format!("{element}{}", error.pointer), ..error };
    errors.into_iter().map(rooted).collect()
}

impl<T, S> FromRequest<S> for Form<T>
where
    T: DeserializeOwned + Validate<Context = ()>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = body(request, state, "application/x-www-form-urlencoded", |_| false).await?;
        let value = serde_urlencoded::from_bytes(&body)
            .map_err(|error: serde_urlencoded::de::Error| Fault::in_field(String::new(), &error.to_string()))
            .map_err(|fault| Problem::invalid(vec![fault.told()]))?;
        validated(value).map(Self)
    }
}

/// Serde would fill a struct from an array too, by the order of its fields.
fn must_be_an_object(body: &[u8]) -> Result<(), Problem> {
    match body.trim_ascii_start().first() {
        Some(b'[') => Err(Problem::invalid_field("", "must be an object")),
        _ => Ok(()),
    }
}

async fn body<S: Send + Sync>(
    request: Request,
    state: &S,
    expected: &str,
    accepts: fn(&str) -> bool,
) -> Result<Bytes, Problem> {
    if !content_type(request.headers()).is_some_and(|mime| mime == expected || accepts(&mime)) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            format!("the body's Content-Type must be {expected}"),
        ));
    }
    bytes(request, state).await
}

async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("a body has at most {} bytes", super::BODY_LIMIT),
        ),
        _ => Problem::malformed("the body could not be read"),
    })
}

fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    value.split(';').next().map(|mime| mime.trim().to_ascii_lowercase())
}

fn unreadable<T>(error: &serde_path_to_error::Error<serde_json::Error>, body: &[u8]) -> Problem
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    match error.inner().classify() {
        serde_json::error::Category::Data => {
            let document = if body.len() <= SEARCHED_BYTES { serde_json::from_slice(body).ok() } else { None };
            Problem::invalid(faults::<T>(Fault::of(error), document))
        }
        _ => Problem::malformed(format!("malformed JSON: {}", error.inner())),
    }
}

fn validated<T: Validate<Context = ()>>(value: T) -> Result<T, Problem> {
    check(value).map_err(Problem::invalid)
}

pub(super) fn check<T: Validate<Context = ()>>(value: T) -> Result<T, Vec<FieldError>> {
    value.validate().map_err(|report| {
        let errors = report.iter().map(|(path, error)| FieldError {
            pointer: pointer(&path.to_string()),
            detail: error.message().to_owned(),
        });
        errors.collect::<Vec<_>>()
    })?;
    Ok(value)
}

/// `items[0].name` as the JSON pointer `/items/0/name`.
fn pointer(path: &str) -> String {
    path.split(['.', '['])
        .filter(|part| !part.is_empty())
        .map(|part| format!("/{}", part.trim_end_matches(']')))
        .collect()
}
