//! A refused sign-in costs the same whatever was wrong, so that nothing can be learnt from it.
//!
//! In a process of its own, since it counts what the whole process does.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "auth/world.rs"]
mod world;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use auth::store;
use axum::http::StatusCode;
use serde_json::Value;
use shared::table::Transaction;
use testing::Answer;
use tracing::{Subscriber, span};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt};

use crate::world::{Accounts, PASSWORD, accounts, id, registration};

static EVALUATIONS: AtomicUsize = AtomicUsize::new(0);

/// Counts the evaluations of Argon2id by their spans.
struct Count;

impl<S: Subscriber> Layer<S> for Count {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, _: &span::Id, _: Context<'_, S>) {
        if attributes.metadata().name() == "argon2id" {
            EVALUATIONS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What a request came to, without what differs from request to request.
#[derive(Debug, PartialEq)]
struct Work {
    evaluations: usize,
    calls: Vec<String>,
    status: StatusCode,
    headers: Vec<(String, String)>,
    body: Value,
}

async fn work(accounts: &Accounts, username: &str, password: &str) -> Work {
    accounts.database.calls();
    EVALUATIONS.store(0, Ordering::Relaxed);
    let Answer { status, headers, mut body } = accounts.try_password(username, password).await;
    let evaluations = EVALUATIONS.load(Ordering::Relaxed);
    body.as_object_mut().unwrap().remove("correlation_id");
    let headers = headers.iter().filter(|(name, _)| *name != "x-correlation-id");
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    Work { evaluations, calls: accounts.database.calls(), status, headers, body }
}

/// The accounts `alice`, and `locked`, which nobody may sign in to any more.
async fn alice_and_locked() -> Accounts {
    let accounts = accounts();
    accounts.signed_up("alice").await;
    let locked = id(&accounts.signed_up("locked").await);
    let account = store::account(&accounts.table, locked).await.unwrap().unwrap();
    accounts.table.commit(Transaction::new().replace(&account.disable())).await.unwrap();
    accounts
}

/// An unknown user, a wrong password, and a locked account with its right and a wrong one.
const REFUSED: [(&str, &str); 4] =
    [("nobody", PASSWORD), ("alice", "wrong"), ("locked", PASSWORD), ("locked", "wrong")];

#[tokio::test]
async fn an_unknown_user_a_wrong_password_and_a_locked_account_get_the_same_answer_for_the_same_work() {
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Count)).unwrap();
    let accounts = alice_and_locked().await;
    let expected = work(&accounts, "nobody", "wrong").await;
    assert_eq!((expected.evaluations, expected.status), (1, StatusCode::UNAUTHORIZED));
    assert_eq!(expected.calls, [&["UpdateItem"; 2][..], &["GetItem"; 3], &["TransactWriteItems"]].concat());
    for (username, password) in REFUSED {
        assert_eq!(work(&accounts, username, password).await, expected, "{username} {password}");
    }

    // Each of them has failed often enough now and then again to wait.
    for (username, password) in REFUSED.into_iter().cycle().take(20) {
        accounts.try_password(username, password).await;
    }
    let waiting = work(&accounts, "nobody", "wrong").await;
    assert_eq!((waiting.evaluations, waiting.status), (0, StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(waiting.calls, ["UpdateItem"; 3]);
    for (username, password) in REFUSED {
        assert_eq!(work(&accounts, username, password).await, waiting, "{username} {password}");
    }

    // So has whoever asks for a name that is taken.
    let ask = async || {
        EVALUATIONS.store(0, Ordering::Relaxed);
        let answer = accounts.register().post("/api/auth/register", &registration("alice")).await;
        (EVALUATIONS.load(Ordering::Relaxed), answer.status)
    };
    for _ in 0..30 {
        assert_eq!(ask().await, (1, StatusCode::CONFLICT));
    }
    assert_eq!(ask().await, (0, StatusCode::TOO_MANY_REQUESTS));
}

/// What the longest case may take in terms of the shortest.
const NOISE: f64 = 1.15;

fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

#[tokio::test]
#[ignore = "measures time, which takes a release build and a quiet machine: make timing"]
async fn and_in_the_same_time_within_noise() {
    let mut times: [Vec<Duration>; REFUSED.len()] = Default::default();
    for round in 0..80 {
        // Anew each time, before anybody has to wait, and in another order.
        let accounts = alice_and_locked().await;
        for turn in 0..REFUSED.len() {
            let case = (round + turn) % REFUSED.len();
            let (username, password) = REFUSED[case];
            let started = Instant::now();
            let answer = accounts.try_password(username, password).await;
            times[case].push(started.elapsed());
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        }
    }
    let medians = times.each_mut().map(|times| median(times));
    let shortest = medians.into_iter().fold(f64::MAX, f64::min);
    let longest = medians.into_iter().fold(0.0, f64::max);
    for ((username, password), median) in REFUSED.iter().zip(medians) {
        println!("{username:<8} {password:<22} {:.2} ms", median * 1000.0);
    }
    println!("the longest takes {:.3} times the shortest", longest / shortest);
    assert!(longest / shortest < NOISE, "{medians:?}");
}
