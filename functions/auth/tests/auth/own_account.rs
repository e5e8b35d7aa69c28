use auth::{
    audit::Origin,
    store::{self, LastAdmin},
};
use axum::http::StatusCode;
use serde_json::{Value, json};
use shared::{
    auth::{Admins, PublicKeys},
    event::Role,
};
use testing::Answer;

use crate::world::{Accounts, PASSWORD, PUBLIC_KEY, accounts, id, text, with_token};

const PATH: &str = "/api/auth/me";

impl Accounts {
    async fn update(&self, tokens: &Value, change: &Value) -> Answer {
        with_token(&self.update_me(), tokens).put(PATH, change).await
    }

    async fn shown(&self, tokens: &Value) -> Value {
        with_token(&self.me(), tokens).get(PATH).await.body
    }

    fn held_addresses(&self) -> Vec<String> {
        let guards = self.of_type("email");
        let mut held: Vec<_> = guards.iter().map(|guard| guard["email"]["S"].as_str().unwrap().to_owned()).collect();
        held.sort();
        held
    }
}

#[tokio::test]
async fn me_is_ones_own_account() {
    let accounts = accounts();
    let tokens = accounts.newcomer("alice").await;
    accounts.newcomer("bob").await;
    accounts.database.calls();
    assert_eq!(accounts.shown(&tokens).await, tokens["user"]);
    assert_eq!(accounts.database.calls(), ["GetItem"; 2]);
}

#[tokio::test]
async fn one_changes_ones_name_and_address_and_nothing_else() {
    let accounts = accounts();
    let tokens = accounts.newcomer("alice").await;
    let answer = accounts.update(&tokens, &json!({"name": " Alice J. ", "email": "aj@example.com"})).await;
    let mut expected = tokens["user"].clone();
    expected["name"] = json!("Alice J.");
    expected["email"] = json!("aj@example.com");
    assert_eq!((answer.status, &answer.body), (StatusCode::OK, &expected));
    assert_eq!(accounts.shown(&tokens).await, expected);
    let event = accounts.events().pop().unwrap();
    let data = json!({"user_id": expected["id"], "name": "Alice J.", "email": "aj@example.com"});
    assert_eq!([&event["type"], &event["data"]], [&json!("account.updated"), &data]);
}

#[tokio::test]
async fn what_is_left_out_stays() {
    let accounts = accounts();
    let tokens = accounts.newcomer("alice").await;
    accounts.update(&tokens, &json!({"name": "Alice"})).await;
    let answer = accounts.update(&tokens, &json!({"email": "ALICE@example.com"})).await;
    assert_eq!(json!([answer.body["name"], answer.body["email"]]), json!(["Alice", "ALICE@example.com"]));
    let unchanged = accounts.update(&tokens, &json!({})).await;
    assert_eq!((unchanged.status, &unchanged.body), (StatusCode::OK, &answer.body));
    assert_eq!(accounts.held_addresses(), ["alice@example.com"]);
}

#[tokio::test]
async fn a_taken_address_is_refused_and_a_given_up_one_is_free_again() {
    let accounts = accounts();
    let (alice, bob) = (accounts.newcomer("alice").await, accounts.newcomer("bob").await);
    let taken = accounts.update(&bob, &json!({"name": "Bob", "email": "Alice@Example.com"})).await;
    assert_eq!((taken.status, taken.pointers()), (StatusCode::CONFLICT, vec!["/email"]));
    assert_eq!(accounts.shown(&bob).await, bob["user"]);
    accounts.update(&alice, &json!({"email": "new@example.com"})).await;
    assert_eq!(accounts.update(&bob, &json!({"email": "alice@example.com"})).await.status, StatusCode::OK);
    assert_eq!(accounts.held_addresses(), ["alice@example.com", "new@example.com"]);
}

#[tokio::test]
async fn bad_changes_are_refused_with_a_pointer_and_change_nothing() {
    let accounts = accounts();
    let tokens = accounts.newcomer("alice").await;
    let before = accounts.items().len();
    let cases = [
        (json!({"name": ""}), "/name"),
        (json!({"name": "\u{2003}"}), "/name"),
        (json!({"name": "x".repeat(201)}), "/name"),
        (json!({"name": 1}), "/name"),
        (json!({"email": "x"}), "/email"),
        (json!({"email": ""}), "/email"),
        (json!({"email": {}}), "/email"),
        (json!({"role": "admin"}), "/role"),
        (json!({"id": 1}), "/id"),
        (json!({"username": "root"}), "/username"),
        (json!({"password": PASSWORD}), "/password"),
    ];
    for (change, pointer) in cases {
        let answer = accounts.update(&tokens, &change).await;
        assert_eq!((answer.status, answer.pointers()), (StatusCode::UNPROCESSABLE_ENTITY, vec![pointer]), "{change}");
    }
    assert_eq!(accounts.shown(&tokens).await, tokens["user"]);
    assert_eq!(accounts.items().len(), before);
}

#[tokio::test]
async fn another_role_ends_every_session_and_is_in_the_tokens_the_log_and_an_event() {
    let accounts = accounts();
    let before = accounts.newcomer("alice").await;
    let account = store::account(&accounts.table, id(&before["user"])).await.unwrap().unwrap();
    let change = store::role_change(&account, &Admins::default(), Role::Admin, &Origin::operator());
    accounts.table.commit(change.unwrap()).await.unwrap();
    assert!(!accounts.is_live(&before).await);
    assert_eq!(accounts.refresh(&before).await.status, StatusCode::UNAUTHORIZED);
    let after = accounts.signed_in("alice").await;
    let keys = PublicKeys::parse(&format!("test:{PUBLIC_KEY}")).unwrap();
    assert_eq!(keys.verify(text(&after, "access_token")).unwrap().role, Role::Admin);
    let entry = accounts.of_type("audit").into_iter().find(|entry| entry["event"]["S"] == "role.changed").unwrap();
    let said = ["actor", "subject"].map(|field| entry[field]["S"].as_str().unwrap());
    assert_eq!(said, ["operator", "role:admin"]);
    let event = accounts.events().pop().unwrap();
    assert_eq!([&event["type"], &event["data"]["role"]], [&json!("account.updated"), &json!("admin")]);
}

#[tokio::test]
async fn the_last_admin_stays_one() {
    let accounts = accounts();
    let (table, operator) = (&accounts.table, Origin::operator());
    let alice = id(&accounts.signed_up("alice").await);
    let bob = id(&accounts.signed_up("bob").await);
    let change = async |who, role| {
        let account = store::account(table, who).await.unwrap().unwrap();
        let admins = Admins::read(table).await.unwrap();
        table.commit(store::role_change(&account, &admins, role, &operator)?).await.unwrap();
        Ok::<(), LastAdmin>(())
    };
    change(alice, Role::Admin).await.unwrap();
    assert_eq!(change(alice, Role::Customer).await, Err(LastAdmin));
    change(bob, Role::Admin).await.unwrap();
    change(alice, Role::Customer).await.unwrap();
    assert_eq!(change(bob, Role::Customer).await, Err(LastAdmin));
    change(bob, Role::Admin).await.unwrap();
}

#[tokio::test]
async fn of_two_admins_who_stop_being_one_at_once_one_stays() {
    let accounts = accounts();
    let (table, operator) = (&accounts.table, Origin::operator());
    let ids = [id(&accounts.signed_up("alice").await), id(&accounts.signed_up("bob").await)];
    let mut changes = Vec::new();
    for (who, role) in ids.map(|id| (id, Role::Admin)).into_iter().chain(ids.map(|id| (id, Role::Customer))) {
        let account = store::account(table, who).await.unwrap().unwrap();
        let admins = Admins::read(table).await.unwrap();
        let change = store::role_change(&account, &admins, role, &operator).unwrap();
        if role == Role::Admin { table.commit(change).await.unwrap() } else { changes.push(change) }
    }
    let [first, second] = changes.try_into().unwrap();
    table.commit(first).await.unwrap();
    assert!(table.commit(second).await.unwrap_err().failed("admins"));
}
