use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(users::http::list_users::endpoint)
}
