//! What every endpoint does alike.

use auth::{SERVICE, api_key::Keys, http};
use axum::http::StatusCode;
use serde_json::json;
use shared::{auth::PublicKeys, health, http::BODY_LIMIT};
use testing::{Api, Fault};

use crate::world::{Accounts, FORM, PASSWORD, PUBLIC_KEY, accounts, registration, text, with_token};

/// The endpoints that take a body, with their paths and the body's content type.
fn with_bodies(accounts: &Accounts) -> Vec<(Api, &'static [&'static str], &'static str)> {
    vec![
        (accounts.register(), http::register::PATHS, "application/json"),
        (accounts.login(), http::login::PATHS, "application/json"),
        (accounts.token(), http::token::PATHS, FORM),
        (accounts.change_password(), http::change_password::PATHS, "application/json"),
    ]
}

#[tokio::test]
async fn every_endpoint_answers_in_both_spellings() {
    let accounts = accounts();
    let tokens = accounts.newcomer("alice").await;
    for (api, paths, content_type) in with_bodies(&accounts) {
        let api = with_token(&api, &tokens).with("content-type", content_type);
        for path in paths {
            let status = api.post_raw(path, "").await.status;
            assert!([StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY].contains(&status), "{path}");
        }
        assert_eq!(paths.len(), 2);
    }
    for path in ["/api/auth/verify", "/auth/verify"] {
        assert_eq!(with_token(&accounts.verify(), &tokens).get(path).await.status, StatusCode::OK);
    }
    for path in ["/api/auth/me", "/auth/me"] {
        assert_eq!(with_token(&accounts.me(), &tokens).get(path).await.status, StatusCode::OK);
        assert_eq!(with_token(&accounts.update_me(), &tokens).put(path, &json!({})).await.status, StatusCode::OK);
    }
    for path in ["/api/auth/logout", "/auth/logout"] {
        let tokens = accounts.signed_in("alice").await;
        let answer = with_token(&accounts.logout(), &tokens).post_raw(path, "").await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused_before_anything_is_done() {
    let accounts = accounts();
    let tokens = accounts.newcomer("alice").await;
    let before = accounts.items();
    for (api, paths, content_type) in with_bodies(&accounts) {
        let (api, path) = (with_token(&api, &tokens), paths[0]);
        let typed = api.with("content-type", content_type);
        let bodies: [&[u8]; 9] =
            [b"", b"{", b"{} {}", b"[]", b"null", b"1", b"\xff\xfe", b"{\"username\": \"\\ud800\"}", b"\0"];
        for body in bodies {
            let answer = typed.post_raw(path, body).await;
            let refused = [StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY].contains(&answer.status);
            assert!(refused, "{path} {body:?}: {}", answer.status);
        }
        let deep = "[".repeat(100_000);
        assert_eq!(typed.post_raw(path, deep).await.status.as_u16() / 100, 4);
        for bytes in [BODY_LIMIT + 1, 1024 * 1024] {
            assert_eq!(typed.post_raw(path, "x".repeat(bytes)).await.status, StatusCode::PAYLOAD_TOO_LARGE);
        }
        for other in ["text/plain", "application/xml", "multipart/form-data", "jpeg", ""] {
            let answer = api.with("content-type", other).post_raw(path, "{}").await;
            assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{path} {other}");
        }
        assert_eq!(api.post_raw(path, "{}").await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    assert_eq!(accounts.items(), before);
}

#[tokio::test]
async fn nobody_in_particular_gets_in() {
    let accounts = accounts();
    let tokens = accounts.newcomer("alice").await;
    accounts.database.calls();
    let token = text(&tokens, "access_token");
    let (head, signature) = token.rsplit_once('.').unwrap();
    let reversed: String = signature.chars().rev().collect();
    // {"alg":"none"}
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", head.split('.').nth(1).unwrap());
    let hostile = [
        "".to_owned(),
        token.into(),
        format!("Basic {token}"),
        "Bearer ".into(),
        format!("Bearer {head}.{reversed}"),
        format!("Bearer {unsigned}"),
        format!("Bearer {}", text(&tokens, "refresh_token")),
        format!("Bearer {}", "x".repeat(100_000)),
    ];
    let change = json!({"current_password": "x", "new_password": "long enough"});
    for authorization in hostile {
        let as_nobody = |api: Api| api.with("authorization", &authorization);
        let answers = [
            as_nobody(accounts.verify()).get("/auth/verify").await,
            as_nobody(accounts.me()).get("/auth/me").await,
            as_nobody(accounts.update_me()).put("/auth/me", &json!({})).await,
            as_nobody(accounts.change_password()).post("/auth/change-password", &change).await,
            as_nobody(accounts.logout()).post_raw("/auth/logout", "").await,
        ];
        for answer in answers {
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{authorization}");
            assert_eq!(answer.headers["content-type"], "application/problem+json");
        }
    }
    assert_eq!(accounts.database.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn no_body_chooses_a_role_or_an_id() {
    let accounts = accounts();
    let admin = accounts.admin().await;
    let alice = accounts.newcomer("alice").await;
    let keys = Keys { platform: accounts.database.table("platform"), auth: accounts.table.clone() };
    let password = json!({"password": PASSWORD});
    let bodies = [
        (accounts.register(), http::register::PATHS, registration("bob")),
        (accounts.login(), http::login::PATHS, json!({"username": "alice", "password": PASSWORD})),
        (accounts.login(), http::login::PATHS, json!({"mfa_token": "x", "otp": "x"})),
        (
            with_token(&accounts.change_password(), &alice),
            http::change_password::PATHS,
            json!({"current_password": PASSWORD, "new_password": "another password"}),
        ),
        (with_token(&accounts.mfa_enroll(), &alice), http::mfa_enroll::PATHS, password.clone()),
        (with_token(&accounts.mfa_confirm(), &alice), http::mfa_confirm::PATHS, json!({"otp": "000000"})),
        (
            with_token(&accounts.mfa_disable(), &alice),
            http::mfa_disable::PATHS,
            json!({"password": PASSWORD, "otp": "000000"}),
        ),
        (
            with_token(&Api::new(http::create_key::router(keys)), &admin),
            http::create_key::PATHS,
            json!({"name": "test", "scopes": ["registry:read"]}),
        ),
    ];
    let before = accounts.items();
    for (field, value) in
        [("role", json!("admin")), ("admin", json!(true)), ("is_admin", json!(true)), ("id", json!(1))]
    {
        let pointer = format!("/{field}");
        for (api, paths, body) in &bodies {
            let mut body = body.clone();
            body[field] = value.clone();
            let answer = api.post(paths[0], &body).await;
            let refused = (StatusCode::UNPROCESSABLE_ENTITY, vec![&*pointer]);
            assert_eq!((answer.status, answer.pointers()), refused, "{} {body}", paths[0]);
        }
        let update = with_token(&accounts.update_me(), &alice).put("/auth/me", &json!({field: value})).await;
        assert_eq!((update.status, update.pointers()), (StatusCode::UNPROCESSABLE_ENTITY, vec![&*pointer]));
        for grant in
            [format!("username=alice&password={PASSWORD}"), format!("refresh_token={}", text(&alice, "refresh_token"))]
        {
            let answer = accounts.form(&format!("{grant}&{field}=admin")).await;
            assert_eq!((answer.status, answer.pointers()), (StatusCode::UNPROCESSABLE_ENTITY, vec![&*pointer]));
        }
    }
    assert_eq!(accounts.items(), before);
}

#[tokio::test]
async fn a_hostile_correlation_id_reaches_neither_answer_nor_log_nor_event() {
    let accounts = accounts();
    let long = "x".repeat(10_000);
    for (n, hostile) in ["a\tb", "two words", "{\"a\":1}", "<script>", "é", &long].into_iter().enumerate() {
        let register = accounts.register().with("x-correlation-id", hostile);
        let answer = register.post("/auth/register", &registration(&format!("user{n}"))).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        let given = answer.headers["x-correlation-id"].to_str().unwrap().to_owned();
        assert!(given.len() == 36 && given.parse::<uuid::Uuid>().is_ok(), "{given}");
        let event = accounts.events().pop().unwrap();
        assert_eq!(text(&event, "correlation_id"), given);
        let logged = accounts.of_type("audit");
        assert!(logged.iter().any(|entry| entry["correlation_id"]["S"] == given.as_str()));
        assert!(!json!([accounts.items(), answer.body]).to_string().contains(hostile));
    }
}

#[tokio::test]
async fn other_methods_and_other_paths_are_problems() {
    let accounts = accounts();
    for (api, paths, _) in with_bodies(&accounts) {
        assert_eq!(api.get(paths[0]).await.status, StatusCode::METHOD_NOT_ALLOWED);
        let answer = api.get("/api/auth/nothing").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    assert_eq!(accounts.logout().get("/auth/logout").await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(accounts.me().delete("/auth/me").await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn the_public_keys_are_a_jwk_set_that_may_be_cached() {
    let keys = PublicKeys::parse(&format!("old:{PUBLIC_KEY},new:{PUBLIC_KEY}")).unwrap();
    let answer = Api::new(http::jwks::router(&keys)).get("/.well-known/jwks.json").await;
    let key = |kid| json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": PUBLIC_KEY});
    assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({"keys": [key("new"), key("old")]})));
    assert_eq!(answer.headers["cache-control"], "public, max-age=300");
}

#[tokio::test]
async fn auth_is_as_healthy_as_its_table() {
    let accounts = accounts();
    let health = Api::new(health::router(SERVICE, "1.2.3", accounts.table.clone(), http::health::PATHS));
    for path in http::health::PATHS {
        let answer = health.get(path).await;
        let expected = json!({"status": "healthy", "service": "auth", "version": "1.2.3"});
        assert_eq!((answer.status, answer.body), (StatusCode::OK, expected));
        assert_eq!(health.post_raw(path, "").await.status, StatusCode::OK);
    }
    accounts.database.inject(Fault::Down);
    assert_eq!(health.get("/auth/health").await.status, StatusCode::SERVICE_UNAVAILABLE);
}
