use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(events::http::list_dead_letters::endpoint)
}
