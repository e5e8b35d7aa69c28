//! What handlers say of themselves in OpenAPI's terms, of which the crate `openapi` makes the document.

use utoipa::OpenApi;

use crate::http::problem::ProblemBody;

/// Between the paths of one endpoint; no path has it.
const SEPARATOR: &str = " ";

/// An endpoint's paths as the one that `#[utoipa::path(path = …)]` takes.
pub fn at(paths: &[&str]) -> String {
    paths.join(SEPARATOR)
}

/// The paths that [`at`] put together.
pub fn apart(paths: &str) -> impl Iterator<Item = &str> {
    paths.split(SEPARATOR)
}

/// What the kit itself answers: problems.
#[derive(OpenApi)]
#[openapi(components(schemas(ProblemBody<'static>)))]
pub struct Kit;
