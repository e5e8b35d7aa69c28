use std::{
    convert::Infallible,
    net::{IpAddr, Ipv6Addr},
};

use axum::{
    extract::{FromRequestParts, Path, Query},
    http::request::Parts,
};
use lambda_http::request::RequestContext;
use serde::{Deserialize, de::DeserializeOwned};

use super::{FieldError, Problem, problem::invalid_cursor};
use crate::{
    id::{Id, InvalidId},
    table::{Cursor, PageRequest},
};

/// The one id in the path. Answers 400 when it is not an id.
#[derive(Clone, Copy, Debug)]
pub struct PathId(pub Id);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let malformed = || parameter(":id", &InvalidId.to_string());
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| malformed())?;
        text.parse().map(Self).map_err(|_| malformed())
    }
}

/// The one name in the path. Answers 400 when it is not UTF-8.
#[derive(Clone, Debug)]
pub struct PathName(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathName {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let name = Path::<String>::from_request_parts(parts, state).await;
        name.map(|Path(name)| Self(name)).map_err(|rejection| Problem::malformed(rejection.body_text()))
    }
}

/// The query string as a type. Answers 400 when it is not one.
#[derive(Clone, Debug)]
pub struct QueryParams<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(value) = Query::from_request_parts(parts, state)
            .await
            .map_err(|rejection| parameter("?", &rejection.body_text()))?;
        Ok(Self(value))
    }
}

/// The address that the request came from, as API Gateway saw it; `unknown` outside Lambda.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceAddress(pub String);

impl<S: Send + Sync> FromRequestParts<S> for SourceAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}

impl SourceAddress {
    pub(crate) fn of(parts: &Parts) -> Self {
        let address = match parts.extensions.get::<RequestContext>() {
            Some(RequestContext::ApiGatewayV1(context)) => context.identity.source_ip.clone(),
            Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.clone(),
            _ => None,
        };
        Self(address.unwrap_or_else(|| "unknown".to_owned()))
    }
}

/// What the requests of one source address are counted by: of an IPv6 address the first 64 bits, since whoever
/// has one address has all of those.
pub fn network(address: &str) -> String {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        Ok(IpAddr::V4(address)) => address.to_string(),
        Err(_) => address.to_owned(),
    }
}

#[derive(Deserialize)]
struct PageQuery {
    limit: Option<String>,
    cursor: Option<String>,
}

/// `?limit=` (1 to 100) and `?cursor=`. Answers 400 for anything else in them.
impl<S: Send + Sync> FromRequestParts<S> for PageRequest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let QueryParams(PageQuery { limit, cursor }) = QueryParams::from_request_parts(parts, state).await?;
        let limit = limit.map(|text| {
            text.parse()
                .ok()
                .filter(|limit| (1..=Self::MAX_LIMIT).contains(limit))
                .ok_or_else(|| parameter("?limit", &format!("a whole number from 1 to {}", Self::MAX_LIMIT)))
        });
        let cursor = cursor.map(|text| Cursor::parse(&text).map_err(|_| invalid_cursor()));
        Ok(Self { limit: limit.transpose()?, cursor: cursor.transpose()? })
    }
}

fn parameter(pointer: &str, detail: &str) -> Problem {
    let errors = vec![FieldError { pointer: pointer.to_owned(), detail: detail.to_owned() }];
    Problem::malformed(format!("{pointer}: {detail}")).with_errors(errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_that_one_household_is_given_are_one_network() {
        let home = network("2001:db8:1:2::1");
        assert_eq!(home, network("2001:0db8:0001:0002:ffff:abcd:1234:5678"));
        assert_ne!(home, network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:203.0.113.7"), network("203.0.113.7"));
        assert_ne!(network("203.0.113.7"), network("203.0.113.8"));
        assert_eq!(network("unknown"), "unknown");
    }
}
