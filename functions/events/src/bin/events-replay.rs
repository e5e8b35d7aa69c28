use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(events::http::replay_events::endpoint)
}
