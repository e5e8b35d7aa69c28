use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(users::http::update_user::endpoint)
}
