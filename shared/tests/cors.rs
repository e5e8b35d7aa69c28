//! Which pages may use the API: none by default, those of named origins by configuration.

#![allow(clippy::unwrap_used)]

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, request::Builder},
    routing::post,
};
use shared::http::{Origins, layered};
use testing::identity;
use tower::ServiceExt;

const SHOP: &str = "https://shop.example";

async fn send(allowed: &str, request: Builder) -> (StatusCode, HeaderMap) {
    send_to("api.example", allowed, request).await
}

async fn send_to(host: &str, allowed: &str, request: Builder) -> (StatusCode, HeaderMap) {
    let router = Router::new().route("/", post(|| async { "done" }));
    let router = layered(router, identity(), &Origins::parse(allowed).unwrap());
    let response = router.oneshot(request.header("host", host).body(Body::empty()).unwrap()).await.unwrap();
    (response.status(), response.headers().clone())
}

fn call_from(origin: &str) -> Builder {
    Request::post("/").header("origin", origin)
}

fn preflight_from(origin: &str) -> Builder {
    Request::options("/")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,idempotency-key")
}

#[tokio::test]
async fn a_client_that_is_no_page_is_served() {
    let (status, headers) = send("", Request::post("/")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn no_other_sites_page_is_served_unless_its_origin_is_named() {
    for allowed in ["", "https://other.example, http://shop.example,https://shop.example:8443"] {
        let (status, headers) = send(allowed, call_from(SHOP)).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{allowed}");
        assert!(!headers.contains_key("access-control-allow-origin"));
        let (_, headers) = send(allowed, preflight_from(SHOP)).await;
        assert!(!headers.contains_key("access-control-allow-origin"));
    }
}

#[tokio::test]
async fn a_named_origins_page_is_served_and_may_read_the_answer() {
    let allowed = "http://localhost:3000,https://shop.example";
    let (status, headers) = send(allowed, call_from(SHOP)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["access-control-allow-origin"], SHOP);
    assert!(headers.get_all("vary").iter().any(|vary| vary.to_str().unwrap().contains("origin")));
    assert!(headers["access-control-expose-headers"].to_str().unwrap().contains("x-correlation-id"));
    let (status, headers) = send(allowed, preflight_from(SHOP)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["access-control-allow-origin"], SHOP);
    assert!(headers["access-control-allow-headers"].to_str().unwrap().contains("idempotency-key"));
}

#[tokio::test]
async fn the_apis_own_pages_are_served() {
    assert_eq!(send("", call_from("https://api.example")).await.0, StatusCode::OK);
    for host in ["localhost:8000", "LOCALHOST:8000", "127.0.0.1:8000", "127.1.2.3", "[::1]:8000"] {
        for scheme in ["http", "https"] {
            let own = call_from(&format!("{scheme}://{host}"));
            assert_eq!(send_to(host, "", own).await.0, StatusCode::OK, "{scheme}://{host}");
        }
    }
}

#[tokio::test]
async fn a_page_that_anybody_on_the_way_could_have_sent_is_not_the_apis_own() {
    let hosts = [
        "api.example",
        "api.example:8000",
        "203.0.113.7:8000",
        "localhost.evil.example",
        "[2001:db8::1]",
        "127.0.0.1.example",
    ];
    for host in hosts {
        let (status, _) = send_to(host, "", call_from(&format!("http://{host}"))).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{host}");
    }
    assert_eq!(send("", call_from("ftp://api.example")).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn origins_that_only_look_alike_are_others() {
    for origin in
        ["null", "https://shop.example.evil.example", "https://evil.example/https://shop.example", "api.example"]
    {
        assert_eq!(send(SHOP, call_from(origin)).await.0, StatusCode::FORBIDDEN, "{origin}");
    }
}

#[test]
fn what_is_no_origin_is_refused_in_the_configuration() {
    for list in [
        "*",
        "shop.example",
        "https://shop.example/",
        "https://*.example",
        "https://",
        "https://a.example;https://b.example/x",
    ] {
        assert!(Origins::parse(list).is_err(), "{list}");
    }
}
