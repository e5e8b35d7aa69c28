use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(products::http::create_product::endpoint)
}
