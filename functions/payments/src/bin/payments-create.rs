use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(payments::http::create_payment::endpoint)
}
