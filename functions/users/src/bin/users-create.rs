use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(users::http::create_user::endpoint)
}
