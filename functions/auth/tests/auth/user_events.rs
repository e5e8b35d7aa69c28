use auth::{audit::Origin, consumers::user_events::UserEvents, store};
use axum::http::StatusCode;
use serde_json::{Value, json};
use shared::{
    auth::Admins,
    consumer::{self, ConsumerError, Outcome},
    event::{Envelope, Payload, Role, UserDeleted, UserUpdated},
    id::Id,
    time::Timestamp,
};

use crate::world::{Accounts, PASSWORD, accounts, id, with_token};

/// An event of the next hour; a larger second is later. Accounts are made before any of them.
fn at<P: Payload>(second: i64, payload: &P) -> Envelope {
    let occurred_at = Timestamp::from_unix_millis(Timestamp::now().unix_millis() + second * 1000);
    Envelope { occurred_at, ..Envelope::new(payload).unwrap() }
}

fn updated(second: i64, user: &Value, name: &str, email: &str) -> Envelope {
    let (name, email) = (name.to_owned(), email.to_owned());
    at(second, &UserUpdated { user_id: id(user), name, email, role: Role::Admin, version: 2, by: None })
}

fn deleted(user_id: Id) -> Envelope {
    at(1, &UserDeleted { user_id, version: 2, by: None })
}

impl Accounts {
    async fn deliver(&self, event: &Envelope) -> Result<Outcome, ConsumerError> {
        consumer::handle(&UserEvents { table: self.table.clone() }, event.clone()).await
    }

    async fn name_and_email(&self, user: &Value) -> [String; 2] {
        let account = store::account(&self.table, id(user)).await.unwrap().unwrap();
        [account.profile.name, account.profile.email]
    }
}

#[tokio::test]
async fn with_the_profile_ends_the_account_and_every_session() {
    let accounts = accounts();
    let sessions = [accounts.newcomer("alice").await, accounts.signed_in("alice").await];
    let bob = accounts.newcomer("bob").await;
    let event = deleted(id(&sessions[0]["user"]));
    assert_eq!(accounts.deliver(&event).await.unwrap(), Outcome::Handled);
    assert_eq!(accounts.deliver(&event).await.unwrap(), Outcome::Duplicate);
    for tokens in &sessions {
        assert!(!accounts.is_live(tokens).await);
        assert_eq!(accounts.refresh(tokens).await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(with_token(&accounts.me(), tokens).get("/auth/me").await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(accounts.try_password("alice", PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    assert!(accounts.is_live(&bob).await);
}

#[tokio::test]
async fn late_news_does_not_bring_a_deleted_account_back() {
    let accounts = accounts();
    let tokens = accounts.newcomer("alice").await;
    let user = &tokens["user"];
    let news = updated(5, user, "Alice", "alice@example.com");
    accounts.deliver(&deleted(id(user))).await.unwrap();
    accounts.deliver(&news).await.unwrap();
    assert!(!accounts.is_live(&tokens).await);
    assert_eq!(accounts.try_password("alice", PASSWORD).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_account_follows_its_profiles_name_and_address_but_never_its_role() {
    let accounts = accounts();
    let tokens = accounts.newcomer("alice").await;
    let user = &tokens["user"];
    let event = updated(1, user, "Alice J.", "aj@example.com");
    assert_eq!(accounts.deliver(&event).await.unwrap(), Outcome::Handled);
    assert_eq!(accounts.deliver(&event).await.unwrap(), Outcome::Duplicate);
    let me = with_token(&accounts.me(), &tokens).get("/auth/me").await.body;
    assert_eq!(json!([me["name"], me["email"], me["role"]]), json!(["Alice J.", "aj@example.com", "customer"]));
    let free = json!({"username": "other", "email": "alice@example.com", "password": PASSWORD});
    assert_eq!(accounts.register().post("/auth/register", &free).await.status, StatusCode::CREATED);
    let taken = json!({"username": "another", "email": "aj@example.com", "password": PASSWORD});
    assert_eq!(accounts.register().post("/auth/register", &taken).await.pointers(), ["/email"]);
}

#[tokio::test]
async fn the_newest_news_wins_in_whatever_order_it_comes() {
    let names =
        [(1, "alice", "alice@example.com"), (2, "Second", "second@example.com"), (3, "alice", "alice@example.com")];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let accounts = accounts();
        let user = accounts.signed_up("alice").await;
        let events = names.map(|(second, name, email)| updated(second, &user, name, email));
        for index in order {
            accounts.deliver(&events[index]).await.unwrap();
            accounts.deliver(&events[index]).await.unwrap();
        }
        assert_eq!(accounts.name_and_email(&user).await, ["alice", "alice@example.com"], "{order:?}");
        assert_eq!(accounts.of_type("email").len(), 1);
    }
}

#[tokio::test]
async fn a_change_of_ones_own_is_not_undone_by_older_news() {
    let accounts = accounts();
    let tokens = accounts.newcomer("alice").await;
    let older = updated(-60, &tokens["user"], "Older", "older@example.com");
    with_token(&accounts.update_me(), &tokens).put("/auth/me", &json!({"name": "Mine"})).await;
    accounts.deliver(&older).await.unwrap();
    assert_eq!(accounts.name_and_email(&tokens["user"]).await, ["Mine", "alice@example.com"]);
}

#[tokio::test]
async fn an_address_that_another_account_has_leaves_the_accounts_own() {
    let accounts = accounts();
    let (alice, bob) = (accounts.signed_up("alice").await, accounts.signed_up("bob").await);
    let event = updated(1, &bob, "Bob Smith", "Alice@example.com");
    assert_eq!(accounts.deliver(&event).await.unwrap(), Outcome::Handled);
    assert_eq!(accounts.deliver(&event).await.unwrap(), Outcome::Duplicate);
    assert_eq!(accounts.name_and_email(&bob).await, ["Bob Smith", "bob@example.com"]);
    assert_eq!(accounts.name_and_email(&alice).await, ["alice", "alice@example.com"]);
}

#[tokio::test]
async fn profiles_without_an_account_are_none_of_auths_business() {
    let accounts = accounts();
    let stranger = json!({"id": 404});
    for event in [deleted(id(&stranger)), updated(1, &stranger, "x", "x@example.com")] {
        assert_eq!(accounts.deliver(&event).await.unwrap(), Outcome::Handled);
        assert_eq!(accounts.deliver(&event).await.unwrap(), Outcome::Duplicate);
    }
    assert_eq!(accounts.items().len(), accounts.of_type("inbox").len());
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_left_for_the_dead_letter_queue() {
    let accounts = accounts();
    let user = accounts.signed_up("alice").await;
    let good = updated(1, &user, "x", "x@example.com");
    let newer = Envelope { version: 2, ..good.clone() };
    let other = Envelope { event_type: "user.created".into(), ..good.clone() };
    let malformed = Envelope { data: json!({"user_id": user["id"]}), ..good };
    for event in [newer, other, malformed] {
        assert!(accounts.deliver(&event).await.is_err(), "{event:?}");
    }
    assert_eq!(accounts.of_type("inbox").len(), 0);
}

#[tokio::test]
async fn a_change_through_the_profile_is_in_the_log_with_who_made_it_and_an_echo_is_not() {
    let accounts = accounts();
    let user = accounts.signed_up("alice").await;
    let logged = |accounts: &Accounts| -> Vec<[String; 2]> {
        let entries = accounts.of_type("audit");
        let text = |entry: &Value, field: &str| entry[field]["S"].as_str().unwrap().to_owned();
        let mut said: Vec<_> = entries.iter().map(|entry| [text(entry, "event"), text(entry, "actor")]).collect();
        said.retain(|[event, _]| event != "account.registered");
        said
    };
    let echo = updated(1, &user, "alice", "alice@example.com");
    accounts.deliver(&echo).await.unwrap();
    assert_eq!(logged(&accounts), Vec::<[String; 2]>::new());

    let moved = UserUpdated {
        user_id: id(&user),
        name: "alice".into(),
        email: "new@example.com".into(),
        role: Role::Customer,
        version: 3,
        by: Some("user:7".into()),
    };
    accounts.deliver(&at(2, &moved)).await.unwrap();
    assert_eq!(logged(&accounts), [["account.updated".to_owned(), "user:7".to_owned()]]);

    let gone = UserDeleted { user_id: id(&user), version: 4, by: Some("user:9".into()) };
    accounts.deliver(&at(3, &gone)).await.unwrap();
    assert!(logged(&accounts).contains(&["account.disabled".to_owned(), "user:9".to_owned()]));
}

#[tokio::test]
async fn an_admin_whose_profile_is_gone_is_none_any_more() {
    let accounts = accounts();
    let (alice, bob) = (accounts.signed_up("alice").await, accounts.signed_up("bob").await);
    for user in [&alice, &bob] {
        let account = store::account(&accounts.table, id(user)).await.unwrap().unwrap();
        let admins = Admins::read(&accounts.table).await.unwrap();
        let change = store::role_change(&account, &admins, Role::Admin, &Origin::operator()).unwrap();
        accounts.table.commit(change).await.unwrap();
    }
    accounts.deliver(&deleted(id(&alice))).await.unwrap();
    assert!(Admins::read(&accounts.table).await.unwrap().has_none_but(id(&bob)));
}
