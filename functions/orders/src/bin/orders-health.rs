use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(orders::http::health::endpoint)
}
