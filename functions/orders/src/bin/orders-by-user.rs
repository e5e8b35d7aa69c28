use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(orders::http::orders_by_user::endpoint)
}
