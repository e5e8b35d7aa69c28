use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(orders::http::cancel_order::endpoint)
}
