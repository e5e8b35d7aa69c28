//! The API's description, and the page to read it.

#![allow(clippy::unwrap_used)]

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode, header},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use gateway::http::{docs, openapi};
use serde_json::Value;
use sha2::{Digest, Sha256};
use shared::http::{Origins, layered};
use testing::{Samples, identity};
use tower::ServiceExt;

const SAMPLES: Samples = Samples::of("gateway");

async fn get(router: Router, path: &str, known: Option<&str>) -> (StatusCode, HeaderMap, String) {
    let router = layered(router, identity(), &Origins::default());
    let request = Request::get(path);
    let request = known.into_iter().fold(request, |request, tag| request.header(header::IF_NONE_MATCH, tag));
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 22).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn anybody_gets_the_document_and_may_keep_it() {
    let (status, headers, body) = get(openapi::router(), "/openapi.json", None).await;
    assert_eq!((status, &headers[header::CONTENT_TYPE]), (StatusCode::OK, &"application/json".parse().unwrap()));
    assert!(headers[header::CACHE_CONTROL].to_str().unwrap().starts_with("public, max-age=300"));
    let document: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/openapi.json"]["get"].is_object());
}

#[tokio::test]
async fn who_has_the_document_does_not_get_it_again() {
    let (_, headers, _) = get(openapi::router(), "/openapi.json", None).await;
    let tag = headers[header::ETAG].to_str().unwrap();
    for known in [tag.to_owned(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let (status, headers, body) = get(openapi::router(), "/openapi.json", Some(&known)).await;
        assert_eq!((status, body.as_str(), &headers[header::ETAG]), (StatusCode::NOT_MODIFIED, "", &headers["etag"]));
    }
    let (status, _, _) = get(openapi::router(), "/openapi.json", Some("\"other\"")).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn the_page_runs_its_own_script_and_loads_nothing_from_elsewhere() {
    let (status, headers, page) = get(docs::router(), "/docs", None).await;
    assert_eq!((status, headers[header::CONTENT_TYPE].to_str().unwrap()), (StatusCode::OK, "text/html; charset=utf-8"));
    let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    for element in ["script", "style"] {
        let text = page.split(&format!("<{element}>")).nth(1).unwrap().split(&format!("</{element}>")).next().unwrap();
        let own = format!("{element}-src 'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)));
        assert!(policy.contains(&own), "{policy} without {own}");
    }
    assert!(policy.starts_with("default-src 'none';"));
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("src="));
    assert!(page.contains("fetch(\"openapi.json\")"), "the path under a stage is another");
}

#[tokio::test]
async fn the_sample_is_answered() {
    let (status, document) = SAMPLES.send("gateway-openapi", &[], identity(), openapi::router()).await;
    assert_eq!((status, &document["openapi"]), (StatusCode::OK, &"3.1.0".into()));
}
