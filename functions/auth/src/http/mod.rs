//! The auth endpoints, each under `/api/auth` and `/auth`.

pub mod audit;
pub mod change_password;
pub mod create_key;
pub mod health;
pub mod jwks;
pub mod list_keys;
pub mod login;
pub mod logout;
pub mod me;
pub mod mfa_confirm;
pub mod mfa_disable;
pub mod mfa_enroll;
pub mod register;
pub mod revoke_key;
pub mod token;
pub mod update_me;
pub mod verify;

use shared::{
    auth::Caller,
    http::Problem,
    table::{Table, TableError},
    time::Timestamp,
};

use crate::{
    account::Account,
    audit::{AuditEntry, AuditEvent, Origin},
    mfa::{Proof, SecondFactor},
    password,
    sealing::Sealer,
    session::Session,
    store::{self, APPEARANCE, EMAIL, USERNAME},
    throttle::{Admission, Throttle},
};

/// What the endpoints say of themselves.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    audit::list,
    change_password::change_password,
    create_key::create_key,
    health::endpoint,
    jwks::jwks,
    list_keys::list_keys,
    login::login,
    logout::logout,
    me::me,
    mfa_confirm::confirm,
    mfa_disable::disable,
    mfa_enroll::enroll,
    register::register,
    revoke_key::revoke_key,
    token::token,
    update_me::update_me,
    verify::verify,
))]
pub struct Documentation;

/// The caller's account and session, if the session has not ended; 401 if it has.
async fn signed_in(table: &Table, caller: &Caller) -> Result<(Account, Session), Problem> {
    let (id, claims) = (caller.user_id()?, caller.claims()?);
    let (account, session) = tokio::try_join!(store::account(table, id), store::session(table, id, &claims.sid))?;
    account.zip(session).filter(|(account, session)| session.is_live(account)).ok_or_else(Problem::unauthenticated)
}

/// [`signed_in`] for what is only an admin's to do: 403 for everybody else.
async fn signed_in_admin(table: &Table, caller: &Caller) -> Result<(), Problem> {
    caller.must_be_admin()?;
    signed_in(table, caller).await.map(|_| ())
}

/// Lets the caller go on who knows the account's present password; 403 at `pointer` for another, and 429 for
/// guessing.
async fn check_password(
    table: &Table,
    account: &Account,
    origin: &Origin,
    password: &str,
    pointer: &str,
) -> Result<(), Problem> {
    let id = account.profile.id;
    let admission = Throttle::of_passwords(&account.profile.username, origin.address()).admit(table).await?;
    let hash = store::password_hash(table, id).await?;
    if password::verify(password, hash.as_deref()) {
        admission.succeeded().await;
        return Ok(());
    }
    let entry = AuditEntry::new(AuditEvent::PasswordRefused, origin).user(id);
    table.commit(admission.throttled(origin, Some(id)).insert(&entry)).await?;
    Err(Problem::forbidden("the current password is wrong").at(pointer))
}

/// Lets the caller go on who has the second factor, with the factor after the proof was used, and with the
/// attempt, which has succeeded once that is stored; 403 at the proof's field for another, and 429 for
/// guessing.
async fn check_proof(
    table: &Table,
    sealer: &Sealer,
    factor: &SecondFactor,
    proof: Proof<'_>,
    origin: &Origin,
) -> Result<(Admission, SecondFactor), Problem> {
    let id = factor.account_id;
    let admission = Throttle::of_codes(id, origin.address()).admit(table).await?;
    if let Some(used) = factor.using(proof, sealer, Timestamp::now()).await? {
        return Ok((admission, used));
    }
    let entry = AuditEntry::new(AuditEvent::MfaRefused, origin).user(id);
    table.commit(admission.throttled(origin, Some(id)).insert(&entry)).await?;
    Err(Problem::forbidden("the code is wrong or was used before").at(proof.pointer()))
}

/// What it takes to sign in; 422 for what is missing of it.
fn name_and_password<'a>(username: Option<&'a str>, password: Option<&'a str>) -> Result<(&'a str, &'a str), Problem> {
    let missing = [("username", username.is_none()), ("password", password.is_none())];
    let missing: Vec<&str> = missing.into_iter().filter(|(_, missing)| *missing).map(|(field, _)| field).collect();
    username.zip(password).ok_or_else(|| Problem::missing(&missing))
}

/// 409 for a user name or an e-mail address that another account has.
fn taken(error: TableError) -> Problem {
    if error.failed(USERNAME) {
        Problem::conflict("username_taken", "another user has this name").at("/username")
    } else if error.failed(APPEARANCE) {
        Problem::conflict("username_confusable", "another user has a name that looks like this one").at("/username")
    } else if error.failed(EMAIL) {
        Problem::conflict("email_taken", "another user has this e-mail address").at("/email")
    } else {
        error.into()
    }
}
