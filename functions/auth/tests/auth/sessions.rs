use auth::{session::Session, store};
use aws_sdk_dynamodb::types::AttributeValue;
use axum::http::StatusCode;
use serde_json::{Value, json};
use shared::{
    event::Role,
    table::{Item, Transaction, Update},
};
use testing::Answer;

use crate::world::{Accounts, PASSWORD, accounts, id, text, with_token};

const NEW_PASSWORD: &str = "a newer, better password";

impl Accounts {
    async fn change_password_to(&self, tokens: &Value, new_password: &str) -> Answer {
        let body = json!({"current_password": PASSWORD, "new_password": new_password});
        with_token(&self.change_password(), tokens).post("/api/auth/change-password", &body).await
    }

    async fn sign_out(&self, tokens: &Value) -> StatusCode {
        with_token(&self.logout(), tokens).post_raw("/api/auth/logout", "").await.status
    }

    /// The session that these tokens belong to.
    async fn session(&self, tokens: &Value) -> Session {
        let session_id = text(tokens, "refresh_token").split('.').nth(1).unwrap();
        store::session(&self.table, id(&tokens["user"]), session_id).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_refresh_gives_new_tokens_of_the_same_session() {
    let accounts = accounts();
    let first = accounts.newcomer("alice").await;
    accounts.database.calls();
    let answer = accounts.refresh(&first).await;
    assert_eq!(accounts.database.calls(), ["GetItem", "GetItem", "TransactWriteItems"]);
    assert_eq!(answer.status, StatusCode::OK);
    assert_ne!(answer.body["refresh_token"], first["refresh_token"]);
    assert_ne!(answer.body["access_token"], first["access_token"]);
    assert_eq!(answer.body["user"], first["user"]);
    assert_eq!(accounts.of_type("session").len(), 1);
    assert!(accounts.is_live(&answer.body).await);
    let implied = accounts.form(&format!("refresh_token={}", text(&answer.body, "refresh_token"))).await;
    assert_eq!(implied.status, StatusCode::OK);
}

#[tokio::test]
async fn a_refresh_token_that_is_used_again_ends_its_whole_session_and_no_other() {
    let accounts = accounts();
    let stolen = accounts.newcomer("alice").await;
    let other = accounts.signed_in("alice").await;
    let second = accounts.refresh(&stolen).await.body;
    let third = accounts.refresh(&second).await.body;
    assert_eq!(accounts.refresh(&stolen).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(accounts.refresh(&third).await.status, StatusCode::UNAUTHORIZED);
    for tokens in [&stolen, &second, &third] {
        assert!(!accounts.is_live(tokens).await);
    }
    assert!(accounts.is_live(&other).await);
    assert_eq!(accounts.refresh(&other).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_use_a_refresh_token_at_once_neither_keeps_the_session() {
    for _ in 0..10 {
        let accounts = std::sync::Arc::new(accounts());
        let tokens = accounts.newcomer("alice").await;
        let attempt = |accounts: std::sync::Arc<Accounts>, tokens: Value| {
            tokio::spawn(async move { accounts.refresh(&tokens).await })
        };
        let (one, other) =
            tokio::join!(attempt(accounts.clone(), tokens.clone()), attempt(accounts.clone(), tokens.clone()));
        let answers = [one.unwrap(), other.unwrap()];
        let mut statuses = answers.each_ref().map(|answer| answer.status);
        statuses.sort();
        assert_eq!(statuses, [StatusCode::OK, StatusCode::UNAUTHORIZED]);
        let winner = answers.iter().find(|answer| answer.status == StatusCode::OK).unwrap();
        assert!(!accounts.is_live(&winner.body).await);
        assert_eq!(accounts.refresh(&winner.body).await.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_session_ends_even_while_it_is_being_refreshed() {
    let accounts = accounts();
    let tokens = accounts.newcomer("alice").await;
    let seen = accounts.session(&tokens).await;
    let refreshed = accounts.refresh(&tokens).await.body;
    accounts.table.commit(store::session_end(&seen)).await.unwrap();
    assert!(!accounts.is_live(&refreshed).await);
}

#[tokio::test]
async fn what_is_not_a_refresh_token_is_refused_and_ends_nothing() {
    let accounts = accounts();
    let alice = accounts.newcomer("alice").await;
    let bob = accounts.newcomer("bob").await;
    let token = text(&alice, "refresh_token");
    let [account, session, family, secret] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let bob_id = id(&bob["user"]);
    let overflowing = u128::MAX;
    let cases = [
        "x".to_owned(),
        "..".into(),
        format!("{account}.{session}"),
        format!("{bob_id}.{session}.{family}.{secret}"),
        format!("0.{session}.{family}.{secret}"),
        format!("{overflowing}.{session}.{family}.{secret}"),
        format!("{account}.{}.{family}.{secret}", "0".repeat(32)),
        format!("{account}.SESSION.{family}.{secret}"),
        format!("{account}.{session}.{family}"),
        format!("{account}.{session}.{secret}"),
        format!("{account}.{session}.{secret}.{family}"),
        format!("{account}.{session}..{secret}"),
        text(&alice, "access_token").chars().take(512).collect(),
    ];
    for case in cases {
        assert_eq!(accounts.form(&format!("refresh_token={case}")).await.status, StatusCode::UNAUTHORIZED, "{case}");
    }
    assert!(accounts.is_live(&alice).await && accounts.is_live(&bob).await);
    assert_eq!(accounts.refresh(&alice).await.status, StatusCode::OK);
}

#[tokio::test]
async fn who_merely_knows_a_session_cannot_end_it() {
    let accounts = accounts();
    let alice = accounts.newcomer("alice").await;
    let [account, session, family, _] =
        text(&alice, "refresh_token").split('.').collect::<Vec<_>>().try_into().unwrap();
    let guess = "A".repeat(43);
    for token in [format!("{account}.{session}.{guess}.{guess}"), format!("{account}.{session}.{guess}")] {
        assert_eq!(accounts.refresh(&json!({"refresh_token": token})).await.status, StatusCode::UNAUTHORIZED);
    }
    assert!(accounts.is_live(&alice).await);
    let held = json!({"refresh_token": format!("{account}.{session}.{family}.{guess}")});
    accounts.refresh(&held).await;
    assert!(!accounts.is_live(&alice).await, "who knows what a refresh token held had one");
}

#[tokio::test]
async fn a_session_whose_token_has_no_family_gets_one_with_its_next_token() {
    let accounts = accounts();
    let tokens = accounts.newcomer("alice").await;
    let key = accounts.session(&tokens).await.key();
    let secret = "A".repeat(43);
    let update = Update::existing("session", key)
        .set("secret_sha256", AttributeValue::S(auth::ticket::sha256(&secret)))
        .remove("family_sha256");
    accounts.table.commit(Transaction::new().update(update)).await.unwrap();
    let [account, session, ..] = text(&tokens, "refresh_token").split('.').collect::<Vec<_>>()[..] else { panic!() };
    let old = json!({"refresh_token": format!("{account}.{session}.{secret}")});
    let refreshed = accounts.refresh(&old).await;
    assert_eq!(refreshed.status, StatusCode::OK, "{}", refreshed.body);
    assert_eq!(accounts.refresh(&old).await.status, StatusCode::UNAUTHORIZED);
    let again = accounts.refresh(&refreshed.body).await;
    assert_eq!(again.status, StatusCode::OK);
    accounts.refresh(&refreshed.body).await;
    assert!(!accounts.is_live(&again.body).await);
}

#[tokio::test]
async fn a_session_that_was_not_refreshed_for_a_month_is_over() {
    let accounts = accounts();
    let tokens = accounts.newcomer("alice").await;
    let key = accounts.session(&tokens).await.key();
    let past = AttributeValue::S("2026-01-01T00:00:00.000Z".into());
    let update = Update::existing("session", key).set("expires_at", past);
    accounts.table.commit(Transaction::new().update(update)).await.unwrap();
    assert!(!accounts.is_live(&tokens).await);
    assert_eq!(accounts.refresh(&tokens).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn signing_out_ends_the_session_and_no_other() {
    let accounts = accounts();
    let (here, there) = (accounts.newcomer("alice").await, accounts.signed_in("alice").await);
    accounts.database.calls();
    assert_eq!(accounts.sign_out(&here).await, StatusCode::NO_CONTENT);
    assert_eq!(accounts.database.calls(), ["GetItem", "GetItem", "TransactWriteItems"]);
    assert!(!accounts.is_live(&here).await);
    assert_eq!(accounts.refresh(&here).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(accounts.sign_out(&here).await, StatusCode::UNAUTHORIZED);
    assert!(accounts.is_live(&there).await);
}

#[tokio::test]
async fn changing_the_password_leaves_only_the_present_session() {
    let accounts = accounts();
    let present = accounts.newcomer("alice").await;
    let others = [accounts.signed_in("alice").await, accounts.signed_in("alice").await];
    assert_eq!(accounts.change_password_to(&present, NEW_PASSWORD).await.status, StatusCode::NO_CONTENT);
    assert!(accounts.is_live(&present).await);
    for other in &others {
        assert!(!accounts.is_live(other).await);
        assert_eq!(accounts.refresh(other).await.status, StatusCode::UNAUTHORIZED);
    }
    let refreshed = accounts.refresh(&present).await;
    assert_eq!(refreshed.status, StatusCode::OK);
    assert!(accounts.is_live(&refreshed.body).await);
}

#[tokio::test]
async fn after_a_change_only_the_new_password_is_good() {
    let accounts = accounts();
    let tokens = accounts.newcomer("alice").await;
    accounts.change_password_to(&tokens, NEW_PASSWORD).await;
    assert_eq!(accounts.try_password("alice", PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    let later = accounts.try_password("alice", NEW_PASSWORD).await;
    assert_eq!(later.status, StatusCode::OK);
    assert!(accounts.is_live(&later.body).await && accounts.is_live(&tokens).await);
}

#[tokio::test]
async fn the_session_that_was_kept_ends_with_the_next_change() {
    let accounts = accounts();
    let first = accounts.newcomer("alice").await;
    accounts.change_password_to(&first, NEW_PASSWORD).await;
    let second = accounts.try_password("alice", NEW_PASSWORD).await.body;
    let body = json!({"current_password": NEW_PASSWORD, "new_password": PASSWORD});
    with_token(&accounts.change_password(), &second).post("/auth/change-password", &body).await;
    assert!(!accounts.is_live(&first).await);
    assert!(accounts.is_live(&second).await);
}

#[tokio::test]
async fn a_session_started_with_the_old_password_during_the_change_is_over() {
    let accounts = accounts();
    let present = accounts.newcomer("alice").await;
    let before = store::account(&accounts.table, id(&present["user"])).await.unwrap().unwrap();
    accounts.change_password_to(&present, NEW_PASSWORD).await;
    let (session, refresh_token) = Session::start(&before).unwrap();
    accounts.table.commit(Transaction::new().insert(&session)).await.unwrap();
    let late = json!({ "refresh_token": refresh_token });
    assert_eq!(accounts.refresh(&late).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_wrong_or_bad_password_changes_nothing() {
    let accounts = accounts();
    let (tokens, other) = (accounts.newcomer("alice").await, accounts.signed_in("alice").await);
    let change = with_token(&accounts.change_password(), &tokens);
    let cases = [
        (
            json!({"current_password": "wrong", "new_password": NEW_PASSWORD}),
            StatusCode::FORBIDDEN,
            "/current_password",
        ),
        (json!({"current_password": PASSWORD}), StatusCode::UNPROCESSABLE_ENTITY, "/new_password"),
        (json!({"new_password": NEW_PASSWORD}), StatusCode::UNPROCESSABLE_ENTITY, "/current_password"),
        (
            json!({"current_password": PASSWORD, "new_password": "short"}),
            StatusCode::UNPROCESSABLE_ENTITY,
            "/new_password",
        ),
        (json!({"current_password": PASSWORD, "new_password": 123}), StatusCode::UNPROCESSABLE_ENTITY, "/new_password"),
        (
            json!({"current_password": PASSWORD, "new_password": "x".repeat(129)}),
            StatusCode::UNPROCESSABLE_ENTITY,
            "/new_password",
        ),
        (
            json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD, "user_id": 1}),
            StatusCode::UNPROCESSABLE_ENTITY,
            "/user_id",
        ),
    ];
    for (body, status, pointer) in cases {
        let answer = change.post("/api/auth/change-password", &body).await;
        assert_eq!((answer.status, answer.pointers()), (status, vec![pointer]), "{body}");
    }
    assert!(accounts.is_live(&other).await);
    accounts.signed_in("alice").await;
}

#[tokio::test]
async fn verify_tells_whose_token_it_is() {
    let accounts = accounts();
    let tokens = accounts.newcomer("alice").await;
    let verify = with_token(&accounts.verify(), &tokens);
    accounts.database.calls();
    let answer = verify.get("/api/auth/verify").await;
    assert_eq!(accounts.database.calls(), ["GetItem"; 2]);
    let posted = verify.post_raw("/auth/verify", "").await;
    assert_eq!((posted.status, &posted.body), (StatusCode::OK, &answer.body));
    let expires_at = answer.body["expires_at"].as_i64().unwrap();
    assert!(expires_at > shared::time::Timestamp::now().unix_seconds());
    let expected = json!({"valid": true, "auth": "verified", "user_id": tokens["user"]["id"], "username": "alice",
        "role": "customer", "expires_at": expires_at});
    assert_eq!(answer.body, expected);
}

#[tokio::test]
async fn a_well_signed_token_without_a_session_is_not_good() {
    let accounts = accounts();
    let user = id(&accounts.signed_up("alice").await).value();
    for (user_id, role) in [(user, Role::Customer), (user, Role::Admin), (404, Role::Customer)] {
        let forged = json!({"access_token": testing::token(user_id, role)});
        assert!(!accounts.is_live(&forged).await);
    }
}
