use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(payments::http::get_payment::endpoint)
}
