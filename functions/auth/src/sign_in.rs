//! Signing in with a password and, where an account has one, a second factor; and staying signed in with a
//! refresh token.

use axum::http::StatusCode;
use serde::Serialize;
use shared::{
    http::Problem,
    id::Id,
    table::{Item, Transaction},
    time::Timestamp,
};
use utoipa::ToSchema;

use crate::{
    Auth,
    account::{Account, Profile},
    audit::{AuditEntry, AuditEvent, Origin},
    mfa::{Challenge, Proof, SecondFactor},
    password,
    session::Session,
    signing::LIFETIME_SECONDS,
    store,
    throttle::Throttle,
    ticket::Ticket,
};

/// The answer to a sign-in, in OAuth 2's terms (RFC 6749).
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "access_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJFZERTQSJ9.…", "token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJFZERTQSJ9.…",
    "token_type": "Bearer", "expires_in": 900, "refresh_token": "qsr_…",
    "user": {
        "id": 2, "username": "anna", "email": "anna@example.com", "name": "Anna Example", "role": "customer",
        "created_at": "2026-01-15T10:30:45.123Z", "mfa_enabled": false,
    },
}))]
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

impl Tokens {
    fn given(self) -> Self {
        tracing::info!(user_id = %self.user.id, "signed in");
        self
    }
}

/// 401, whatever was wrong; `error` is OAuth 2's word for it (RFC 6749, section 5.2).
fn wrong_credentials() -> Problem {
    let detail = "the user name, the password, the code or the token is wrong";
    Problem::new(StatusCode::UNAUTHORIZED, "invalid_credentials", detail)
        .with_member("error", "invalid_grant".to_owned())
}

/// 403: the password was right, and the token goes on from there with a second factor.
fn mfa_required(mfa_token: String) -> Problem {
    let detail = "send the mfa_token again with an otp or a recovery_code";
    Problem::new(StatusCode::FORBIDDEN, "mfa_required", detail).with_member("mfa_token", mfa_token)
}

impl Auth {
    /// Signs in with a user name, a password and, if the account asks for it, a second factor: without
    /// one it is a 403 `mfa_required` with an `mfa_token`.
    ///
    /// The answer is the same, and takes as long, for an unknown user, a wrong password and a disabled
    /// account.
    pub async fn sign_in(
        &self,
        username: &str,
        password: &str,
        proof: Option<Proof<'_>>,
        address: &str,
    ) -> Result<Tokens, Problem> {
        let admission = Throttle::of_passwords(username, address).admit(&self.table).await?;
        let (known, account) = self.authenticate(username, password).await?;
        let Some(account) = account else {
            let origin = Origin::anybody(address);
            let entry = known.into_iter().fold(AuditEntry::new(AuditEvent::SignInFailed, &origin), AuditEntry::user);
            self.table.commit(admission.throttled(&origin, known).insert(&entry)).await?;
            tracing::info!("a sign-in failed");
            return Err(wrong_credentials());
        };
        admission.succeeded().await;
        match (account.profile.mfa_enabled, proof) {
            (false, _) => self.start_session(&account, address).await,
            (true, None) => Err(self.challenge(&account, address).await?),
            (true, Some(proof)) => self.second_factor(&account, proof, Transaction::new(), address).await,
        }
    }

    /// The id of the account with this name, if there is one, and the account if the password is its own.
    async fn authenticate(&self, username: &str, password: &str) -> Result<(Option<Id>, Option<Account>), Problem> {
        // A name that no account has is looked up to the end, under an id that none has either.
        let known = store::account_id(&self.table, username).await?;
        let id = known.unwrap_or(NOBODY);
        // The account first: a password changed between the two reads is then no longer accepted, and
        // one changed after them ends the session that starts under this account.
        let account = store::account(&self.table, id).await?;
        let hash = store::password_hash(&self.table, id).await?;
        let correct = password::verify(password, hash.as_deref());
        Ok((known, account.filter(|account| correct && !account.disabled)))
    }

    /// Lets the second factor come in a request of its own.
    async fn challenge(&self, account: &Account, address: &str) -> Result<Problem, Problem> {
        let (challenge, mfa_token) = Challenge::new(account).map_err(Problem::internal)?;
        let entry = AuditEntry::new(AuditEvent::Challenged, &Origin::anybody(address)).user(account.profile.id);
        self.table.commit(Transaction::new().insert(&challenge).insert(&entry)).await?;
        Ok(mfa_required(mfa_token))
    }

    /// Signs in with the token of a challenge and a second factor.
    pub async fn answer_challenge(&self, mfa_token: &str, proof: Proof<'_>, address: &str) -> Result<Tokens, Problem> {
        let entry = AuditEntry::new(AuditEvent::MfaTokenRefused, &Origin::anybody(address));
        let Some(token) = Ticket::parse(mfa_token) else { return Err(self.refuse(entry, address).await) };
        let (account, challenge) = tokio::try_join!(
            store::account(&self.table, token.account_id),
            store::challenge(&self.table, token.account_id, token.id),
        )?;
        let entry = challenge.iter().fold(entry, |entry, challenge| entry.user(challenge.account_id));
        let met = account.zip(challenge).filter(|(account, challenge)| challenge.is_met_by(&token, account));
        let Some((account, challenge)) = met else { return Err(self.refuse(entry, address).await) };
        let done = Transaction::new().delete(Challenge::TYPE, challenge.key());
        self.second_factor(&account, proof, done, address).await
    }

    /// Starts a session if the second factor is good: using it up, what else is `done` and the session are
    /// one transaction.
    async fn second_factor(
        &self,
        account: &Account,
        proof: Proof<'_>,
        done: Transaction,
        address: &str,
    ) -> Result<Tokens, Problem> {
        let id = account.profile.id;
        let admission = Throttle::of_codes(id, address).admit(&self.table).await?;
        let factor = store::second_factor(&self.table, id).await?.filter(|factor| factor.confirmed);
        let used = match &factor {
            Some(factor) => factor.using(proof, &self.sealer, Timestamp::now()).await?,
            None => None,
        };
        let refused = async || -> Result<Problem, Problem> {
            let origin = Origin::anybody(address);
            let entry = AuditEntry::new(AuditEvent::MfaRefused, &origin).user(id);
            self.table.commit(admission.throttled(&origin, Some(id)).insert(&entry)).await?;
            tracing::info!(user_id = %id, "a second factor was refused");
            Ok(wrong_credentials())
        };
        let Some(used) = used else { return Err(refused().await?) };
        let done = done.and(store::factor_use(&used, proof, &Origin::anybody(address)));
        let (start, tokens) = self.new_session(account, address).await?;
        match self.table.commit(done.and(start)).await {
            Ok(()) => {
                admission.succeeded().await;
                Ok(tokens.given())
            }
            // Somebody else used it, or answered the challenge, a moment earlier.
            Err(error) if error.failed(SecondFactor::TYPE) || error.failed(Challenge::TYPE) => Err(refused().await?),
            Err(error) => Err(error.into()),
        }
    }

    async fn start_session(&self, account: &Account, address: &str) -> Result<Tokens, Problem> {
        let (start, tokens) = self.new_session(account, address).await?;
        self.table.commit(start).await?;
        Ok(tokens.given())
    }

    /// What starts a session when it is committed, and its tokens.
    async fn new_session(&self, account: &Account, address: &str) -> Result<(Transaction, Tokens), Problem> {
        let (session, refresh_token) = Session::start(account).map_err(Problem::internal)?;
        let access_token = self.signer.sign(&account.profile, &session.session_id).await?;
        let entry = session_entry(AuditEvent::SignedIn, &session, address);
        Ok((Transaction::new().insert(&session).insert(&entry), tokens(account, access_token, refresh_token)))
    }

    /// Takes a refresh token and gives new tokens. One that was used before ends its session: either
    /// its owner or a thief holds a copy. One that never was the session's ends nothing.
    pub async fn refresh(&self, refresh_token: &str, address: &str) -> Result<Tokens, Problem> {
        let unknown = AuditEntry::new(AuditEvent::RefreshRefused, &Origin::anybody(address));
        let Some(token) = Ticket::parse(refresh_token) else { return Err(self.refuse(unknown, address).await) };
        let (account, session) = tokio::try_join!(
            store::account(&self.table, token.account_id),
            store::session(&self.table, token.account_id, token.id),
        )?;
        let Some((account, session)) = account.zip(session) else { return Err(self.refuse(unknown, address).await) };
        match (session.is_live(&account), session.matches(&token)) {
            (true, true) => {}
            (true, false) if session.had(&token) => return Err(self.end_reused(&session, address).await),
            _ => {
                let entry = session_entry(AuditEvent::RefreshRefused, &session, address);
                return Err(self.refuse(entry, address).await);
            }
        }
        let (rotated, refresh_token) = session.rotate(&token).map_err(Problem::internal)?;
        let access_token = self.signer.sign(&account.profile, &rotated.session_id).await?;
        let entry = session_entry(AuditEvent::Refreshed, &session, address);
        match self.table.commit(Transaction::new().replace(&rotated).insert(&entry)).await {
            Ok(()) => Ok(tokens(&account, access_token, refresh_token)),
            // The same token was used a moment earlier.
            Err(error) if error.failed(Session::TYPE) => Err(self.end_reused(&session, address).await),
            Err(error) => Err(error.into()),
        }
    }

    /// Logs that a token was refused; 429 instead for an address that sends too many.
    async fn refuse(&self, entry: AuditEntry, address: &str) -> Problem {
        let noted = async || {
            let admission = Throttle::of_tokens(address).admit(&self.table).await?;
            let throttled = admission.throttled(&Origin::anybody(address), None);
            self.table.commit(throttled.insert(&entry)).await.map_err(Problem::from)
        };
        match noted().await {
            Ok(()) => wrong_credentials(),
            Err(problem) => problem,
        }
    }

    async fn end_reused(&self, session: &Session, address: &str) -> Problem {
        tracing::warn!(user_id = %session.account_id, "a refresh token was used again; its session ends");
        let entry = session_entry(AuditEvent::Reused, session, address);
        match self.table.commit(store::session_end(session).insert(&entry)).await {
            Ok(()) => wrong_credentials(),
            Err(error) => error.into(),
        }
    }
}

fn session_entry(event: AuditEvent, session: &Session, address: &str) -> AuditEntry {
    AuditEntry::new(event, &Origin::anybody(address)).user(session.account_id).subject(session.subject())
}

/// The last id there can be, which is generated in 2089 at the earliest.
const NOBODY: Id = match Id::new(Id::MAX) {
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
