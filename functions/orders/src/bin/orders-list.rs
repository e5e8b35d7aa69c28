use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(orders::http::list_orders::endpoint)
}
