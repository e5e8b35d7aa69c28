use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(events::http::list_events::endpoint)
}
