//! One HTTP endpoint as one Lambda function: an axum handler behind `lambda_http`.
//!
//! Extractors and the layers around the router do what every endpoint shares, so that a handler's
//! body is only its business.

mod answer;
mod cors;
mod extract;
mod fault;
mod observe;
pub(crate) mod problem;
mod valid;

use std::process::ExitCode;

use axum::{Extension, Router, extract::DefaultBodyLimit, middleware, routing::MethodRouter};

pub use self::{
    answer::{Created, Resource},
    cors::Origins,
    extract::{PathId, PathName, QueryParams, SourceAddress, network},
    problem::{FieldError, Problem},
    valid::{Form, Nothing, Valid, read_element, within},
};
use crate::{auth::Identity, aws::ConfigError, runtime};

/// The largest request body, in bytes; more is answered with 413.
pub const BODY_LIMIT: usize = 256 * 1024;

/// What a function's `main` serves: a router with its dependencies, built once at the cold start.
pub type Endpoint = Result<Router, ConfigError>;

/// A router that answers at each of these paths with the same handlers, and with problems elsewhere.
pub fn routes<S: Clone + Send + Sync + 'static>(paths: &[&str], methods: MethodRouter<S>) -> Router<S> {
    let methods = methods.fallback(|| async { Problem::method_not_allowed() });
    let router = paths.iter().fold(Router::new(), |router, path| router.route(path, methods.clone()));
    router.fallback(|| async { Problem::not_found("route") })
}

/// Serves an endpoint to Lambda until the environment ends.
pub fn serve(endpoint: fn() -> Endpoint) -> ExitCode {
    runtime::block_on(async move {
        ignore_stage();
        let router = layered(endpoint()?, Identity::from_env()?, &Origins::from_env()?);
        lambda_http::run(router).await
    })
}

/// The router with everything around it that every endpoint shares.
pub fn layered(router: Router, identity: Identity, origins: &Origins) -> Router {
    origins
        .layer(router.layer(DefaultBodyLimit::max(BODY_LIMIT)).layer(Extension(identity)))
        .layer(middleware::from_fn(observe::observe))
}

/// Keeps `lambda_http` from putting the API's stage in front of the path.
#[allow(unsafe_code)]
fn ignore_stage() {
    // SAFETY: runs at start-up, while the process has a single thread.
    unsafe { std::env::set_var("AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH", "true") };
}
