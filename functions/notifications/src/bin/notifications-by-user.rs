use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(notifications::http::notifications_by_user::endpoint)
}
