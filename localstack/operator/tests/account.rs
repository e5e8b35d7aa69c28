//! The operator works on the account that the AWS CLI would work on.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::mpsc::{Receiver, channel},
    thread,
};

/// An AWS on this machine that has no items, knows one SSO session, and tells how requests were signed.
fn aws() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, signatures) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (path, authorization) = answer(stream.unwrap());
            if path == "/" {
                sender.send(authorization).unwrap();
            }
        }
    });
    (url, signatures)
}

fn answer(mut stream: TcpStream) -> (String, String) {
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let (mut first, mut authorization, mut length) = (String::new(), String::new(), 0);
    lines.read_line(&mut first).unwrap();
    let path = first.split(' ').nth(1).unwrap().to_owned();
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        match &*name.to_lowercase() {
            "authorization" => value.clone_into(&mut authorization),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    lines.read_exact(&mut vec![0; length]).unwrap();
    let body = match path.starts_with("/federation/credentials") {
        true => {
            r#"{"roleCredentials":{"accessKeyId":"AKSSO","secretAccessKey":"s","sessionToken":"t","expiration":4102444800000}}"#
        }
        false => r#"{"Items":[],"Count":0,"ScannedCount":0}"#,
    };
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    (path, authorization)
}

/// A home with this `.aws/config`.
fn home(name: &str, config: &str) -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(home.join(".aws/sso/cache")).unwrap();
    fs::write(home.join(".aws/config"), config).unwrap();
    home
}

/// Has the operator list the API keys of a stack, with nothing in its environment but this.
fn list_keys(home: &Path, variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quayside-operator"))
        .args(["api-keys", "--stack", "shop"])
        .env_clear()
        .env("HOME", home)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn succeed(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_profile_says_which_account_region_and_credentials() {
    let (url, signatures) = aws();
    let config = format!(
        "[profile shop]\nregion = eu-central-1\nendpoint_url = {url}\n\
         aws_access_key_id = AKPROFILE\naws_secret_access_key = s\n"
    );
    succeed(&list_keys(&home("profile", &config), &[("AWS_PROFILE", "shop")]));
    let signature = signatures.recv().unwrap();
    assert!(signature.contains("Credential=AKPROFILE/"), "{signature}");
    assert!(signature.contains("/eu-central-1/dynamodb/"), "{signature}");
}

#[test]
fn whoever_signed_in_by_sso_needs_no_keys() {
    let (url, signatures) = aws();
    let config = format!(
        "[profile shop]\nregion = eu-central-1\nendpoint_url = {url}\n\
         sso_session = people\nsso_account_id = 123456789012\nsso_role_name = operator\n\
         [sso-session people]\nsso_region = eu-west-1\nsso_start_url = https://people.awsapps.com/start\n"
    );
    let home = home("sso", &config);
    // What `aws sso login` leaves, under the SHA-1 of the session's name.
    let token = r#"{"accessToken":"a","expiresAt":"2099-01-01T00:00:00Z","region":"eu-west-1","startUrl":"https://people.awsapps.com/start"}"#;
    fs::write(home.join(".aws/sso/cache/ab3ccc8dba2a0cf7a1ce4d830bb8a6238ff03833.json"), token).unwrap();
    succeed(&list_keys(&home, &[("AWS_PROFILE", "shop"), ("AWS_ENDPOINT_URL_SSO", &url)]));
    let signature = signatures.recv().unwrap();
    assert!(signature.contains("Credential=AKSSO/"), "{signature}");
}

#[test]
fn an_emulator_gets_the_variables_and_no_profile() {
    let (url, signatures) = aws();
    let config = "[profile shop]\nregion = eu-central-1\naws_access_key_id = AKPROFILE\naws_secret_access_key = s\n";
    let variables = [
        ("AWS_PROFILE", "shop"),
        ("AWS_ENDPOINT_URL", &*url),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ];
    succeed(&list_keys(&home("emulator", config), &variables));
    let signature = signatures.recv().unwrap();
    assert!(signature.contains("Credential=test/"), "{signature}");
    assert!(signature.contains("/us-east-1/dynamodb/"), "{signature}");
}

#[test]
fn without_a_region_it_says_what_to_set() {
    let output = list_keys(&home("nowhere", ""), &[]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("set AWS_REGION"), "{output:?}");
}
