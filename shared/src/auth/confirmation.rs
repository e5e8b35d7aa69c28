use axum::http::{HeaderMap, header};
use serde::Deserialize;

use super::{Caller, Claims, Subject};
use crate::{
    client::{ClientError, Get, ServiceClient},
    event::Role,
    http::Problem,
    id::Id,
};

/// Why auth does not know a caller as good.
#[derive(Debug, thiserror::Error)]
pub enum Unconfirmed {
    /// The session has ended, or the account is disabled.
    #[error("auth refuses the token")]
    Refused,
    /// Nobody can say.
    #[error(transparent)]
    Away(#[from] ClientError),
}

impl From<Unconfirmed> for Problem {
    fn from(reason: Unconfirmed) -> Self {
        match reason {
            Unconfirmed::Refused => Self::unauthenticated(),
            Unconfirmed::Away(error) => error.into(),
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    user_id: Id,
    role: Role,
}

impl Caller {
    /// The caller as auth knows it now, with the role that it has now; for what is not to be done with the
    /// token of a session that has ended. `headers` are those of the request that the caller sent.
    ///
    /// An API key is as it was: each request looks it up.
    pub async fn confirmed(&self, auth: &ServiceClient, headers: &HeaderMap) -> Result<Self, Unconfirmed> {
        let Subject::User { claims, .. } = &self.subject else { return Ok(self.clone()) };
        let request = Get {
            function: "auth-verify",
            path: "/api/auth/verify".into(),
            query: Vec::new(),
            authorization: headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()),
        };
        match auth.get::<Answer>(&request).await {
            Ok(Some(Answer { user_id: id, role })) => {
                let claims = Claims { role, ..claims.clone() };
                Ok(Self { subject: Subject::User { id, claims } })
            }
            Ok(None) => Err(ClientError::Refused { service: "auth", status: 404 }.into()),
            Err(ClientError::Refused { status: 401 | 403, .. }) => Err(Unconfirmed::Refused),
            Err(error) => Err(error.into()),
        }
    }
}
