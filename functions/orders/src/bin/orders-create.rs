use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(orders::http::create_order::endpoint)
}
