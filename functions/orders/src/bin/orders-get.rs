use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(orders::http::get_order::endpoint)
}
