use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(payments::http::list_payments::endpoint)
}
