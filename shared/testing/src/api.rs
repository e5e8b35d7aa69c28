use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http_body_util::BodyExt;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::Value;
use shared::{
    auth::{AUDIENCE, ApiKeyRecord, ApiKeySecret, Claims, ISSUER, Identity, PublicKeys, Scope},
    event::Role,
    http::{Origins, layered},
    id::Id,
    table::{Table, Transaction},
    time::Timestamp,
};
use tower::ServiceExt;

/// The key pair of RFC 8032's first test: PKCS #8 DER, and the public key as in a JWK.
const PRIVATE_KEY: [u8; 48] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20, 0x9d, 0x61, 0xb1,
    0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32,
    0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];
const PUBLIC_KEY: &str = "test:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// An identity that accepts [`token`]s.
pub fn identity() -> Identity {
    Identity::new(PublicKeys::parse(PUBLIC_KEY).unwrap(), None)
}

/// An identity that accepts [`token`]s, and the API keys in this table.
pub fn identity_accepting_keys(platform: &Table) -> Identity {
    Identity::new(PublicKeys::parse(PUBLIC_KEY).unwrap(), Some(platform.clone()))
}

/// The text of a new API key with this scope, of which this table knows.
pub async fn api_key(platform: &Table, scope: Scope) -> String {
    let (id, secret) = (Id::generate(), ApiKeySecret::generate().unwrap());
    let record = ApiKeyRecord::new(id, &secret, "client", &[scope], 1000, None);
    platform.commit(Transaction::new().insert(&record)).await.unwrap();
    secret.key_text(id)
}

/// An access token for the user with this id, good for a quarter of an hour.
pub fn token(user_id: u64, role: Role) -> String {
    let now = Timestamp::now().unix_seconds();
    let claims = Claims {
        iss: ISSUER.into(),
        aud: AUDIENCE.into(),
        sub: user_id.to_string(),
        username: format!("user{user_id}"),
        role,
        sid: "test-session".into(),
        jti: "test-token".into(),
        iat: now,
        exp: now + 900,
    };
    let header = Header { kid: Some("test".into()), ..Header::new(Algorithm::EdDSA) };
    encode(&header, &claims, &EncodingKey::from_ed_der(&PRIVATE_KEY)).unwrap()
}

/// A token with this header and these claims, whatever they are, signed as those that [`identity`]
/// accepts.
pub fn signed(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let key = EncodingKey::from_ed_der(&PRIVATE_KEY);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA).unwrap();
    format!("{message}.{signature}")
}

/// Sends requests to one endpoint, through the layers that serve it in production.
#[derive(Clone, Debug)]
pub struct Api {
    router: Router,
    headers: Vec<(String, String)>,
}

/// What an endpoint answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// `null` when the body is empty or not JSON.
    pub body: Value,
}

impl Answer {
    /// The JSON pointers of a problem's field errors.
    pub fn pointers(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().filter_map(|error| error["pointer"].as_str()).collect()
    }
}

impl Api {
    pub fn new(router: Router) -> Self {
        Self { router: layered(router, identity(), &Origins::default()), headers: Vec::new() }
    }

    /// An endpoint that accepts API keys too, from this table.
    pub fn accepting_keys(router: Router, platform: &Table) -> Self {
        let identity = identity_accepting_keys(platform);
        Self { router: layered(router, identity, &Origins::default()), headers: Vec::new() }
    }

    /// The same endpoint, with another header on every request.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut api = self.clone();
        api.headers.push((name.into(), value.into()));
        api
    }

    /// The same endpoint, called by the customer with this id.
    #[must_use]
    pub fn customer(&self, user_id: u64) -> Self {
        self.with("authorization", &format!("Bearer {}", token(user_id, Role::Customer)))
    }

    /// The same endpoint, called by an admin.
    #[must_use]
    pub fn admin(&self) -> Self {
        self.with("authorization", &format!("Bearer {}", token(1_000_000, Role::Admin)))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, Body::empty()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, Body::empty()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.json().send(Method::POST, path, Body::from(body.to_string())).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.json().send(Method::PUT, path, Body::from(body.to_string())).await
    }

    /// Posts a body as it stands; its content type is for [`Api::with`] to say.
    pub async fn post_raw(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.send(Method::POST, path, body.into()).await
    }

    fn json(&self) -> Self {
        self.with("content-type", "application/json")
    }

    async fn send(&self, method: Method, path: &str, body: Body) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = self.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Answer { status: parts.status, headers: parts.headers, body }
    }
}
