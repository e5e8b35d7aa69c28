use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(events::http::event_stats::endpoint)
}
