use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(notifications::http::get_preferences::endpoint)
}
