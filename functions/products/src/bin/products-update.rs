use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(products::http::update_product::endpoint)
}
