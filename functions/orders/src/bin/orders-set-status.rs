use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(orders::http::set_order_status::endpoint)
}
