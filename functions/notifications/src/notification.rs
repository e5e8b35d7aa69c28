//! A notification and its way from `QUEUED` to `SENT` or `FAILED`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
pub use shared::event::{Category, Channel, NotificationFailure};
use shared::{
    event::{NotificationFailed, NotificationRequested, NotificationSent},
    id::Id,
    time::Timestamp,
};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    recipient::Unreached,
    templates::{Content, Language, TemplateName},
};

/// How long a claim keeps others from asking the provider: longer than the function that claims may
/// run, so that whoever finds a claim expired knows that its process has ended.
pub const CLAIM: Duration = Duration::from_secs(90);
/// How often the provider may fail to take a notification before it is given up.
pub const MAX_ATTEMPTS: u32 = 6;
/// How long a throttled provider may keep a notification waiting before it is given up.
pub const PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// How long a notification is kept.
pub const RETENTION: Duration = Duration::from_secs(400 * 24 * 3600);

const FIRST_RETRY: Duration = Duration::from_secs(10);
const RETRY_FACTOR: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const PAUSE_FACTOR: u32 = 2;
/// The longest that SQS delays a message.
const LONGEST_DELAY: Duration = Duration::from_secs(900);
const MAX_REASON_CHARS: usize = 500;

/// Where a notification stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = NotificationStatus)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// It waits for its turn, for the next attempt, or for the end of quiet hours.
    Queued,
    /// The provider is being asked.
    Sending,
    /// The provider took it.
    Sent,
    /// It was given up.
    Failed,
}

/// Why a notification was not taken by the provider, or not given to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The provider's error code: `MessageRejected`.
    pub code: String,
    /// The provider's own words, at most five hundred characters.
    pub reason: String,
}

impl Refusal {
    pub fn new(code: impl Into<String>, reason: impl AsRef<str>) -> Self {
        Self { code: code.into(), reason: reason.as_ref().chars().take(MAX_REASON_CHARS).collect() }
    }
}

/// What came of asking the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took the notification, under this name.
    Sent(String),
    /// It never will take it: the address or the message is no good.
    Refused(Refusal),
    /// It did not take it this time.
    Unavailable(Refusal),
    /// It did not take it because it was asked too often.
    Throttled(Refusal),
    /// It did not answer; whether it took the notification is not known.
    Unknown(Refusal),
}

/// That somebody is about to ask the provider, or does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Unique to the claim.
    pub by: Uuid,
    pub at: Timestamp,
}

/// What is to be done about a notification that a message asks to deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: it was delivered or given up.
    Done,
    /// Nothing before this moment.
    Wait(Timestamp),
    /// Claim it and ask the provider, if its recipient is to be told now.
    Send,
    /// Give it up: whoever claimed it has ended without saying what came of it.
    Lost,
}

/// What is to follow when an outcome is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Nothing,
    /// Deliver it again at this moment.
    Again(Timestamp),
    /// Put it where an operator can have it sent again.
    DeadLetter,
}

/// What a notification is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub user_id: Id,
    pub channel: Channel,
    pub template: TemplateName,
    pub template_version: u32,
    pub language: Language,
    pub to: String,
    pub content: Content,
    /// It does not wait for the end of quiet hours.
    pub urgent: bool,
    /// The end of the quiet hours that hold it back.
    pub held_until: Option<Timestamp>,
}

/// Something that a user is told once, on one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    pub id: Id,
    pub user_id: Id,
    pub channel: Channel,
    pub category: Category,
    pub template: TemplateName,
    pub template_version: u32,
    pub language: Language,
    /// An e-mail address, a telephone number or the ARN of a push endpoint: the recipient's when it was
    /// asked for, and from the first attempt on the one of the latest.
    pub to: String,
    pub content: Content,
    /// It does not wait for the end of quiet hours.
    #[serde(default)]
    pub urgent: bool,
    pub status: Status,
    /// Quiet hours hold it back until then; nothing asks for its delivery before.
    pub held_until: Option<Timestamp>,
    /// The provider is not asked before.
    pub due_at: Timestamp,
    /// Which series of attempts this is, from 1. An operator who has it sent again begins another.
    pub series: u32,
    pub series_began_at: Timestamp,
    /// How often in this series the provider failed to take it.
    pub attempts: u32,
    /// How often in this series the provider was asked too often.
    pub throttled: u32,
    /// Who asks the provider, while it is `SENDING`.
    pub claim: Option<Claim>,
    /// The provider's name for what it took.
    pub provider_message_id: Option<String>,
    pub failure: Option<NotificationFailure>,
    /// Why it was not sent the last time.
    pub refusal: Option<Refusal>,
    pub requested_at: Timestamp,
    pub sent_at: Option<Timestamp>,
    pub failed_at: Option<Timestamp>,
    pub version: u64,
}

impl Notification {
    pub fn new(id: Id, draft: Draft, now: Timestamp) -> Self {
        let Draft { user_id, channel, template, template_version, language, to, content, urgent, held_until } = draft;
        Self {
            id,
            user_id,
            channel,
            category: template.category(),
            template,
            template_version,
            language,
            to,
            content,
            urgent,
            status: Status::Queued,
            held_until,
            due_at: held_until.unwrap_or(now),
            series: 1,
            series_began_at: held_until.unwrap_or(now),
            attempts: 0,
            throttled: 0,
            claim: None,
            provider_message_id: None,
            failure: None,
            refusal: None,
            requested_at: now,
            sent_at: None,
            failed_at: None,
            version: 1,
        }
    }

    /// What to do about a message of this series of attempts.
    ///
    /// A message of the series after the present one is an operator's decision to send again what was
    /// given up.
    pub fn step(&self, series: u32, now: Timestamp) -> Step {
        match self.status {
            Status::Sent => Step::Done,
            Status::Failed if self.may_be_sent_again() && series > self.series => Step::Send,
            Status::Failed => Step::Done,
            Status::Sending => match self.claim.map(|claim| claim.at.plus(CLAIM)) {
                Some(expires_at) if now < expires_at => Step::Wait(expires_at),
                _ if series > self.series => Step::Send,
                _ => Step::Lost,
            },
            Status::Queued if now < self.due_at => Step::Wait(self.due_at),
            Status::Queued => Step::Send,
        }
    }

    fn may_be_sent_again(&self) -> bool {
        matches!(self.failure, Some(NotificationFailure::AttemptsExhausted | NotificationFailure::OutcomeUnknown))
    }

    /// The notification as whoever is about to ask the provider claims it, to send it to this address.
    #[must_use]
    pub fn claimed(&self, series: u32, to: &str, now: Timestamp) -> Self {
        let claim = Some(Claim { by: Uuid::new_v4(), at: now });
        Self { status: Status::Sending, to: to.to_owned(), claim, ..self.begun(series, now) }
    }

    /// The notification when its recipient's quiet hours hold it back at the moment of sending.
    #[must_use]
    pub fn held(&self, series: u32, until: Timestamp, now: Timestamp) -> Self {
        let begun = self.begun(series, now);
        Self { status: Status::Queued, held_until: Some(until), due_at: until, series_began_at: until, ..begun }
    }

    /// The notification when its recipient is not to be told any more at the moment of sending.
    #[must_use]
    pub fn unwanted(&self, reason: Unreached, now: Timestamp) -> Self {
        self.given_up(reason.failure(), Refusal::new(reason.code(), reason.to_string()), now)
    }

    /// The notification in this series of attempts, which begins now unless it has.
    fn begun(&self, series: u32, now: Timestamp) -> Self {
        let mut begun = self.released();
        if series > self.series {
            begun.series = series;
            begun.series_began_at = now;
            (begun.attempts, begun.throttled) = (0, 0);
            (begun.failure, begun.refusal, begun.failed_at) = (None, None, None);
        }
        begun
    }

    /// The notification once it is known what came of asking the provider, and what is to follow.
    pub fn settled(&self, outcome: &Outcome, now: Timestamp) -> (Self, Next) {
        match outcome {
            Outcome::Sent(provider_message_id) => {
                let sent = Self {
                    status: Status::Sent,
                    provider_message_id: Some(provider_message_id.clone()),
                    refusal: None,
                    sent_at: Some(now),
                    ..self.released()
                };
                (sent, Next::Nothing)
            }
            Outcome::Refused(refusal) => {
                (self.given_up(NotificationFailure::Refused, refusal.clone(), now), Next::Nothing)
            }
            Outcome::Unknown(refusal) => {
                (self.given_up(NotificationFailure::OutcomeUnknown, refusal.clone(), now), Next::DeadLetter)
            }
            Outcome::Unavailable(refusal) => {
                let attempts = self.attempts + 1;
                let delay = growing(FIRST_RETRY, RETRY_FACTOR, self.attempts);
                let failed = Self { attempts, ..self.clone() };
                if attempts < MAX_ATTEMPTS { failed.again(refusal, delay, now) } else { failed.exhausted(refusal, now) }
            }
            Outcome::Throttled(refusal) => {
                let failed = Self { throttled: self.throttled + 1, ..self.clone() };
                let delay = pause(self.throttled);
                let patient = now.since(self.series_began_at) < PATIENCE;
                if patient { failed.again(refusal, delay, now) } else { failed.exhausted(refusal, now) }
            }
        }
    }

    /// The notification when whoever claimed it has ended without saying what came of it.
    pub fn lost(&self, now: Timestamp) -> (Self, Next) {
        let reason = "the process that asked the provider ended before it could say what came of it";
        self.settled(&Outcome::Unknown(Refusal::new("ProcessLost", reason)), now)
    }

    /// The notification when quiet hours do not hold it back any more.
    #[must_use]
    pub fn woken(&self) -> Self {
        Self { held_until: None, ..self.changed() }
    }

    fn again(&self, refusal: &Refusal, delay: Duration, now: Timestamp) -> (Self, Next) {
        let due_at = now.plus(delay);
        let queued = Self { status: Status::Queued, due_at, refusal: Some(refusal.clone()), ..self.released() };
        (queued, Next::Again(due_at))
    }

    fn exhausted(&self, refusal: &Refusal, now: Timestamp) -> (Self, Next) {
        (self.given_up(NotificationFailure::AttemptsExhausted, refusal.clone(), now), Next::DeadLetter)
    }

    fn given_up(&self, failure: NotificationFailure, refusal: Refusal, now: Timestamp) -> Self {
        Self {
            status: Status::Failed,
            failure: Some(failure),
            refusal: Some(refusal),
            failed_at: Some(now),
            ..self.released()
        }
    }

    fn released(&self) -> Self {
        Self { claim: None, ..self.changed() }
    }

    fn changed(&self) -> Self {
        Self { version: self.version + 1, ..self.clone() }
    }

    /// The event that asks for its delivery.
    pub fn requested_event(&self) -> NotificationRequested {
        let Self { id, user_id, channel, category, .. } = *self;
        NotificationRequested { notification_id: id, user_id, channel, category }
    }

    /// The event that tells of its end; `None` before that.
    pub fn end_event(&self) -> Option<EndEvent> {
        let Self { id, user_id, channel, category, .. } = *self;
        match (self.status, &self.provider_message_id, self.failure) {
            (Status::Sent, Some(provider_message_id), _) => Some(EndEvent::Sent(NotificationSent {
                notification_id: id,
                user_id,
                channel,
                category,
                provider_message_id: provider_message_id.clone(),
            })),
            (Status::Failed, _, Some(failure)) => Some(EndEvent::Failed(NotificationFailed {
                notification_id: id,
                user_id,
                channel,
                category,
                failure,
                code: self.refusal.as_ref().map(|refusal| refusal.code.clone()).unwrap_or_default(),
            })),
            _ => None,
        }
    }
}

/// How a notification ended.
#[derive(Clone, Debug, PartialEq)]
pub enum EndEvent {
    Sent(NotificationSent),
    Failed(NotificationFailed),
}

/// How long a provider that throttles is left alone, after so many times that it did in a row.
pub fn pause(throttled: u32) -> Duration {
    growing(FIRST_PAUSE, PAUSE_FACTOR, throttled)
}

/// A delay that grows by `factor` with each one before, up to a quarter of an hour; between half of
/// it and all of it, at random, so that what failed together does not come again together.
fn growing(first: Duration, factor: u32, before: u32) -> Duration {
    let ceiling = first.saturating_mul(factor.saturating_pow(before)).min(LONGEST_DELAY);
    let random = u32::from(Uuid::new_v4().as_bytes()[0]);
    ceiling / 2 + ceiling / 2 * random / 255
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moment(seconds: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_768_435_200_000 + seconds * 1000)
    }

    const TO: &str = "anna@example.com";

    fn notification() -> Notification {
        let draft = Draft {
            user_id: Id::new(1).unwrap(),
            channel: Channel::Email,
            template: TemplateName::Welcome,
            template_version: 1,
            language: Language::En,
            to: TO.into(),
            content: Content { subject: None, text: "Hello".into(), html: None },
            urgent: false,
            held_until: None,
        };
        Notification::new(Id::new(7).unwrap(), draft, moment(0))
    }

    fn refusal() -> Refusal {
        Refusal::new("ServiceUnavailable", "later")
    }

    #[test]
    fn each_delay_is_longer_than_the_one_before_until_the_attempts_are_used_up() {
        let (mut notification, mut now, mut delays) = (notification(), moment(0), Vec::new());
        loop {
            let claimed = notification.claimed(1, TO, now);
            let (settled, next) = claimed.settled(&Outcome::Unavailable(refusal()), now);
            notification = settled;
            match next {
                Next::Again(at) => {
                    assert_eq!((notification.step(1, now), notification.status), (Step::Wait(at), Status::Queued));
                    delays.push(at.since(now));
                    now = at;
                }
                next => {
                    assert_eq!(next, Next::DeadLetter);
                    break;
                }
            }
        }
        assert_eq!(delays.len() + 1, MAX_ATTEMPTS as usize);
        assert!(delays.windows(2).take(3).all(|pair| pair[0] < pair[1]), "{delays:?}");
        assert!(delays.iter().all(|delay| *delay <= LONGEST_DELAY));
        assert_eq!(
            (notification.status, notification.failure),
            (Status::Failed, Some(NotificationFailure::AttemptsExhausted))
        );
    }

    #[test]
    fn being_throttled_uses_up_no_attempt_but_patience() {
        let (mut notification, mut now, mut times) = (notification(), moment(0), 0);
        while let (settled, Next::Again(at)) =
            notification.claimed(1, TO, now).settled(&Outcome::Throttled(refusal()), now)
        {
            (notification, now, times) = (settled, at, times + 1);
            assert_eq!(notification.attempts, 0);
        }
        assert!(times > 90, "{times}");
        assert!(now.since(moment(0)) >= PATIENCE);
    }

    #[test]
    fn what_was_refused_is_never_sent_again_and_what_was_given_up_only_by_another_series() {
        let claimed = notification().claimed(1, TO, moment(0));
        let (refused, next) = claimed.settled(&Outcome::Refused(refusal()), moment(1));
        assert_eq!(
            (next, refused.step(1, moment(2)), refused.step(2, moment(2))),
            (Next::Nothing, Step::Done, Step::Done)
        );
        let (unknown, next) = claimed.settled(&Outcome::Unknown(refusal()), moment(1));
        assert_eq!(
            (next, unknown.step(1, moment(2)), unknown.step(2, moment(2))),
            (Next::DeadLetter, Step::Done, Step::Send)
        );
        let again = unknown.claimed(2, TO, moment(3));
        assert_eq!((again.series, again.attempts, again.failure), (2, 0, None));
        assert_eq!(again.step(2, moment(4)), Step::Wait(moment(3).plus(CLAIM)));
    }

    #[test]
    fn an_expired_claim_is_not_sent_again_by_itself() {
        let claimed = notification().claimed(1, TO, moment(0));
        assert_eq!(claimed.step(1, moment(89)), Step::Wait(moment(90)));
        assert_eq!(claimed.step(1, moment(90)), Step::Lost);
        assert_eq!(claimed.step(2, moment(90)), Step::Send);
        let (lost, next) = claimed.lost(moment(91));
        assert_eq!((lost.failure, next), (Some(NotificationFailure::OutcomeUnknown), Next::DeadLetter));
    }

    #[test]
    fn what_nobody_wants_any_more_is_not_sent_by_another_series_either() {
        for reason in [Unreached::OptedOut, Unreached::Gone, Unreached::NoAddress] {
            let unwanted = notification().unwanted(reason, moment(1));
            assert_eq!((unwanted.status, unwanted.failure), (Status::Failed, Some(reason.failure())));
            assert_eq!((unwanted.step(1, moment(2)), unwanted.step(2, moment(2))), (Step::Done, Step::Done));
        }
    }

    #[test]
    fn a_series_that_quiet_hours_hold_back_is_begun_and_claimed_by_any_message_afterwards() {
        let unknown = notification().claimed(1, TO, moment(0)).lost(moment(1)).0;
        let held = unknown.held(2, moment(60), moment(2));
        assert_eq!((held.series, held.failure, held.claim), (2, None, None));
        assert_eq!((held.step(2, moment(59)), held.step(1, moment(60))), (Step::Wait(moment(60)), Step::Send));
        assert_eq!(held.woken().claimed(1, TO, moment(60)).series, 2);
    }

    fn outcomes() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            Just(Outcome::Sent("m1".into())),
            Just(Outcome::Refused(refusal())),
            Just(Outcome::Unavailable(refusal())),
            Just(Outcome::Throttled(refusal())),
            Just(Outcome::Unknown(refusal())),
        ]
    }

    proptest! {
        #[test]
        fn within_a_series_the_provider_is_not_asked_again_after_it_may_have_taken_it(
            messages in prop::collection::vec((1u32..3, 0i64..2000, outcomes(), any::<bool>()), 1..40)
        ) {
            let (mut notification, mut now) = (notification(), moment(0));
            let mut maybe_sent_in = None;
            for (series, wait, outcome, dies) in messages {
                now = now.plus(Duration::from_secs(wait.unsigned_abs()));
                match notification.step(series, now) {
                    Step::Send => {
                        notification = notification.claimed(series, TO, now);
                        prop_assert!(maybe_sent_in.is_none_or(|before| before < notification.series));
                        if dies || matches!(outcome, Outcome::Sent(_) | Outcome::Unknown(_)) {
                            maybe_sent_in = Some(notification.series);
                        }
                        if !dies {
                            notification = notification.settled(&outcome, now).0;
                        }
                    }
                    Step::Lost => notification = notification.lost(now).0,
                    Step::Done | Step::Wait(_) => {}
                }
            }
        }
    }
}
