//! What is not a token of this system: refused, at no cost out of proportion.

#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;

use allocation_counter::measure;
use axum::{
    Router,
    body::Body,
    http::{HeaderName, HeaderValue, Request, StatusCode},
    routing::get,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};
use shared::{
    auth::{AUDIENCE, ApiKeyRecord, ApiKeySecret, Caller, ISSUER, Identity, PublicKeys, Scope},
    event::Role,
    http::{Origins, layered},
    id::Id,
    table::Transaction,
    time::Timestamp,
};
use testing::{Database, identity, identity_accepting_keys, signed, token};
use tower::ServiceExt;

/// The public half of the key that [`signed`] uses.
const PUBLIC_KEY: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
/// What may be allocated at once to refuse a token or a request, beside some copies of what was sent.
const BYTES: u64 = 64 * 1024;
/// The same where a key has to be looked up: a call of the SDK, and the engine that answers it in this process.
const BYTES_WITH_LOOK_UP: u64 = 512 * 1024;
const HOUR: i64 = 3600;

static KEYS: LazyLock<PublicKeys> = LazyLock::new(|| PublicKeys::parse(&format!("test:{PUBLIC_KEY}")).unwrap());
/// An admin's, good as long as the tests run.
static TOKEN: LazyLock<String> = LazyLock::new(|| token(7, Role::Admin));

fn keys() -> &'static PublicKeys {
    &KEYS
}

fn header() -> Value {
    json!({"typ": "JWT", "alg": "EdDSA", "kid": "test"})
}

fn claims() -> Value {
    let now = Timestamp::now().unix_seconds();
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "7", "username": "alice", "role": "customer", "sid": "s", "jti": "j",
        "iat": now, "exp": now + 900})
}

/// The claims with one of them changed; `null` takes it away.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

#[test]
fn a_token_of_this_system_is_good_for_its_quarter_of_an_hour_give_or_take_five_seconds() {
    let now = Timestamp::now().unix_seconds();
    let good = |claims: &Value| keys().verify(&signed(&header(), claims)).is_ok();
    assert!(good(&claims()));
    assert!(good(&with("exp", json!(now - 3))) && good(&with("iat", json!(now + 3))));
    assert!(!good(&with("exp", json!(now - 10))) && !good(&with("iat", json!(now + 10))));
    assert!(!good(&with("exp", json!(now - HOUR))) && !good(&with("iat", json!(now + HOUR))));
}

#[test]
fn a_token_for_somebody_else_or_with_a_claim_amiss_is_refused_though_its_signature_is_right() {
    let now = Timestamp::now().unix_seconds();
    let wrong = [
        ("iss", json!("someone")),
        ("iss", json!(["quayside"])),
        ("iss", Value::Null),
        ("aud", json!("another-api")),
        ("aud", json!([])),
        ("aud", Value::Null),
        ("sub", Value::Null),
        ("sub", json!(7)),
        ("role", json!("root")),
        ("role", Value::Null),
        ("sid", Value::Null),
        ("exp", Value::Null),
        ("exp", json!("never")),
        ("exp", json!(-1)),
        ("nbf", json!(now + HOUR)),
        ("iat", json!(i64::MAX)),
        ("iat", Value::Null),
    ];
    for (name, value) in wrong {
        let claims = with(name, value);
        assert!(keys().verify(&signed(&header(), &claims)).is_err(), "{claims}");
    }
    for claims in [json!(null), json!([]), json!("x"), json!({})] {
        assert!(keys().verify(&signed(&header(), &claims)).is_err(), "{claims}");
    }
}

#[test]
fn a_token_under_another_key_or_algorithm_is_refused() {
    for wrong in [
        json!({"alg": "EdDSA"}),
        json!({"alg": "EdDSA", "kid": "another"}),
        json!({"alg": "EdDSA", "kid": ""}),
        json!({"alg": "EdDSA", "kid": ["test"]}),
        json!({"alg": "EdDSA", "kid": "../../test"}),
        json!({"alg": "none", "kid": "test"}),
        json!({"alg": "RS256", "kid": "test"}),
        json!({"alg": "HS256", "kid": "test"}),
        json!({"kid": "test"}),
        json!({"alg": "EdDSA", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": PUBLIC_KEY}}),
        json!(null),
    ] {
        assert!(keys().verify(&signed(&wrong, &claims())).is_err(), "{wrong}");
    }
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = format!("{}.{}.", part(&json!({"alg": "none", "kid": "test"})), part(&claims()));
    assert!(keys().verify(&unsigned).is_err());
    let public = [PUBLIC_KEY.as_bytes().to_vec(), BASE64_URL_SAFE_NO_PAD.decode(PUBLIC_KEY).unwrap()];
    for secret in public {
        let header = Header { kid: Some("test".into()), ..Header::new(Algorithm::HS256) };
        let confused = encode(&header, &claims(), &EncodingKey::from_secret(&secret)).unwrap();
        assert!(keys().verify(&confused).is_err(), "HS256 with the public key");
    }
}

#[test]
fn both_keys_of_a_rotation_are_good_until_one_is_taken_away() {
    let other = "2PwTRXU6jVAmlgVWUt8VjR0-xIgzYBpGgTCUbF0f__M";
    let token = token(7, Role::Customer);
    for (keys, good) in [
        (format!("test:{PUBLIC_KEY}"), true),
        (format!("test:{PUBLIC_KEY},new:{other}"), true),
        (format!("new:{other},test:{PUBLIC_KEY}"), true),
        (format!("new:{other}"), false),
        (format!("test:{other}"), false),
    ] {
        assert_eq!(PublicKeys::parse(&keys).unwrap().verify(&token).is_ok(), good, "{keys}");
    }
}

/// A change to a token's text.
#[derive(Clone, Debug)]
enum Mutation {
    Replace(Index, char),
    Insert(Index, String),
    Cut(Index, Index),
    Repeat(Index, usize),
    Swap(Index, Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<Index>;
    prop_oneof![
        (index(), any::<char>()).prop_map(|(at, c)| Mutation::Replace(at, c)),
        (index(), "[A-Za-z0-9_=.-]").prop_map(|(at, c)| Mutation::Replace(at, c.chars().next().unwrap())),
        (index(), ".{1,40}").prop_map(|(at, text)| Mutation::Insert(at, text)),
        (index(), index()).prop_map(|(from, to)| Mutation::Cut(from, to)),
        (index(), 1usize..2000).prop_map(|(at, times)| Mutation::Repeat(at, times)),
        (index(), index()).prop_map(|(a, b)| Mutation::Swap(a, b)),
    ]
}

impl Mutation {
    fn of(&self, text: &str) -> String {
        let mut chars: Vec<char> = text.chars().collect();
        if chars.is_empty() {
            return String::new();
        }
        let at = |index: &Index| index.index(chars.len());
        match self {
            Self::Replace(index, c) => {
                let index = at(index);
                chars[index] = *c;
            }
            Self::Insert(index, inserted) => {
                let index = at(index);
                chars.splice(index..index, inserted.chars());
            }
            Self::Cut(from, to) => {
                let (from, to) = (at(from).min(at(to)), at(from).max(at(to)));
                chars.drain(from..to);
            }
            Self::Repeat(index, times) => {
                let index = at(index);
                let c = chars[index];
                chars.splice(index..index, std::iter::repeat_n(c, *times));
            }
            Self::Swap(a, b) => {
                let (a, b) = (at(a), at(b));
                chars.swap(a, b);
            }
        }
        chars.into_iter().collect()
    }
}

/// What a client might put where a token belongs.
fn hostile() -> impl Strategy<Value = String> {
    let mutated = prop::collection::vec(mutation(), 1..4)
        .prop_map(|mutations| mutations.iter().fold(TOKEN.clone(), |text, mutation| mutation.of(&text)));
    let shaped = "[A-Za-z0-9_-]{0,400}\\.[A-Za-z0-9_-]{0,400}\\.[A-Za-z0-9_-]{0,90}";
    let json = (".{0,60}", ".{0,60}").prop_map(|(kid, sub)| {
        signed(&json!({"alg": "EdDSA", "kid": kid}), &json!({"sub": sub, "aud": AUDIENCE, "iss": ISSUER}))
    });
    let long = (0usize..200_000).prop_map(|length| "A".repeat(length));
    let nested = (0usize..1000)
        .prop_map(|depth| format!("{}.e30.AA", BASE64_URL_SAFE_NO_PAD.encode("[".repeat(depth) + &"]".repeat(depth))));
    prop_oneof![8 => mutated, 4 => shaped, 4 => ".{0,300}", 2 => json, 1 => long, 1 => nested]
}

/// A table of API keys with a single key, and its text.
struct Keys {
    database: Database,
    identity: Identity,
    text: String,
}

static API_KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let database = Database::new();
    let table = database.table("platform");
    let (id, secret) = (Id::new(42).unwrap(), ApiKeySecret::generate().unwrap());
    let record = ApiKeyRecord::new(id, &secret, "test", &[Scope::RegistryRead], 1_000_000, None);
    runtime().block_on(table.commit(Transaction::new().insert(&record))).unwrap();
    Keys { identity: identity_accepting_keys(&table), text: secret.key_text(id), database }
});

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// What a client might put where an API key belongs.
fn hostile_key() -> impl Strategy<Value = String> {
    let mutated = prop::collection::vec(mutation(), 1..4)
        .prop_map(|mutations| mutations.iter().fold(API_KEYS.text.clone(), |text, mutation| mutation.of(&text)));
    let of_the_form = ("[0-9]{1,20}|42", "[A-Za-z0-9_-]{43}").prop_map(|(id, secret)| format!("qsk_{id}_{secret}"));
    let long = (0usize..200_000).prop_map(|length| format!("qsk_42_{}", "A".repeat(length)));
    prop_oneof![6 => mutated, 6 => of_the_form, 2 => "qsk_[0-9]{0,20}_[A-Za-z0-9_-]{0,60}", 2 => ".{0,200}", 1 => long]
}

async fn subject(caller: Caller) -> String {
    caller.subject()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn no_text_but_a_token_is_a_token(text in hostile()) {
        let mut verified = None;
        let cost = measure(|| verified = keys().verify(&text).ok());
        prop_assert_eq!(verified.is_some(), text == *TOKEN);
        prop_assert!(cost.bytes_max <= BYTES, "{} bytes for {}", cost.bytes_max, text.len());
    }

    #[test]
    fn whatever_the_headers_say_nobody_gets_in(
        scheme in prop_oneof!["Bearer ", "bearer ", "Bearer  ", "Basic ", "", ".{0,10}"],
        text in hostile(),
        api_key in prop_oneof![Just(String::new()), "qsk_[0-9]{0,20}_[A-Za-z0-9_-]{0,60}".boxed(), ".{0,200}".boxed()],
        correlation_id in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut request = Request::get("/");
        let headers = [
            ("authorization", format!("{scheme}{text}").into_bytes()),
            ("x-api-key", api_key.into_bytes()),
            ("x-correlation-id", correlation_id),
        ];
        let mut sent = 0;
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                sent += value.len() as u64;
                request = request.header(HeaderName::from_static(name), value);
            }
        }
        let request = request.body(Body::empty()).unwrap();
        let router = layered(Router::new().route("/", get(subject)), identity(), &Origins::default());
        let runtime = runtime();
        let mut response = None;
        let cost = measure(|| response = Some(runtime.block_on(router.oneshot(request)).unwrap()));
        let response = response.unwrap();
        prop_assert!(response.status() == StatusCode::UNAUTHORIZED || text.trim() == *TOKEN);
        prop_assert!(cost.bytes_max <= BYTES + 4 * sent, "{} bytes for {sent}", cost.bytes_max);
        let correlation_id = response.headers()["x-correlation-id"].to_str().unwrap();
        prop_assert!((1..=128).contains(&correlation_id.len()));
        prop_assert!(correlation_id.bytes().all(|b| b.is_ascii_alphanumeric() || b".:_-".contains(&b)));
    }

    #[test]
    fn no_text_but_a_key_is_a_key_where_keys_are_looked_up(text in hostile_key(), token in prop::option::of(hostile())) {
        let signed_in = token.as_ref().is_some_and(|token| token.trim() == *TOKEN);
        let headers = [("x-api-key", Some(text.clone())), ("authorization", token.map(|token| format!("Bearer {token}")))];
        let mut request = Request::get("/");
        let mut sent = 0;
        for (name, value) in headers {
            if let Some(Ok(value)) = value.map(|value| HeaderValue::from_bytes(value.as_bytes())) {
                sent += value.len() as u64;
                request = request.header(HeaderName::from_static(name), value);
            }
        }
        let has_token = request.headers_ref().unwrap().contains_key("authorization");
        let router = layered(Router::new().route("/", get(subject)), API_KEYS.identity.clone(), &Origins::default());
        let request = request.body(Body::empty()).unwrap();
        let runtime = runtime();
        API_KEYS.database.calls();
        let mut response = None;
        let cost = measure(|| response = Some(runtime.block_on(router.oneshot(request)).unwrap()));
        let calls = API_KEYS.database.calls();
        let status = response.unwrap().status();
        let known = signed_in || (text == API_KEYS.text && !has_token);
        prop_assert!(status == StatusCode::UNAUTHORIZED || known, "{} {}", status, text);
        // Two reads, and once an hour that the key was refused.
        prop_assert!(calls.len() <= 3 || text == API_KEYS.text, "{:?}", calls);
        let limit = if calls.is_empty() { BYTES } else { BYTES_WITH_LOOK_UP };
        prop_assert!(cost.bytes_max <= limit + 4 * sent, "{} bytes for {sent}", cost.bytes_max);
    }
}
