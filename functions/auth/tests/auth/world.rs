use auth::{
    Auth, Enrolling,
    account::{Account, Registration},
    http, password,
    sealing::Sealer,
    signing::{Signer, SigningKey},
    store,
};
use axum::{Extension, http::StatusCode};
use lambda_http::request::RequestContext;
use serde_json::{Value, json};
use shared::{event::Role, id::Id, table::Table};
use testing::{Answer, Api, Database};

pub const PASSWORD: &str = "correct-horse-battery";
pub const FORM: &str = "application/x-www-form-urlencoded";

/// The key pair of RFC 8032's first test, with which [`testing`] checks tokens.
const PRIVATE_KEY: &str = "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g";
pub const PUBLIC_KEY: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// What the sealing key is made from.
pub const SEALING_TEXT: &str = "a text of two hundred and fifty-six random bits, let us say";

/// An auth service with an empty table.
pub struct Accounts {
    pub database: Database,
    pub table: Table,
    pub auth: Auth,
}

pub fn signing_key() -> SigningKey {
    let pem = |label| format!("-----{label} PRIVATE KEY-----\n");
    let private_key_pem = format!("{}{PRIVATE_KEY}\n{}", pem("BEGIN"), pem("END"));
    SigningKey { kid: "test".into(), private_key_pem, x: PUBLIC_KEY.into() }
}

pub fn accounts() -> Accounts {
    let database = Database::new();
    let table = database.table("auth");
    let sealer = Sealer::with_text(SEALING_TEXT);
    let auth = Auth { table: table.clone(), signer: Signer::with_key(signing_key()), sealer };
    Accounts { database, table, auth }
}

/// A registration with an address that goes with the name.
pub fn registration(username: &str) -> Value {
    json!({"username": username, "email": format!("{username}@example.com"), "password": PASSWORD})
}

pub fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap()
}

pub fn id(account: &Value) -> Id {
    Id::new(account["id"].as_u64().unwrap()).unwrap()
}

/// The endpoint, called with the access token among these tokens.
pub fn with_token(api: &Api, tokens: &Value) -> Api {
    api.with("authorization", &format!("Bearer {}", text(tokens, "access_token")))
}

/// What API Gateway says of a request from this address.
fn from(address: &str) -> Extension<RequestContext> {
    let context = json!({"identity": {"sourceIp": address}, "httpMethod": "POST"});
    Extension(serde_json::from_value(context).unwrap())
}

impl Accounts {
    pub fn register(&self) -> Api {
        Api::new(http::register::router(self.table.clone()))
    }

    pub fn login(&self) -> Api {
        Api::new(http::login::router(self.auth.clone()))
    }

    /// Login as API Gateway passes it on from this address.
    pub fn login_from(&self, address: &str) -> Api {
        Api::new(http::login::router(self.auth.clone()).layer(from(address)))
    }

    /// Registration as API Gateway passes it on from this address.
    pub fn register_from(&self, address: &str) -> Api {
        Api::new(http::register::router(self.table.clone()).layer(from(address)))
    }

    pub fn token(&self) -> Api {
        Api::new(http::token::router(self.auth.clone()))
    }

    pub fn verify(&self) -> Api {
        Api::new(http::verify::router(self.table.clone()))
    }

    pub fn me(&self) -> Api {
        Api::new(http::me::router(self.table.clone()))
    }

    pub fn update_me(&self) -> Api {
        Api::new(http::update_me::router(self.table.clone()))
    }

    pub fn change_password(&self) -> Api {
        Api::new(http::change_password::router(self.table.clone()))
    }

    pub fn enrolling(&self) -> Enrolling {
        Enrolling { table: self.table.clone(), sealer: self.auth.sealer.clone() }
    }

    pub fn mfa_enroll(&self) -> Api {
        Api::new(http::mfa_enroll::router(self.enrolling()))
    }

    pub fn mfa_confirm(&self) -> Api {
        Api::new(http::mfa_confirm::router(self.enrolling()))
    }

    pub fn mfa_disable(&self) -> Api {
        Api::new(http::mfa_disable::router(self.enrolling()))
    }

    pub fn audit(&self) -> Api {
        Api::new(http::audit::router(self.table.clone()))
    }

    pub fn logout(&self) -> Api {
        Api::new(http::logout::router(self.table.clone()))
    }

    /// A new account called `username`, with [`PASSWORD`].
    pub async fn signed_up(&self, username: &str) -> Value {
        let answer = self.register().post("/api/auth/register", &registration(username)).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        answer.body
    }

    /// The tokens of a new admin, whom the operator would have made.
    pub async fn admin(&self) -> Value {
        let registration: Registration = serde_json::from_value(registration("root")).unwrap();
        let account = Account::new(Id::generate(), &registration, Role::Admin);
        let hash = password::hash(PASSWORD).unwrap();
        self.table.commit(store::insertion(&account, &hash)).await.unwrap();
        self.signed_in("root").await
    }

    /// The tokens of a new session with [`PASSWORD`].
    pub async fn signed_in(&self, username: &str) -> Value {
        let answer = self.try_password(username, PASSWORD).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.body
    }

    /// The tokens of the first session of a new account.
    pub async fn newcomer(&self, username: &str) -> Value {
        self.signed_up(username).await;
        self.signed_in(username).await
    }

    pub async fn try_password(&self, username: &str, password: &str) -> Answer {
        self.login().post("/api/auth/login", &json!({"username": username, "password": password})).await
    }

    pub async fn form(&self, body: &str) -> Answer {
        self.token().with("content-type", FORM).post_raw("/api/auth/token", body.to_owned()).await
    }

    pub async fn refresh(&self, tokens: &Value) -> Answer {
        self.form(&format!("grant_type=refresh_token&refresh_token={}", text(tokens, "refresh_token"))).await
    }

    pub async fn is_live(&self, tokens: &Value) -> bool {
        let answer = with_token(&self.verify(), tokens).get("/api/auth/verify").await;
        assert!([StatusCode::OK, StatusCode::UNAUTHORIZED].contains(&answer.status), "{}", answer.body);
        answer.status == StatusCode::OK
    }

    pub fn items(&self) -> Vec<Value> {
        self.database.items(&self.table)
    }

    pub fn of_type(&self, item_type: &str) -> Vec<Value> {
        self.items().into_iter().filter(|item| item["type"]["S"] == item_type).collect()
    }

    /// The published events, oldest first.
    pub fn events(&self) -> Vec<Value> {
        let items = self.of_type("outbox");
        let mut events: Vec<Value> =
            items.iter().map(|item| serde_json::from_str(item["envelope"]["S"].as_str().unwrap()).unwrap()).collect();
        events.sort_by_key(|event| text(event, "id").to_owned());
        events
    }
}
