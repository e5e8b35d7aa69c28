//! The real clients, against answers as SES and SNS give them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_runtime_api::client::{
    behavior_version::BehaviorVersion,
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::{body::SdkBody, retry::RetryConfig};
use notifications::{
    aws_provider::Aws,
    notification::{Channel, Draft, Notification, Outcome},
    provider::Provider,
    templates::{Content, Language, TemplateName},
};
use shared::time::Timestamp;

use crate::world::id;

/// What comes over the wire.
#[derive(Clone, Debug)]
enum Reply {
    Is(u16, String),
    Never,
    Reset,
}

#[derive(Clone, Debug)]
struct Wire {
    reply: Reply,
    requests: Arc<Mutex<Vec<HashMap<String, String>>>>,
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request.body().bytes().unwrap_or_default();
        let form: Vec<(String, String)> = serde_urlencoded::from_bytes(body).unwrap();
        self.requests.lock().unwrap().push(form.into_iter().collect());
        let io = |kind| ConnectorError::io(Box::new(std::io::Error::from(kind)));
        match &self.reply {
            Reply::Is(status, body) => {
                let response = HttpResponse::new((*status).try_into().unwrap(), SdkBody::from(body.clone()));
                HttpConnectorFuture::ready(Ok(response))
            }
            Reply::Never => HttpConnectorFuture::new(std::future::pending()),
            Reply::Reset => HttpConnectorFuture::ready(Err(io(std::io::ErrorKind::ConnectionReset))),
        }
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// A notification for this address.
pub fn notification(channel: Channel, to: &str) -> Notification {
    let subject = (channel != Channel::Sms).then(|| "Ümlaut & Co".to_owned());
    let html = (channel == Channel::Email).then(|| "<p>Hello</p>".to_owned());
    let draft = Draft {
        user_id: id(7),
        channel,
        template: TemplateName::Message,
        template_version: 1,
        language: Language::En,
        to: to.into(),
        content: Content { subject, text: "Hello".into(), html },
        urgent: false,
        held_until: None,
    };
    Notification::new(id(42), draft, Timestamp::now())
}

/// A configuration like the kit's, with this HTTP client; the provider must not repeat calls all the same.
pub fn configured(client: SharedHttpClient) -> aws_types::SdkConfig {
    aws_types::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(aws_types::region::Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test")))
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .http_client(client)
        .build()
}

/// What comes of asking, and the requests that were made for it.
async fn ask(channel: Channel, to: &str, reply: Reply) -> (Outcome, Vec<HashMap<String, String>>) {
    let wire = Wire { reply, requests: Arc::default() };
    let config = configured(SharedHttpClient::new(wire.clone()));
    let outcome = Aws::of(config, "no-reply@quayside.example").send(&notification(channel, to)).await;
    let requests = wire.requests.lock().unwrap().clone();
    (outcome, requests)
}

async fn email(reply: Reply) -> Outcome {
    let (outcome, requests) = ask(Channel::Email, "anna@example.com", reply).await;
    assert_eq!(requests.len(), 1, "asked more than once: {outcome:?}");
    outcome
}

async fn sms(reply: Reply) -> Outcome {
    let (outcome, requests) = ask(Channel::Sms, "+41446681800", reply).await;
    assert_eq!(requests.len(), 1, "asked more than once: {outcome:?}");
    outcome
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>r1</RequestId></ErrorResponse>"
    );
    Reply::Is(status, body)
}

fn sent(action: &str) -> Reply {
    let body =
        format!("<{action}Response><{action}Result><MessageId>m-1</MessageId></{action}Result></{action}Response>");
    Reply::Is(200, body)
}

#[tokio::test]
async fn an_e_mail_is_ses_send_email() {
    let (outcome, requests) = ask(Channel::Email, "anna@example.com", sent("SendEmail")).await;
    assert_eq!(outcome, Outcome::Sent("m-1".into()));
    let sent = |name: &str| requests[0][name].clone();
    assert_eq!((sent("Action"), sent("Source")), ("SendEmail".into(), "no-reply@quayside.example".into()));
    assert_eq!(sent("Destination.ToAddresses.member.1"), "anna@example.com");
    assert_eq!((sent("Message.Subject.Data"), sent("Message.Subject.Charset")), ("Ümlaut & Co".into(), "UTF-8".into()));
    assert_eq!(
        (sent("Message.Body.Text.Data"), sent("Message.Body.Html.Data")),
        ("Hello".into(), "<p>Hello</p>".into())
    );
    assert_eq!((sent("Tags.member.1.Name"), sent("Tags.member.1.Value")), ("notification_id".into(), "42".into()));
}

#[tokio::test]
async fn an_sms_and_a_push_are_sns_publish() {
    let (outcome, requests) = ask(Channel::Sms, "+41446681800", sent("Publish")).await;
    assert_eq!(outcome, Outcome::Sent("m-1".into()));
    assert_eq!((&*requests[0]["PhoneNumber"], &*requests[0]["Message"]), ("+41446681800", "Hello"));
    assert!(requests[0].values().any(|value| value == "Transactional"));
    let endpoint = "arn:aws:sns:eu-central-1:123456789012:endpoint/GCM/quayside/5e3e9847-3183-3f18-a7e8-671c3a57d4b3";
    let (outcome, requests) = ask(Channel::Push, endpoint, sent("Publish")).await;
    assert_eq!(outcome, Outcome::Sent("m-1".into()));
    assert_eq!((&*requests[0]["TargetArn"], &*requests[0]["MessageStructure"]), (endpoint, "json"));
    let message: serde_json::Value = serde_json::from_str(&requests[0]["Message"]).unwrap();
    let apple: serde_json::Value = serde_json::from_str(message["APNS"].as_str().unwrap()).unwrap();
    assert_eq!((&message["default"], &apple["aps"]["alert"]["title"]), (&"Hello".into(), &"Ümlaut & Co".into()));
}

#[tokio::test]
async fn what_is_wrong_with_the_address_or_the_message_is_permanent_with_the_providers_words() {
    let words = "Illegal address";
    let Outcome::Refused(refusal) = email(error(400, "MessageRejected", words)).await else { panic!() };
    assert_eq!((&*refusal.code, &*refusal.reason), ("MessageRejected", words));
    assert!(matches!(email(error(400, "InvalidParameterValue", "Missing final '@domain'")).await, Outcome::Refused(_)));
    for code in ["InvalidParameter", "OptedOut", "NotFound", "EndpointDisabled"] {
        assert!(matches!(sms(error(400, code, "no")).await, Outcome::Refused(_)), "{code}");
    }
}

#[tokio::test]
async fn being_asked_too_often_is_told_from_other_refusals() {
    let words = "Maximum sending rate exceeded.";
    assert!(matches!(email(error(400, "Throttling", words)).await, Outcome::Throttled(_)));
    assert!(matches!(sms(error(429, "Throttled", "slow down")).await, Outcome::Throttled(_)));
    assert!(matches!(email(Reply::Is(429, String::new())).await, Outcome::Throttled(_)));
}

#[tokio::test]
async fn what_is_the_providers_or_our_own_trouble_may_be_mended() {
    let troubles = [
        error(500, "InternalFailure", "oops"),
        error(503, "ServiceUnavailable", "later"),
        error(400, "AccountSendingPausedException", "paused"),
        error(400, "MailFromDomainNotVerifiedException", "MX"),
        error(
            400,
            "MessageRejected",
            "Email address is not verified. The following identities failed the check: a@b.c",
        ),
        error(403, "AccessDenied", "no policy allows it"),
        error(403, "InvalidClientTokenId", "expired"),
        Reply::Is(407, "<html>".into()),
    ];
    for trouble in troubles {
        let outcome = email(trouble.clone()).await;
        assert!(matches!(outcome, Outcome::Unavailable(_)), "{trouble:?}: {outcome:?}");
    }
    assert!(matches!(sms(error(403, "AuthorizationError", "no")).await, Outcome::Unavailable(_)));
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_it_may_have_been_sent() {
    let silences = [
        Reply::Never,
        Reply::Reset,
        Reply::Is(504, "<html>gateway timeout</html>".into()),
        Reply::Is(200, "<html>".into()),
    ];
    for silence in silences {
        let started = tokio::time::Instant::now();
        let outcome = email(silence.clone()).await;
        assert!(matches!(outcome, Outcome::Unknown(_)), "{silence:?}: {outcome:?}");
        assert!(started.elapsed() <= Duration::from_secs(9));
    }
}
