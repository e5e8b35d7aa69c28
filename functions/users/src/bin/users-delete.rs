use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(users::http::delete_user::endpoint)
}
