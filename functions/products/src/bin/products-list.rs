use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(products::http::list_products::endpoint)
}
