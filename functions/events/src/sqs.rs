//! The queues as they are: SQS, the bus's rules, and CloudWatch for what SQS does not tell.

use std::{
    collections::HashMap,
    fmt,
    sync::Mutex,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat, ScanBy};
use aws_sdk_sqs::{
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    types::{MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName},
};
use aws_types::SdkConfig;
use shared::{
    aws::{self, ConfigError},
    time::Timestamp,
};

use crate::queues::{
    DEAD_LETTERS_SUFFIX, Depth, Message, NativeRedrive, Queue, QueueError, QueueName, Queues, Subscription,
};

/// Messages taken at once: SQS's most.
const BATCH: i32 = 10;
/// Waiting for messages makes SQS ask all of its servers, so that none is overlooked.
const WAIT_SECONDS: i32 = 1;
/// SQS tells CloudWatch every minute, some minutes late.
const METRIC_PERIOD_SECONDS: i32 = 60;
const METRIC_AGE: Duration = Duration::from_secs(10 * 60);
/// CloudWatch's limit on metrics in one call.
const METRICS_AT_ONCE: usize = 500;

/// The queues whose names begin with the stack's.
pub struct Sqs {
    sqs: aws_sdk_sqs::Client,
    rules: aws_sdk_eventbridge::Client,
    metrics: aws_sdk_cloudwatch::Client,
    /// The stack's name and a hyphen.
    prefix: String,
    bus: String,
    /// Queue URLs by full name, as far as they are known.
    urls: Mutex<HashMap<String, String>>,
}

impl Sqs {
    /// The queues of the stack named by `STACK_NAME`, fed by the bus named by `EVENT_BUS_NAME`.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self::of(&aws::sdk_config()?, &aws::required("STACK_NAME")?, &aws::required("EVENT_BUS_NAME")?))
    }

    /// The queues of this stack, fed by this bus.
    pub fn of(config: &SdkConfig, stack: &str, bus: &str) -> Self {
        Self {
            sqs: aws_sdk_sqs::Client::new(config),
            rules: aws_sdk_eventbridge::Client::new(config),
            metrics: aws_sdk_cloudwatch::Client::new(config),
            prefix: format!("{stack}-"),
            bus: bus.to_owned(),
            urls: Mutex::default(),
        }
    }

    async fn url(&self, queue: &Queue) -> Result<String, QueueError> {
        let name = self.full_name(queue);
        if let Some(url) = self.urls.lock().ok().and_then(|urls| urls.get(&name).cloned()) {
            return Ok(url);
        }
        let answer = self.sqs.get_queue_url().queue_name(&name).send().await.map_err(failed)?;
        let url = answer.queue_url.ok_or(QueueError::Missing)?;
        self.remember(name, url.clone());
        Ok(url)
    }

    fn remember(&self, name: String, url: String) {
        if let Ok(mut urls) = self.urls.lock() {
            urls.insert(name, url);
        }
    }

    async fn attributes(
        &self,
        queue: &Queue,
        names: &[QueueAttributeName],
    ) -> Result<HashMap<QueueAttributeName, String>, QueueError> {
        let request = self.sqs.get_queue_attributes().queue_url(self.url(queue).await?);
        let answer = request.set_attribute_names(Some(names.to_vec())).send().await.map_err(failed)?;
        Ok(answer.attributes.unwrap_or_default())
    }

    async fn ages_of(&self, queues: &[Queue]) -> Result<HashMap<Queue, Duration>, QueueError> {
        let queries = queues.iter().enumerate().map(|(index, queue)| age_query(index, &self.full_name(queue)));
        let now = SystemTime::now();
        let answer = self
            .metrics
            .get_metric_data()
            .set_metric_data_queries(Some(queries.collect()))
            .start_time((now - METRIC_AGE).into())
            .end_time(now.into())
            .scan_by(ScanBy::TimestampDescending)
            .send()
            .await
            .map_err(failed)?;
        let results = answer.metric_data_results.unwrap_or_default();
        Ok(results.iter().filter_map(|result| age(result, queues)).collect())
    }
}

fn age_query(index: usize, queue: &str) -> MetricDataQuery {
    let metric = Metric::builder()
        .namespace("AWS/SQS")
        .metric_name("ApproximateAgeOfOldestMessage")
        .dimensions(Dimension::builder().name("QueueName").value(queue).build())
        .build();
    let stat = MetricStat::builder().metric(metric).period(METRIC_PERIOD_SECONDS).stat("Maximum").build();
    MetricDataQuery::builder().id(format!("q{index}")).metric_stat(stat).build()
}

/// The latest value of a queue's age.
fn age(result: &MetricDataResult, queues: &[Queue]) -> Option<(Queue, Duration)> {
    let index: usize = result.id()?.strip_prefix('q')?.parse().ok()?;
    let seconds = result.values().first()?;
    Some((queues.get(index)?.clone(), Duration::try_from_secs_f64(*seconds).ok()?))
}

/// Whether an emulator lacks an action of SQS. Messages can be moved without it.
fn is_lacking(code: Option<&str>) -> bool {
    let code = code.and_then(|code| code.rsplit(['.', '#']).next()).unwrap_or_default();
    let lacking = matches!(code, "InvalidAction" | "UnknownOperationException" | "NotImplemented");
    if lacking {
        tracing::warn!(code, "the queue service does not move messages itself");
    }
    lacking
}

/// Whether SQS has refused to do what it offers: to begin a redrive, because one is going on.
fn is_unsupported(code: Option<&str>) -> bool {
    code.and_then(|code| code.rsplit(['.', '#']).next()).is_some_and(|code| code == "UnsupportedOperation")
}

/// What it means that SQS did not list its redrives; `None` when it cannot be reached.
fn without_list(code: Option<&str>) -> Option<NativeRedrive> {
    (is_lacking(code) || is_unsupported(code)).then_some(NativeRedrive::Unsupported)
}

/// What it means that SQS, which lists its redrives, did not begin one; `None` when it cannot be reached.
fn without_start(code: Option<&str>) -> Option<NativeRedrive> {
    if is_unsupported(code) {
        return Some(NativeRedrive::Running);
    }
    is_lacking(code).then_some(NativeRedrive::Unsupported)
}

fn failed<E, R>(error: SdkError<E, R>) -> QueueError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: fmt::Debug + 'static,
{
    let code = error.code().and_then(|code| code.rsplit(['.', '#']).next());
    match code {
        Some("QueueDoesNotExist" | "NonExistentQueue" | "ResourceNotFoundException") => QueueError::Missing,
        _ => QueueError::Unavailable(DisplayErrorContext(error).to_string()),
    }
}

#[async_trait]
impl Queues for Sqs {
    fn full_name(&self, queue: &Queue) -> String {
        format!("{}{queue}", self.prefix)
    }

    async fn names(&self) -> Result<Vec<QueueName>, QueueError> {
        let mut urls =
            self.sqs.list_queues().queue_name_prefix(&self.prefix).max_results(1000).into_paginator().items().send();
        let mut names = Vec::new();
        while let Some(url) = urls.next().await {
            let url = url.map_err(failed)?;
            let Some(full_name) = url.rsplit('/').next().map(str::to_owned) else { continue };
            if let Some(name) = full_name.strip_prefix(&self.prefix).and_then(|name| name.parse().ok()) {
                names.push(name);
            }
            self.remember(full_name, url);
        }
        names.sort();
        Ok(names)
    }

    async fn depth(&self, queue: &Queue) -> Result<Depth, QueueError> {
        use QueueAttributeName::{
            ApproximateNumberOfMessages, ApproximateNumberOfMessagesDelayed, ApproximateNumberOfMessagesNotVisible,
        };
        let names =
            [ApproximateNumberOfMessages, ApproximateNumberOfMessagesDelayed, ApproximateNumberOfMessagesNotVisible];
        let attributes = self.attributes(queue, &names).await?;
        let [visible, delayed, in_flight] =
            names.map(|name| attributes.get(&name).and_then(|value| value.parse::<u64>().ok()).unwrap_or_default());
        Ok(Depth { waiting: visible + delayed, in_flight })
    }

    async fn ages(&self, queues: &[Queue]) -> Result<HashMap<Queue, Duration>, QueueError> {
        let mut ages = HashMap::new();
        for chunk in queues.chunks(METRICS_AT_ONCE) {
            ages.extend(self.ages_of(chunk).await?);
        }
        Ok(ages)
    }

    async fn subscription(&self, queue: &QueueName) -> Result<Option<Subscription>, QueueError> {
        let rule = self.full_name(&Queue::Consumer(queue.clone()));
        match self.rules.describe_rule().event_bus_name(&self.bus).name(rule).send().await.map_err(failed) {
            Ok(rule) => Ok(rule.event_pattern().and_then(Subscription::parse)),
            Err(QueueError::Missing) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn receive(&self, queue: &Queue, hidden: Duration) -> Result<Vec<Message>, QueueError> {
        let answer = self
            .sqs
            .receive_message()
            .queue_url(self.url(queue).await?)
            .max_number_of_messages(BATCH)
            .wait_time_seconds(WAIT_SECONDS)
            .visibility_timeout(i32::try_from(hidden.as_secs()).unwrap_or(i32::MAX))
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .send()
            .await
            .map_err(failed)?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(message).collect())
    }

    async fn send(
        &self,
        queue: &Queue,
        body: &str,
        attributes: &HashMap<String, MessageAttributeValue>,
    ) -> Result<(), QueueError> {
        let request = self.sqs.send_message().queue_url(self.url(queue).await?).message_body(body);
        request.set_message_attributes(Some(attributes.clone())).send().await.map_err(failed)?;
        Ok(())
    }

    async fn delete(&self, queue: &Queue, message: &Message) -> Result<(), QueueError> {
        let request = self.sqs.delete_message().queue_url(self.url(queue).await?);
        request.receipt_handle(&message.receipt).send().await.map_err(failed)?;
        Ok(())
    }

    async fn release(&self, queue: &Queue, message: &Message) -> Result<(), QueueError> {
        let request = self.sqs.change_message_visibility().queue_url(self.url(queue).await?);
        request.receipt_handle(&message.receipt).visibility_timeout(0).send().await.map_err(failed)?;
        Ok(())
    }

    async fn redrive_natively(&self, queue: &QueueName) -> Result<NativeRedrive, QueueError> {
        let dead_letters = Queue::DeadLetters(queue.clone());
        let mut attributes = self.attributes(&dead_letters, &[QueueAttributeName::QueueArn]).await?;
        let arn = attributes.remove(&QueueAttributeName::QueueArn).ok_or(QueueError::Missing)?;
        let latest = match self.sqs.list_message_move_tasks().source_arn(&arn).max_results(1).send().await {
            Ok(tasks) => tasks.results.unwrap_or_default().into_iter().next(),
            Err(error) => return without_list(error.code()).ok_or_else(|| failed(error)),
        };
        if let Some(task) = latest {
            match task.status() {
                Some("RUNNING" | "CANCELLING") => return Ok(NativeRedrive::Running),
                Some("FAILED") => {
                    tracing::warn!(%queue, reason = task.failure_reason(), "the latest native redrive failed");
                    return Ok(NativeRedrive::Unsupported);
                }
                _ => {}
            }
        }
        // Without a destination SQS refuses what did not come from a queue, such as what a consumer put here itself.
        let home = arn.strip_suffix(DEAD_LETTERS_SUFFIX).ok_or(QueueError::Missing)?;
        match self.sqs.start_message_move_task().source_arn(&arn).destination_arn(home).send().await {
            Ok(_) => Ok(NativeRedrive::Started),
            Err(error) => without_start(error.code()).ok_or_else(|| failed(error)),
        }
    }
}

/// A message as SQS hands it out; `None` for one without body and receipt, which SQS does not know.
fn message(message: aws_sdk_sqs::types::Message) -> Option<Message> {
    let sent_at = message.attributes.as_ref().and_then(|known| known.get(&MessageSystemAttributeName::SentTimestamp));
    Some(Message {
        sent_at: Timestamp::from_unix_millis(sent_at.and_then(|millis| millis.parse().ok()).unwrap_or_default()),
        id: message.message_id?,
        body: message.body?,
        receipt: message.receipt_handle?,
        attributes: message.message_attributes.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redrive_that_is_refused_where_redrives_are_listed_is_running_already() {
        let unsupported = Some("AWS.SimpleQueueService.UnsupportedOperation");
        assert_eq!(without_start(unsupported), Some(NativeRedrive::Running));
        assert_eq!(without_list(unsupported), Some(NativeRedrive::Unsupported));
        let unknown = Some("com.amazon.coral.service#UnknownOperationException");
        assert_eq!(without_start(unknown), Some(NativeRedrive::Unsupported));
        assert_eq!(without_list(unknown), Some(NativeRedrive::Unsupported));
        for other in [None, Some("RequestThrottled")] {
            assert_eq!((without_start(other), without_list(other)), (None, None));
        }
    }
}
