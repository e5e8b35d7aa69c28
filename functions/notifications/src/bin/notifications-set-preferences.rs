use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(notifications::http::set_preferences::endpoint)
}
