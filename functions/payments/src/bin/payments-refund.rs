use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(payments::http::refund_payment::endpoint)
}
