//! The providers as they are: SES for e-mail, SNS for SMS and push.

use std::{error::Error, iter, time::Duration};

use async_trait::async_trait;
use aws_sdk_ses::{
    config::{http::HttpResponse, retry::RetryConfig, timeout::TimeoutConfig},
    error::{BuildError, DisplayErrorContext, ProvideErrorMetadata, SdkError},
    types::{Body, Content, Destination, Message, MessageTag},
};
use aws_sdk_sns::types::MessageAttributeValue;
use aws_types::SdkConfig;
use serde_json::json;
use shared::aws::{self, ConfigError};

use crate::{
    notification::{Channel, Notification, Outcome, Refusal},
    provider::Provider,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a provider may take to answer: one that is given up on may have sent all the same.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);
const CHARSET: &str = "UTF-8";

/// SES and SNS.
pub struct Aws {
    ses: aws_sdk_ses::Client,
    sns: aws_sdk_sns::Client,
    /// The address that e-mails are from.
    mail_from: String,
}

impl Aws {
    /// The providers of this account, with e-mails from the address in `MAIL_FROM`.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self::of(aws::sdk_config()?, &aws::required("MAIL_FROM")?))
    }

    /// The providers that this configuration leads to, asked once for each call: an SDK that repeats a
    /// call whose answer was late sends twice.
    pub fn of(config: SdkConfig, mail_from: &str) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ANSWER_TIMEOUT)
            .operation_timeout(ANSWER_TIMEOUT);
        let config =
            config.into_builder().retry_config(RetryConfig::disabled()).timeout_config(timeouts.build()).build();
        Self {
            ses: aws_sdk_ses::Client::new(&config),
            sns: aws_sdk_sns::Client::new(&config),
            mail_from: mail_from.to_owned(),
        }
    }

    async fn send_email(&self, notification: &Notification) -> Outcome {
        let (message, tag) = match email(notification) {
            Ok(email) => email,
            Err(error) => return Outcome::Refused(Refusal::new("Malformed", error.to_string())),
        };
        let request = self
            .ses
            .send_email()
            .source(&self.mail_from)
            .destination(Destination::builder().to_addresses(&notification.to).build())
            .message(message)
            .tags(tag);
        request.send().await.map_or_else(outcome_of, |answer| Outcome::Sent(answer.message_id))
    }

    async fn send_sms(&self, notification: &Notification) -> Outcome {
        let kind = MessageAttributeValue::builder().data_type("String").string_value("Transactional").build();
        let request = self.sns.publish().phone_number(&notification.to).message(&notification.content.text);
        let request = kind.map(|kind| request.message_attributes("AWS.SNS.SMS.SMSType", kind));
        self.publish(request).await
    }

    async fn send_push(&self, notification: &Notification) -> Outcome {
        let request = self.sns.publish().target_arn(&notification.to).message_structure("json");
        self.publish(Ok(request.message(push_message(notification)))).await
    }

    async fn publish(
        &self,
        request: Result<aws_sdk_sns::operation::publish::builders::PublishFluentBuilder, BuildError>,
    ) -> Outcome {
        match request {
            Ok(request) => request
                .send()
                .await
                .map_or_else(outcome_of, |answer| Outcome::Sent(answer.message_id.unwrap_or_default())),
            Err(error) => Outcome::Refused(Refusal::new("Malformed", error.to_string())),
        }
    }
}

#[async_trait]
impl Provider for Aws {
    async fn send(&self, notification: &Notification) -> Outcome {
        match notification.channel {
            Channel::Email => self.send_email(notification).await,
            Channel::Sms => self.send_sms(notification).await,
            Channel::Push => self.send_push(notification).await,
        }
    }
}

fn email(notification: &Notification) -> Result<(Message, MessageTag), BuildError> {
    let text = |data: &str| Content::builder().data(data).charset(CHARSET).build();
    let content = &notification.content;
    let html = content.html.as_deref().map(text).transpose()?;
    let body = Body::builder().text(text(&content.text)?).set_html(html).build();
    let subject = text(content.subject.as_deref().unwrap_or_default())?;
    let tag = MessageTag::builder().name("notification_id").value(notification.id.to_string()).build()?;
    Ok((Message::builder().subject(subject).body(body).build(), tag))
}

/// A push message in the form of each platform that shows a title.
fn push_message(notification: &Notification) -> String {
    let content = &notification.content;
    let (title, text) = (content.subject.as_deref().unwrap_or_default(), &content.text);
    let apple = json!({"aps": {"alert": {"title": title, "body": text}}}).to_string();
    let google = json!({"notification": {"title": title, "body": text}}).to_string();
    json!({"default": text, "APNS": apple, "APNS_SANDBOX": apple, "GCM": google}).to_string()
}

/// What an error says of the notification.
///
/// An answer decides: the provider did not take it. Without one it may have, unless the provider was
/// never reached. What is wrong with the address or the message stays wrong; whatever else is, may be
/// mended.
fn outcome_of<E>(error: SdkError<E, HttpResponse>) -> Outcome
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let code = error.code().map(str::to_owned);
    let status = error.raw_response().map(|response| response.status().as_u16());
    let refusal = |name: &str| match error.message() {
        Some(reason) => Refusal::new(name, reason),
        None => Refusal::new(name, DisplayErrorContext(&error).to_string()),
    };
    match (&error, code.as_deref(), status) {
        (SdkError::ConstructionFailure(_), ..) => Outcome::Unavailable(refusal("NotAsked")),
        (SdkError::DispatchFailure(_), ..) if never_reached(&error) => Outcome::Unavailable(refusal("NotReached")),
        (_, Some(code), _) if is_throttling(code) => Outcome::Throttled(refusal(code)),
        (_, None, Some(429)) => Outcome::Throttled(refusal("TooManyRequests")),
        (_, Some(code), _) if is_unverified(code, error.message()) => Outcome::Unavailable(refusal(code)),
        (_, Some(code), _) if is_permanent(code) => Outcome::Refused(refusal(code)),
        (_, Some(code), Some(_)) => Outcome::Unavailable(refusal(code)),
        (_, None, Some(400..=499)) => Outcome::Unavailable(refusal("NotTaken")),
        _ => Outcome::Unknown(refusal("NoAnswer")),
    }
}

/// Whether there was no connection that anything could have been sent over: finding the address, TCP or TLS
/// failed or took too long. The HTTP client says so in the error that it gives the SDK, whatever the cause.
fn never_reached(error: &(dyn Error + 'static)) -> bool {
    let mut causes = iter::successors(Some(error), |error| (*error).source());
    causes
        .any(|cause| cause.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(|error| error.is_connect()))
}

fn is_throttling(code: &str) -> bool {
    matches!(
        code,
        "Throttling"
            | "ThrottlingException"
            | "Throttled"
            | "ThrottledException"
            | "TooManyRequests"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "KMSThrottling"
    )
}

/// Whether SES does not know the sender as verified yet or, while the account is in its sandbox, the
/// recipient: the owner's to mend, though SES gives it the code of a message that is no good.
fn is_unverified(code: &str, message: Option<&str>) -> bool {
    code == "MessageRejected" && message.is_some_and(|message| message.starts_with("Email address is not verified"))
}

/// SES's and SNS's codes for an address or a message that is no good.
fn is_permanent(code: &str) -> bool {
    matches!(
        code,
        "MessageRejected"
            | "InvalidParameter"
            | "InvalidParameterValue"
            | "ParameterValueInvalid"
            | "InvalidParameterCombination"
            | "ValidationError"
            | "ValidationException"
            | "EndpointDisabled"
            | "NotFound"
            | "OptedOut"
    )
}
