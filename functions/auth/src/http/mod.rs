//! The auth endpoints, each under `/api/auth` and `/auth`.

pub mod change_password;
pub mod create_key;
pub mod health;
pub mod jwks;
pub mod list_keys;
pub mod login;
pub mod logout;
pub mod me;
pub mod register;
pub mod revoke_key;
pub mod token;
pub mod update_me;
pub mod verify;

use shared::{
    auth::Caller,
    http::Problem,
    table::{Table, TableError},
};

use crate::{
    account::Account,
    session::Session,
    store::{self, EMAIL, USERNAME},
};

/// The caller's account and session, if the session has not ended; 401 if it has.
async fn signed_in(table: &Table, caller: &Caller) -> Result<(Account, Session), Problem> {
    let (id, claims) = (caller.user_id()?, caller.claims()?);
    let (account, session) = tokio::try_join!(store::account(table, id), store::session(table, id, &claims.sid))?;
    account.zip(session).filter(|(account, session)| session.is_live(account)).ok_or_else(Problem::unauthenticated)
}

/// 409 for a user name or an e-mail address that another account has.
fn taken(error: TableError) -> Problem {
    if error.failed(USERNAME) {
        Problem::conflict("username_taken", "another user has this name").at("/username")
    } else if error.failed(EMAIL) {
        Problem::conflict("email_taken", "another user has this e-mail address").at("/email")
    } else {
        error.into()
    }
}
