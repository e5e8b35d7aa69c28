use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};

use super::{ApiKeyRecord, Claims, Identity, KeyUse, Scope, api_key::Found};
use crate::{
    event::Role,
    http::{Problem, SourceAddress},
    id::Id,
    table::Table,
};

/// Who sent the request. As an argument of a handler, answers 401 to nobody in particular.
#[derive(Clone, Debug)]
pub struct Caller {
    pub subject: Subject,
}

#[derive(Clone, Debug)]
pub enum Subject {
    User { id: Id, claims: Claims },
    ApiKey(ApiKeyRecord),
}

impl Caller {
    /// The signed-in user's id; 403 for an API key, which is nobody.
    pub fn user_id(&self) -> Result<Id, Problem> {
        match &self.subject {
            Subject::User { id, .. } => Ok(*id),
            Subject::ApiKey(_) => Err(Problem::forbidden("an API key cannot act as a user")),
        }
    }

    /// The signed-in user's token; 403 for an API key.
    pub fn claims(&self) -> Result<&Claims, Problem> {
        match &self.subject {
            Subject::User { claims, .. } => Ok(claims),
            Subject::ApiKey(_) => Err(Problem::forbidden("an API key cannot act as a user")),
        }
    }

    pub fn role(&self) -> Role {
        match &self.subject {
            Subject::User { claims, .. } => claims.role,
            Subject::ApiKey(key) => key.role(),
        }
    }

    pub fn is_admin(&self) -> bool {
        matches!(&self.subject, Subject::User { claims, .. } if claims.role == Role::Admin)
    }

    /// 403 for everybody but admins.
    pub fn must_be_admin(&self) -> Result<(), Problem> {
        if self.is_admin() { Ok(()) } else { Err(Problem::forbidden("only an admin may do this")) }
    }

    /// 403 for everybody but the user with this id and admins.
    pub fn must_act_for(&self, user_id: Id) -> Result<(), Problem> {
        if self.is_admin() || self.user_id()? == user_id {
            Ok(())
        } else {
            Err(Problem::forbidden("you cannot act for another user"))
        }
    }

    /// 404 for everybody but the owner of this `entity` and admins, as if there were none.
    pub fn must_own(&self, owner: Id, entity: &str) -> Result<(), Problem> {
        if self.is_admin() || self.user_id()? == owner { Ok(()) } else { Err(Problem::not_found(entity)) }
    }

    /// 403 for everybody but API keys with this scope and admins.
    pub fn must_have_scope(&self, scope: Scope) -> Result<(), Problem> {
        match &self.subject {
            Subject::ApiKey(key) if key.scopes.contains(&scope) => Ok(()),
            Subject::User { claims, .. } if claims.role == Role::Admin => Ok(()),
            _ => Err(Problem::forbidden("an API key with another scope is required")),
        }
    }

    /// The caller as text: `user:42`, `api_key:…`.
    pub fn subject(&self) -> String {
        match &self.subject {
            Subject::User { id, .. } => format!("user:{id}"),
            Subject::ApiKey(key) => format!("api_key:{}", key.id),
        }
    }

    async fn identify(identity: &Identity, parts: &Parts) -> Result<Self, Problem> {
        if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
            let token = value.to_str().ok().and_then(bearer).ok_or_else(Problem::unauthenticated)?;
            let claims = identity.keys.verify(token).map_err(|_| Problem::unauthenticated())?;
            let id = claims.user_id().ok_or_else(Problem::unauthenticated)?;
            return Ok(Self { subject: Subject::User { id, claims } });
        }
        let text = parts.headers.get("x-api-key").and_then(|value| value.to_str().ok());
        match (text, &identity.api_keys) {
            (Some(text), Some(table)) => Self::with_key(table, text, &SourceAddress::of(parts).0).await,
            _ => Err(Problem::unauthenticated()),
        }
    }

    async fn with_key(table: &Table, text: &str, address: &str) -> Result<Self, Problem> {
        match ApiKeyRecord::find(table, text).await? {
            Found::Good(key) => {
                let (in_time, known) = tokio::try_join!(key.count_request(table), KeyUse::of(table, key.id))?;
                if !in_time {
                    return Err(Problem::too_many_requests(ApiKeyRecord::seconds_to_next_window()));
                }
                known.note_use(table, address).await?;
                Ok(Self { subject: Subject::ApiKey(key) })
            }
            Found::Refused(key) => {
                KeyUse::of(table, key.id).await?.note_refusal(table, address).await?;
                Err(Problem::unauthenticated())
            }
            Found::Unknown => Err(Problem::unauthenticated()),
        }
    }
}

/// The token of `Bearer <token>`; the scheme's case does not matter (RFC 9110).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if let Some(caller) = parts.extensions.get::<Self>() {
            return Ok(caller.clone());
        }
        let identity = parts.extensions.get::<Identity>().cloned();
        let identity = identity.ok_or_else(|| Problem::internal("the router has no identity layer"))?;
        let caller = Self::identify(&identity, parts).await?;
        parts.extensions.insert(caller.clone());
        Ok(caller)
    }
}
