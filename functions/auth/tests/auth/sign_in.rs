use auth::{
    Auth, http,
    signing::{Signer, SigningKey},
};
use axum::http::StatusCode;
use serde_json::{Value, json};
use shared::auth::{AUDIENCE, ISSUER, PublicKeys};
use testing::{Answer, Api, Fault};

use crate::world::{PASSWORD, PUBLIC_KEY, accounts, signing_key, text};

const PATH: &str = "/api/auth/login";

/// An answer without what differs from request to request.
fn said(answer: &Answer) -> (StatusCode, Value) {
    let mut body = answer.body.clone();
    body.as_object_mut().unwrap().remove("correlation_id");
    (answer.status, body)
}

#[tokio::test]
async fn signing_in_answers_with_tokens_and_the_account() {
    let accounts = accounts();
    let account = accounts.signed_up("alice").await;
    let tokens = accounts.signed_in("alice").await;
    assert_eq!([&tokens["token_type"], &tokens["expires_in"]], [&json!("Bearer"), &json!(900)]);
    assert_eq!(tokens["token"], tokens["access_token"]);
    assert_eq!(tokens["user"], account);
}

#[tokio::test]
async fn every_service_can_check_an_access_token_with_the_public_key() {
    let accounts = accounts();
    let account = accounts.signed_up("alice").await;
    let keys = PublicKeys::parse(&format!("test:{PUBLIC_KEY}")).unwrap();
    let first = keys.verify(text(&accounts.signed_in("alice").await, "access_token")).unwrap();
    let second = keys.verify(text(&accounts.signed_in("alice").await, "access_token")).unwrap();
    assert_eq!([&*first.iss, &*first.aud, &*first.username], [ISSUER, AUDIENCE, "alice"]);
    assert_eq!(json!([first.user_id().unwrap(), first.role]), json!([account["id"], "customer"]));
    assert_eq!(first.exp - first.iat, 900);
    assert!(first.sid != second.sid && first.jti != second.jti);
}

#[tokio::test]
async fn a_session_keeps_the_hash_of_its_refresh_token_and_not_the_token() {
    let accounts = accounts();
    let tokens = accounts.newcomer("alice").await;
    let [session] = accounts.of_type("session").try_into().unwrap();
    let secret = text(&tokens, "refresh_token").rsplit('.').next().unwrap();
    assert_eq!(secret.len(), 43, "256 bits in base64");
    assert_eq!(session["secret_sha256"]["S"].as_str().unwrap().len(), 64);
    assert!(session["ttl"]["N"].is_string());
    assert!(!format!("{:?}", accounts.items()).contains(secret));
}

#[tokio::test]
async fn names_are_the_same_in_any_case() {
    let accounts = accounts();
    accounts.signed_up("Alice").await;
    assert_eq!(accounts.try_password("aLICE", PASSWORD).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_form_with_a_name_and_a_password_needs_no_grant_type() {
    let accounts = accounts();
    accounts.signed_up("alice").await;
    let credentials = format!("username=alice&password={PASSWORD}");
    for form in [credentials.clone(), format!("grant_type=password&scope=openid&{credentials}")] {
        let answer = accounts.form(&form).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert!(accounts.is_live(&answer.body).await);
    }
}

#[tokio::test]
async fn a_form_is_percent_decoded() {
    let accounts = accounts();
    let body = json!({"username": "alice", "email": "alice@example.com", "password": "ein schöner & weiter Weg"});
    accounts.register().post("/auth/register", &body).await;
    let answer = accounts.form("username=alice&password=ein+sch%C3%B6ner+%26+weiter+Weg").await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn bad_forms_are_refused_with_a_pointer() {
    let accounts = accounts();
    let long = "x".repeat(600);
    let nothing = accounts.form("").await;
    assert_eq!(nothing.pointers(), ["/username", "/password"]);
    let cases = [
        ("username=alice", "/password"),
        ("password=x", "/username"),
        ("username=&password=x", "/username"),
        ("username=alice&password=", "/password"),
        (&*format!("username=alice&password={long}"), "/password"),
        (&*format!("username={long}&password=x"), "/username"),
        ("username=a&username=b&password=x", "/username"),
        ("grant_type=client_credentials", "/grant_type"),
        ("grant_type=&username=alice&password=x", "/grant_type"),
        ("grant_type=refresh_token", "/refresh_token"),
        ("grant_type=password&refresh_token=x&username=alice", "/password"),
        (&*format!("refresh_token={long}"), "/refresh_token"),
    ];
    for (form, pointer) in cases {
        let answer = accounts.form(form).await;
        assert_eq!((answer.status, answer.pointers()), (StatusCode::UNPROCESSABLE_ENTITY, vec![pointer]), "{form}");
    }
    for form in ["%", "%%%=&&&=", "\u{0}=\u{0}", "username=%FF&password=%FF"] {
        assert!(accounts.form(form).await.status.is_client_error(), "{form:?}");
    }
    assert_eq!(accounts.of_type("session").len(), 0);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_get_the_same_answer_for_the_same_work() {
    let accounts = accounts();
    accounts.signed_up("alice").await;
    accounts.database.calls();
    let wrong = accounts.try_password("alice", "wrong").await;
    let work = accounts.database.calls();
    let unknown = accounts.try_password("nobody", PASSWORD).await;
    assert_eq!(accounts.database.calls(), work);
    assert_eq!(said(&unknown), said(&wrong));
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert_eq!(wrong.headers["www-authenticate"], "Bearer");
    let form = accounts.form("username=nobody&password=x").await;
    assert_eq!(said(&form), said(&wrong));
    assert_eq!(accounts.of_type("session").len(), 0);
}

#[tokio::test]
async fn bad_logins_are_refused_with_a_pointer_and_touch_nothing() {
    let accounts = accounts();
    assert_eq!(accounts.login().post(PATH, &json!({})).await.pointers(), ["/username", "/password"]);
    let cases = [
        (json!({"username": "alice"}), "/password"),
        (json!({"username": "", "password": "x"}), "/username"),
        (json!({"username": "x".repeat(255), "password": "x"}), "/username"),
        (json!({"username": 1, "password": "x"}), "/username"),
        (json!({"username": "alice", "password": ""}), "/password"),
        (json!({"username": "alice", "password": "x".repeat(129)}), "/password"),
        (json!({"username": "alice", "password": {"$ne": null}}), "/password"),
        (json!({"username": "alice", "password": "x", "role": "admin"}), "/role"),
    ];
    for (body, pointer) in cases {
        let answer = accounts.login().post(PATH, &body).await;
        assert_eq!((answer.status, answer.pointers()), (StatusCode::UNPROCESSABLE_ENTITY, vec![pointer]), "{body}");
    }
    assert_eq!(accounts.database.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn without_its_key_auth_issues_nothing_and_says_so() {
    let accounts = accounts();
    accounts.signed_up("alice").await;
    let key = SigningKey { private_key_pem: "not a key".into(), ..signing_key() };
    let auth = Auth { signer: Signer::with_key(key), ..accounts.auth.clone() };
    let body = json!({"username": "alice", "password": PASSWORD});
    let answer = Api::new(http::login::router(auth)).post(PATH, &body).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!answer.body.to_string().contains("not a key"));
    assert_eq!(accounts.of_type("session").len(), 0);
    assert_eq!(accounts.try_password("alice", PASSWORD).await.status, StatusCode::OK);
}

#[tokio::test]
async fn without_a_table_nobody_signs_in_and_the_client_may_try_again() {
    let accounts = accounts();
    accounts.database.inject(Fault::Down);
    let answer = accounts.try_password("alice", PASSWORD).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn a_name_that_grows_beyond_a_key_when_it_is_normalized_is_unknown() {
    let accounts = accounts();
    let answer = accounts.try_password(&"\u{fdfa}".repeat(254), PASSWORD).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.body);
}
