//! `cargo lambda watch` with every route of the template, on the tables and queues of the running stack.

use std::{env, fs, os::unix::process::CommandExt, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use samples::{Function, Template};
use serde_json::Value;

use crate::{
    emulator, environment,
    settings::{Settings, port},
    tools,
};

const PORT_VARIABLE: &str = "QUAYSIDE_WATCH_PORT";
const DEFAULT_PORT: u16 = 9000;

/// Becomes `cargo lambda watch`, until interrupted.
pub fn watch(settings: &Settings) -> Result<()> {
    emulator::must_run(settings)?;
    tools::install(settings)?;
    let mut functions = Template::read(&settings.root)?.functions()?;
    let environment = environment::keep(settings, &environment::deployed(settings, &mut functions)?)?;
    let configuration = environment::folder(settings).join("CargoLambda.toml");
    fs::write(&configuration, router(&functions))?;
    let port = port(PORT_VARIABLE, DEFAULT_PORT)?;
    println!(
        "The functions as they are in the source, at the API's paths: http://localhost:{port}\n\
         Each is compiled at its first request, and anew when a file is saved. Tables, queues and consumers are\n\
         those of the running stack, and so are the functions that a function calls. Ctrl-C ends it.\n"
    );
    let mut cargo_lambda = settings.tool("cargo-lambda");
    cargo_lambda
        .args(["lambda", "watch", "--disable-cors", "--invoke-address", "127.0.0.1", "--invoke-port"])
        .arg(port.to_string())
        .arg("--global")
        .arg(&configuration)
        .env(runner_variable()?, runner(&environment)?);
    Err(cargo_lambda.exec().into())
}

/// cargo-lambda's configuration: which function answers which method and path.
fn router(functions: &[Function]) -> String {
    let routes = functions.iter().flat_map(|function| function.routes().map(move |route| (function, route)));
    let quoted = |text: &str| Value::from(text).to_string();
    let entries = routes.map(|(function, route)| {
        let (path, method, name) = (quoted(&route.path), quoted(&route.method), quoted(&function.name));
        format!("\n[[watch.router]]\npath = {path}\nmethods = [{method}]\nfunction = {name}\n")
    });
    format!("# Made from template.yaml by `make watch`.\n{}", entries.collect::<String>())
}

/// The variable that tells Cargo by what to run the programs that it has built for this machine.
fn runner_variable() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("rustc cannot be started")?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc does not name its host")?;
    Ok(format!("CARGO_TARGET_{}_RUNNER", host.to_uppercase().replace(['-', '.'], "_")))
}

fn runner(environment: &Path) -> Result<String> {
    let xtask = env::current_exe()?;
    let runner = format!("{} as-function {}", xtask.display(), environment.display());
    ensure!(runner.split_whitespace().count() == 3, "Cargo's runner may have no space in its path: {runner}");
    Ok(runner)
}

#[cfg(test)]
mod tests {
    use samples::{Route, Source};

    use super::*;

    #[test]
    fn the_router_has_every_route_of_the_template() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let router = router(&Template::read(root).unwrap().functions().unwrap());
        let template = fs::read_to_string(root.join("template.yaml")).unwrap();
        let routes = template.lines().filter_map(|line| line.split_once("Method: ")?.1.split_once(", Path: '"));
        let mut routes: Vec<_> = routes
            .map(|(method, path)| {
                let path = path.split('\'').next().unwrap();
                format!("path = \"{path}\"\nmethods = [\"{method}\"]")
            })
            .collect();
        let mut routed: Vec<_> = router
            .split("[[watch.router]]\n")
            .skip(1)
            .map(|entry| entry.split_once("\nfunction").unwrap().0.to_owned())
            .collect();
        routes.sort();
        routed.sort();
        assert!(routes.len() > 100, "{}", routes.len());
        assert_eq!(routed, routes);
    }

    #[test]
    fn the_router_has_the_routes_of_the_functions_and_no_other() {
        let route = |method: &str, path: &str| Source::Http(Route { method: method.into(), path: path.into() });
        let function = |name: &str, sources: Vec<Source>| Function {
            logical_id: String::new(),
            name: name.into(),
            service: "orders".into(),
            sources,
        };
        let functions = [
            function("orders-get", vec![route("GET", "/api/orders/{id}"), route("GET", "/orders/{id}")]),
            function("orders-relay", vec![Source::Stream(vec!["INSERT".into()])]),
        ];
        let router = router(&functions);
        assert_eq!(router.matches("[[watch.router]]").count(), 2);
        assert!(router.contains(
            "[[watch.router]]\npath = \"/api/orders/{id}\"\nmethods = [\"GET\"]\nfunction = \"orders-get\"\n"
        ));
    }
}
