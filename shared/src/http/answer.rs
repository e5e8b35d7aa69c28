use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::id::Id;

/// Something with an address of its own.
pub trait Resource: Serialize {
    /// The path of its collection: `/api/orders`.
    const COLLECTION: &'static str;

    fn id(&self) -> Id;
}

/// 201, with the new resource as the body and its address in `Location`.
#[derive(Clone, Debug)]
pub struct Created<T>(pub T);

impl<T: Resource> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let location = format!("{}/{}", T::COLLECTION, self.0.id());
        let mut response = (StatusCode::CREATED, Json(self.0)).into_response();
        if let Ok(location) = HeaderValue::try_from(location) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

impl<T: Serialize> IntoResponse for crate::table::Page<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}
