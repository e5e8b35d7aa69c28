//! Signing in with a password, and staying signed in with a refresh token.

use serde::Serialize;
use shared::{
    http::Problem,
    table::{Item, Transaction},
};

use crate::{
    Auth,
    account::{Account, Profile},
    password,
    session::{RefreshToken, Session},
    signing::LIFETIME_SECONDS,
    store,
    throttle::Throttle,
};

/// The answer to a sign-in, in OAuth 2's terms (RFC 6749).
#[derive(Serialize)]
pub struct Tokens {
    pub access_token: String,
    /// The same as `access_token`, for clients that look for it under this name.
    pub token: String,
    pub token_type: &'static str,
    /// In seconds.
    pub expires_in: i64,
    /// Good once; a new one comes with every refresh.
    pub refresh_token: String,
    pub user: Profile,
}

fn wrong_credentials() -> Problem {
    Problem::unauthenticated()
}

impl Auth {
    /// Signs in with a user name and a password.
    ///
    /// The answer is the same, and takes as long, for an unknown user and for a wrong password.
    pub async fn sign_in(&self, username: &str, password: &str, address: &str) -> Result<Tokens, Problem> {
        let throttle = Throttle::new(username, address);
        throttle.check(&self.table).await?;
        match self.authenticate(username, password).await? {
            Some(account) => {
                throttle.succeeded(&self.table).await?;
                self.start_session(&account).await
            }
            None => {
                throttle.failed(&self.table).await?;
                tracing::info!("a sign-in failed");
                Err(wrong_credentials())
            }
        }
    }

    async fn authenticate(&self, username: &str, password: &str) -> Result<Option<Account>, Problem> {
        // A name that no account has is looked up to the end, under an id that none has either.
        let known = store::account_id(&self.table, username).await?;
        let id = known.unwrap_or(NOBODY);
        // The account first: a password changed between the two reads is then no longer accepted, and
        // one changed after them ends the session that starts under this account.
        let account = store::account(&self.table, id).await?;
        let hash = store::password_hash(&self.table, id).await?;
        let correct = password::verify(password, hash.as_deref());
        Ok(account.filter(|account| correct && !account.disabled))
    }

    async fn start_session(&self, account: &Account) -> Result<Tokens, Problem> {
        let (session, refresh_token) = Session::start(account).map_err(Problem::internal)?;
        let access_token = self.signer.sign(&account.profile, &session.session_id).await?;
        self.table.commit(Transaction::new().insert(&session)).await?;
        tracing::info!(user_id = %account.profile.id, "signed in");
        Ok(tokens(account, access_token, refresh_token))
    }

    /// Takes a refresh token and gives new tokens. One that was used before ends its session: either
    /// its owner or a thief holds a copy.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Tokens, Problem> {
        let token = RefreshToken::parse(refresh_token).ok_or_else(wrong_credentials)?;
        let (account, session) = tokio::try_join!(
            store::account(&self.table, token.account_id),
            store::session(&self.table, token.account_id, token.session_id),
        )?;
        let (account, session) = account.zip(session).ok_or_else(wrong_credentials)?;
        if !session.is_live(&account) {
            return Err(wrong_credentials());
        }
        if !session.matches(&token) {
            return Err(self.end_reused(&session).await);
        }
        let (rotated, refresh_token) = session.rotate().map_err(Problem::internal)?;
        let access_token = self.signer.sign(&account.profile, &rotated.session_id).await?;
        match self.table.commit(Transaction::new().replace(&rotated)).await {
            Ok(()) => Ok(tokens(&account, access_token, refresh_token)),
            // The same token was used a moment earlier.
            Err(error) if error.failed(Session::TYPE) => Err(self.end_reused(&session).await),
            Err(error) => Err(error.into()),
        }
    }

    async fn end_reused(&self, session: &Session) -> Problem {
        tracing::warn!(user_id = %session.account_id, "a refresh token was used again; its session ends");
        match self.table.commit(store::session_end(session)).await {
            Ok(()) => wrong_credentials(),
            Err(error) => error.into(),
        }
    }
}

/// The last id there can be, which is generated in 2089 at the earliest.
const NOBODY: shared::id::Id = match shared::id::Id::new(shared::id::Id::MAX) {
    Some(id) => id,
    None => unreachable!(),
};

fn tokens(account: &Account, access_token: String, refresh_token: String) -> Tokens {
    Tokens {
        token: access_token.clone(),
        access_token,
        token_type: "Bearer",
        expires_in: LIFETIME_SECONDS,
        refresh_token,
        user: account.profile.clone(),
    }
}
