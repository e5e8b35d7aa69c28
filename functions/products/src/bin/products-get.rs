use std::process::ExitCode;

fn main() -> ExitCode {
    shared::http::serve(products::http::get_product::endpoint)
}
