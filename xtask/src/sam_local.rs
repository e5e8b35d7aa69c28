//! `sam local start-api` with the built functions, on the tables and queues of the running stack.

use std::{
    fs,
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    process::{Command, ExitCode, Stdio},
    thread,
};

use anyhow::{Context, Result, bail, ensure};
use samples::{Function, Template};
use serde_json::{Map, Value, json};

use crate::{
    build, emulator, environment,
    environment::Environments,
    progress::step,
    settings::{Settings, make_private, port},
    tools,
};

const PORT_VARIABLE: &str = "QUAYSIDE_SAM_PORT";
const DEFAULT_PORT: u16 = 3000;

/// How a container reaches this machine; Docker knows the address behind it.
const HOST: &str = "host.docker.internal";

const ENDPOINT: &str = "AWS_ENDPOINT_URL";

/// Runs it until interrupted.
pub fn start(settings: &Settings) -> Result<ExitCode> {
    emulator::must_run(settings)?;
    tools::install(settings)?;
    let gateway = docker_gateway()?;
    step("Building the functions", || build::for_containers(settings))?;
    let template = Template::read(&settings.root)?;
    let mut functions = template.functions()?;
    let environments = environment::deployed(settings, &mut functions)?;
    let folder = settings.home.join("sam-local");
    make_private(&folder)?;
    let (template_file, environment_file) = (folder.join("template.json"), folder.join("environment.json"));
    fs::write(&template_file, local(settings, &template, &functions)?.to_string())?;
    fs::write(&environment_file, variables(settings, &functions, &environments).to_string())?;
    have_image()?;
    forward(gateway, settings.emulator_port)?;
    // Ctrl-C reaches sam too, which ends its containers; this process waits for it.
    ctrlc::set_handler(|| {})?;
    let mut sam = settings.tool("sam");
    sam.args(["local", "start-api", "--host", "127.0.0.1", "--warm-containers", "LAZY", "--skip-pull-image", "--port"])
        .arg(port(PORT_VARIABLE, DEFAULT_PORT)?.to_string())
        .args(["--add-host", &format!("{HOST}:host-gateway"), "--template"])
        .arg(template_file)
        .arg("--env-vars")
        .arg(environment_file);
    let status = sam.status().context("sam cannot be started")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The template with its functions where and for what they were built, and with one variable more: where
/// the emulator is, which a function on AWS does not need to be told.
fn local(settings: &Settings, template: &Template, functions: &[Function]) -> Result<Value> {
    let mut document = template.document.clone();
    let resources = document["Resources"].as_object_mut().context("template.yaml has no resources")?;
    resources.retain(|id, resource| {
        resource["Type"] == "AWS::Serverless::Api" || functions.iter().any(|function| function.logical_id == *id)
    });
    for function in functions {
        let properties = &mut resources[&function.logical_id]["Properties"];
        let code = properties["CodeUri"].as_str().context("a function without CodeUri")?;
        let code = settings.root.join(code);
        let properties = properties.as_object_mut().context("a function without properties")?;
        // The emulator's policies are for its own functions, and SAM has none to enforce.
        properties.remove("Policies");
        if function.routes().next().is_none() {
            // Queues, streams and schedules are the running stack's, and so is who takes from them.
            properties.remove("Events");
        }
        properties.insert("CodeUri".into(), json!(code));
    }
    document["Parameters"]["Architecture"]["Default"] = json!(build::architecture());
    let globals = &mut document["Globals"]["Function"]["Environment"]["Variables"];
    globals.as_object_mut().context("template.yaml has no global variables")?.insert(ENDPOINT.into(), json!(""));
    Ok(document)
}

/// What SAM puts into the functions' environment, in the form of its option `--env-vars`.
fn variables(settings: &Settings, functions: &[Function], environments: &Environments) -> Value {
    let endpoint = format!("http://{HOST}:{}", settings.emulator_port);
    let all = functions.iter().map(|function| {
        let mut variables: Map<String, Value> =
            environments[&function.name].iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        variables.insert(ENDPOINT.into(), json!(endpoint));
        (function.logical_id.clone(), Value::Object(variables))
    });
    Value::Object(all.collect())
}

/// This machine's address on Docker's network of its own.
fn docker_gateway() -> Result<IpAddr> {
    let output = Command::new("docker")
        .args([
            "network",
            "inspect",
            "bridge",
            "--format",
            "{{with index .IPAM.Config 0}}{{.Subnet}} {{.Gateway}}{{end}}",
        ])
        .output();
    let output = output.context("Docker is needed and not on the PATH: see https://docs.docker.com/get-docker/")?;
    ensure!(output.status.success(), "Docker does not run: {}", String::from_utf8_lossy(&output.stderr).trim());
    let network = String::from_utf8(output.stdout)?;
    gateway_of(network.trim()).with_context(|| format!("Docker's network is not understood: {network}"))
}

/// The gateway of `172.17.0.0/16 172.17.0.1`; the network's first address where Docker names none.
fn gateway_of(network: &str) -> Option<IpAddr> {
    if let Some((_, gateway)) = network.split_once(' ') {
        return gateway.parse().ok();
    }
    let first: Ipv4Addr = network.split('/').next()?.parse().ok()?;
    Some(Ipv4Addr::from_bits(first.to_bits().checked_add(1)?).into())
}

/// Has AWS's image for the functions, asking for it once rather than at every start of a container.
fn have_image() -> Result<()> {
    let image = format!("public.ecr.aws/lambda/provided:al2023-{}", build::architecture());
    let mut look = Command::new("docker");
    look.args(["image", "inspect", &image]).stdout(Stdio::null()).stderr(Stdio::null());
    if !look.status()?.success() {
        let pull = || match Command::new("docker").args(["pull", "--quiet", &image]).status()?.success() {
            true => Ok(()),
            false => bail!("{image} cannot be had"),
        };
        step(&format!("Fetching {image}"), pull)?;
    }
    Ok(())
}

/// Lets containers reach the emulator, which listens on the loopback interface alone.
///
/// Where Docker runs in a machine of its own (macOS, Windows) it does so itself, and its gateway is no
/// address of this machine.
fn forward(gateway: IpAddr, port: u16) -> Result<()> {
    let listener = match TcpListener::bind((gateway, port)) {
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => return Ok(()),
        result => result.with_context(|| format!("{gateway}:{port} cannot be listened on"))?,
    };
    thread::spawn(move || {
        for connection in listener.incoming() {
            let served = connection.and_then(|inward| pass_on(inward, port));
            if let Err(error) = served {
                eprintln!("a container's connection to the emulator failed: {error}");
            }
        }
    });
    Ok(())
}

/// Copies both ways, each in a thread, until either side ends.
fn pass_on(inward: TcpStream, port: u16) -> io::Result<()> {
    let outward = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port)))?;
    for (mut from, mut to) in [(inward.try_clone()?, outward.try_clone()?), (outward, inward)] {
        to.set_nodelay(true)?;
        thread::spawn(move || {
            // An end that breaks off ends the other as one that closes does.
            let copied = io::copy(&mut from, &mut to);
            let closed = to.shutdown(Shutdown::Write);
            copied.and(closed)
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn the_gateway_is_the_one_named_or_the_networks_first_address() {
        let address = Some(IpAddr::from([172, 17, 0, 1]));
        assert_eq!(gateway_of("172.17.0.0/16 172.17.0.1"), address);
        assert_eq!(gateway_of("172.17.0.0/16"), address);
        assert_eq!(gateway_of("nonsense"), None);
    }

    #[test]
    fn what_is_forwarded_comes_through_both_ways() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let (client, inward) = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (client, listener.accept().unwrap().0)
        };
        pass_on(inward, port).unwrap();
        let mut served = server.accept().unwrap().0;
        let mut client = client;
        client.write_all(b"ping").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut heard = String::new();
        served.read_to_string(&mut heard).unwrap();
        served.write_all(b"pong").unwrap();
        drop(served);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!((&*heard, &*answer), ("ping", "pong"));
    }
}
