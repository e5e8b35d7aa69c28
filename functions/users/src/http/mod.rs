//! The users endpoints.

pub mod create_user;
pub mod delete_user;
pub mod get_user;
pub mod health;
pub mod list_users;
pub mod update_user;

use shared::{
    auth::Caller,
    http::Problem,
    id::Id,
    table::{Table, TableError},
};

use crate::{
    store::{self, EMAIL},
    user::User,
};

/// What the endpoints say of themselves.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    create_user::create_user,
    delete_user::delete_user,
    get_user::get_user,
    health::endpoint,
    list_users::list_users,
    update_user::update_user,
))]
pub struct Documentation;

/// The user with this id, for its owner and admins; 404 for everybody else.
async fn owned(table: &Table, caller: &Caller, id: Id) -> Result<User, Problem> {
    caller.must_own(id, "user")?;
    store::get(table, id).await?.ok_or_else(|| Problem::not_found("user"))
}

/// 409 for an e-mail address that another profile has.
fn taken(error: TableError) -> Problem {
    if error.failed(EMAIL) {
        Problem::conflict("email_taken", "another user has this e-mail address").at("/email")
    } else {
        error.into()
    }
}
