//! The real HTTP client, against providers that cannot be reached and one that goes away.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, TcpListener},
    thread,
    time::Duration,
};

use aws_smithy_http_client::{
    Builder,
    tls::{Provider as Tls, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    dns::{DnsFuture, ResolveDns, ResolveDnsError},
    http::SharedHttpClient,
};
use notifications::{
    aws_provider::Aws,
    notification::{Channel, Outcome},
    provider::Provider,
};

use crate::aws::{configured, notification};

/// What the name of the provider leads to.
#[derive(Clone, Debug)]
enum Name {
    Local,
    Unknown,
    NeverFound,
}

impl ResolveDns for Name {
    fn resolve_dns<'a>(&'a self, _: &'a str) -> DnsFuture<'a> {
        match self {
            Self::Local => DnsFuture::ready(Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)])),
            Self::Unknown => DnsFuture::ready(Err(ResolveDnsError::new("no such name"))),
            Self::NeverFound => DnsFuture::new(std::future::pending()),
        }
    }
}

/// A provider that does this with its first connection; answers with its port.
fn server(serve: impl FnOnce(std::net::TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || serve(listener.accept().unwrap().0));
    port
}

fn closed_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

async fn ask(client: SharedHttpClient, url: &str) -> Outcome {
    let config = configured(client).into_builder().endpoint_url(url).build();
    Aws::of(config, "no-reply@quayside.example").send(&notification(Channel::Email, "anna@example.com")).await
}

async fn ask_over_tls(name: Name, port: u16) -> Outcome {
    let client = Builder::new().tls_provider(Tls::Rustls(CryptoMode::Ring)).build_with_resolver(name);
    ask(client, &format!("https://provider.test:{port}")).await
}

async fn ask_plainly(port: u16) -> Outcome {
    ask(Builder::new().build_http(), &format!("http://127.0.0.1:{port}")).await
}

#[tokio::test]
async fn a_provider_that_was_never_reached_may_be_asked_again() {
    let no_tls = server(|mut stream| stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap());
    let slow_tls = server(|stream| {
        thread::sleep(Duration::from_secs(5));
        drop(stream);
    });
    let outcomes = [
        ("an unknown name", ask_over_tls(Name::Unknown, 443).await),
        ("a name server that is away", ask_over_tls(Name::NeverFound, 443).await),
        ("a closed port", ask_over_tls(Name::Local, closed_port()).await),
        ("a closed port, without TLS", ask_plainly(closed_port()).await),
        ("a server without TLS", ask_over_tls(Name::Local, no_tls).await),
        ("a server that does not finish TLS", ask_over_tls(Name::Local, slow_tls).await),
    ];
    for (what, outcome) in outcomes {
        let code = match &outcome {
            Outcome::Unavailable(refusal) => &*refusal.code,
            _ => "",
        };
        assert_eq!(code, "NotReached", "{what}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_provider_that_goes_away_after_it_was_asked_may_have_sent() {
    let port = server(|mut stream| {
        let read = stream.read(&mut [0; 1 << 16]).unwrap();
        assert!(read > 0);
    });
    let outcome = ask_plainly(port).await;
    assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
}
