use std::{collections::BTreeSet, fs};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use serde_json::Value;
use shared::{
    auth::Identity,
    http::{Origins, layered},
};
use tower::ServiceExt;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The sample events of one service.
#[derive(Clone, Copy, Debug)]
pub struct Samples {
    service: &'static str,
}

impl Samples {
    pub const fn of(service: &'static str) -> Self {
        Self { service }
    }

    /// The sample of this function.
    pub fn text(&self, function: &str) -> String {
        fs::read_to_string(format!("{ROOT}/events/{}/{function}.json", self.service)).unwrap()
    }

    /// Sends a sample of API Gateway's to the endpoint that it is for, with texts in place of its
    /// placeholders.
    pub async fn send(
        &self,
        function: &str,
        placeholders: &[(&str, &str)],
        identity: Identity,
        router: Router,
    ) -> (StatusCode, Value) {
        let sample = placeholders.iter().fold(self.text(function), |text, (name, value)| text.replace(name, value));
        let request = lambda_http::request::from_str(&sample).unwrap().map(Body::new);
        // The stage is no part of the path: `AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH` in a function.
        let (mut parts, body) = request.into_parts();
        parts.uri = parts.uri.to_string().replacen("/live", "", 1).parse().unwrap();
        let router = layered(router, identity, &Origins::default());
        let response = router.oneshot(Request::from_parts(parts, body)).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// The functions that have a sample.
    pub fn sampled(&self) -> BTreeSet<String> {
        names(&format!("{ROOT}/events/{}", self.service))
    }

    /// The functions that the service has.
    pub fn functions(&self) -> BTreeSet<String> {
        names(&format!("{ROOT}/functions/{}/src/bin", self.service))
    }
}

fn names(folder: &str) -> BTreeSet<String> {
    let files = fs::read_dir(folder).unwrap();
    files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}
