//! Rebuilding the read model from the events service's own log.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use analytics::{
    model::{InUse, Model, Models, NotBuilding},
    rebuild::{EventLog, LogError, LogPage, Rebuild, RebuildError, Rebuilt, abandon, differences_between, remove},
};
use events::{consumers::all_events::AllEvents, entry::LoggedEvent, store as log_store};
use futures::future::join_all;
use proptest::prelude::*;
use serde_json::Value;
use shared::{
    consumer::{self, BusMessage, Outcome},
    event::Envelope,
    table::{Cursor, PageRequest, Table},
    time::Timestamp,
};
use testing::Fault;

use crate::world::{Entry, World, paid, question, refunded, world};

/// The log as the events service keeps it.
struct Log {
    table: Table,
    pages: AtomicU32,
    /// What is done after the first page.
    meanwhile: Option<Box<dyn Fn() -> futures::future::BoxFuture<'static, ()> + Send + Sync>>,
}

#[async_trait::async_trait]
impl EventLog for Log {
    async fn page(&self, from: Timestamp, to: Timestamp, cursor: Option<&str>) -> Result<LogPage, LogError> {
        let types = ["payment.completed", "payment.refunded"].map(str::to_owned);
        let listing = log_store::history(Some(&types), from, to);
        let cursor = cursor.map(|text| Cursor::parse(text).unwrap());
        let page = self.table.page::<LoggedEvent>(&listing, &PageRequest { limit: Some(10), cursor }).await;
        let page = page.map_err(|error| LogError(error.to_string()))?;
        if self.pages.fetch_add(1, Ordering::SeqCst) == 0
            && let Some(meanwhile) = &self.meanwhile
        {
            meanwhile().await;
        }
        Ok(LogPage { events: page.data.iter().map(|entry| entry.event().unwrap()).collect(), next: page.next })
    }
}

/// A service and the log of what it was told.
struct Shop {
    world: World,
    log: Log,
}

fn shop() -> Shop {
    let world = world();
    let log = Log { table: world.database.table("events"), pages: AtomicU32::new(0), meanwhile: None };
    Shop { world, log }
}

async fn logged(table: &Table, event: &Envelope) {
    let log = AllEvents { table: table.clone(), retention: None };
    let message = BusMessage { source: "quayside.payments".into(), detail: event.clone(), rebuild: None };
    consumer::deliver_batch(&log, vec![message]).await.remove(0).unwrap();
}

impl Shop {
    /// Something happens that everybody is told of.
    async fn tell(&self, entry: &Entry) {
        let event = entry.event();
        logged(&self.log.table, &event).await;
        self.world.deliver(&event).await;
    }

    async fn rebuild(&self) -> Result<Rebuilt, RebuildError> {
        self.with(false).await
    }

    async fn with(&self, accept_differences: bool) -> Result<Rebuilt, RebuildError> {
        let rebuild = Rebuild::new(&self.world.table, &self.log);
        Rebuild { settled_after: Duration::from_millis(1), accept_differences, ..rebuild }.run().await
    }

    async fn models(&self) -> Models {
        Models::read(&self.world.table).await.unwrap()
    }

    /// The items of a version by their keys, without the version and the moments of their last change.
    fn items(&self, model: u32) -> BTreeMap<(String, String), Value> {
        let prefix = format!("MODEL#{model}#");
        let items = self.world.database.items(&self.world.table).into_iter();
        let of_model = items.filter_map(|mut item| {
            let pk = item["pk"]["S"].as_str().unwrap().strip_prefix(&prefix)?.to_owned();
            let sk = item["sk"]["S"].as_str().unwrap().to_owned();
            for name in ["pk", "model", "changed_at"] {
                item.as_object_mut().unwrap().remove(name);
            }
            Some(((pk, sk), item))
        });
        of_model.collect()
    }

    async fn payments(&self) -> Value {
        let ask = question("cash_flow", "business", "2026-01-01", "2026-04-01");
        self.world.ask_business(&ask).await["data"]["payments"].clone()
    }
}

fn history() -> Vec<Entry> {
    let mut entries = Vec::new();
    for n in 1..=60u64 {
        let at = format!("2026-{:02}-{:02}T{:02}:00:00Z", n % 3 + 1, n % 28 + 1, n % 24);
        let category = ["books", "toys", "computers"][n as usize % 3];
        entries.push(paid(n, n % 5 + 1, category, 100 * n as i64 + 1, &at));
        if n % 7 == 0 {
            entries.push(refunded(n, n % 5 + 1, category, 100 * n as i64 + 1, "2026-03-31T23:59:59Z"));
        }
    }
    entries
}

#[tokio::test]
async fn the_rebuilt_model_is_equal_item_by_item() {
    let shop = shop();
    for entry in history() {
        shop.tell(&entry).await;
    }
    let rebuilt = shop.rebuild().await.unwrap();
    assert_eq!((rebuilt.model, rebuilt.before, rebuilt.counted), (Model(2), Model(1), 68));
    assert!(rebuilt.unreadable.is_empty());
    let (old, new) = (shop.items(1), shop.items(2));
    assert!(old.len() > 200, "{}", old.len());
    assert_eq!(old, new);
    let models = shop.models().await;
    assert_eq!((models.active, models.building, models.retired), (Model(2), None, vec![Model(1)]));
}

#[tokio::test]
async fn the_old_version_answers_until_the_new_one_does_and_both_answer_the_same() {
    let shop = shop();
    for entry in history() {
        shop.tell(&entry).await;
    }
    let ask = question("spending_trends", "business", "2026-01-01", "2026-04-01");
    let before = shop.world.ask_business(&ask).await;
    shop.world.database.inject(Fault::Down);
    assert!(shop.rebuild().await.is_err());
    shop.world.database.heal();
    assert_eq!(shop.world.ask_business(&ask).await["read_model"]["version"], 1);
    shop.rebuild().await.unwrap();
    let after = shop.world.ask_business(&ask).await;
    assert_eq!((&after["data"], &after["read_model"]["version"]), (&before["data"], &2.into()));
    assert_eq!(after["cached"], false);
}

#[tokio::test]
async fn what_happens_during_a_rebuild_is_in_both_versions_and_in_every_answer() {
    let mut shop = shop();
    for entry in history() {
        shop.tell(&entry).await;
    }
    let (table, log, consumer) = (shop.world.table.clone(), shop.log.table.clone(), shop.world.consumer().table);
    shop.log.meanwhile = Some(Box::new(move || {
        let (table, log, consumer) = (table.clone(), log.clone(), consumer.clone());
        Box::pin(async move {
            let consumer = analytics::consumers::payment_events::PaymentEvents { table: consumer };
            let api = testing::Api::new(analytics::http::query::router(analytics::answer::Analytics::new(table)));
            for n in 0..20 {
                let event = paid(1_000 + n, 3, "toys", 500, "2026-02-10T10:00:00Z").event();
                if n % 2 == 0 {
                    logged(&log, &event).await;
                }
                consumer::handle(&consumer, event.clone()).await.unwrap();
                logged(&log, &event).await;
                let ask = question("cash_flow", "business", "2026-01-01", "2026-04-01");
                let answer = api.admin().post(crate::world::PATH, &ask).await.body;
                assert_eq!(
                    (&answer["data"]["payments"], &answer["read_model"]["version"]),
                    (&(61 + n).into(), &1.into())
                );
            }
        })
    }));
    shop.rebuild().await.unwrap();
    assert_eq!(shop.items(1), shop.items(2));
    assert_eq!(shop.payments().await, 80);
    shop.tell(&paid(2_000, 3, "toys", 500, "2026-02-11T10:00:00Z")).await;
    assert_eq!(shop.payments().await, 81);
}

#[tokio::test]
async fn an_event_that_only_the_old_version_was_given_is_found_in_the_log() {
    let mut shop = shop();
    for entry in history() {
        shop.tell(&entry).await;
    }
    // Handled by a function that read the versions before the rebuild began; in the log only later.
    let (table, log) = (shop.world.table.clone(), shop.log.table.clone());
    shop.log.meanwhile = Some(Box::new(move || {
        let (table, log) = (table.clone(), log.clone());
        Box::pin(async move {
            let entry = Entry { at: Timestamp::now(), ..paid(1_000, 3, "toys", 500, "2026-02-10T10:00:00Z") };
            let event = entry.event();
            let fact = analytics::fact::Fact::of(&event).unwrap().unwrap();
            analytics::store::count(&table, Model(1), &fact).await.unwrap();
            logged(&log, &event).await;
        })
    }));
    shop.rebuild().await.unwrap();
    assert_eq!(shop.items(1), shop.items(2));
}

#[tokio::test]
async fn an_event_delivered_around_the_switch_counts_once() {
    let shop = shop();
    let event = paid(1, 7, "books", 100, "2026-02-10T10:00:00Z").event();
    logged(&shop.log.table, &event).await;
    shop.world.deliver(&event).await;
    shop.rebuild().await.unwrap();
    assert_eq!(shop.world.deliver(&event).await, Outcome::Duplicate);
    assert_eq!(shop.payments().await, 1);
}

#[tokio::test]
async fn a_rebuild_that_was_interrupted_goes_on() {
    let shop = shop();
    for entry in history() {
        shop.tell(&entry).await;
    }
    shop.world.database.inject(Fault::AnswerLost);
    assert!(shop.rebuild().await.is_err());
    assert_eq!(shop.models().await.building, Some(Model(2)));
    shop.tell(&paid(1_000, 3, "toys", 500, "2026-02-10T10:00:00Z")).await;
    assert_eq!(shop.rebuild().await.unwrap().model, Model(2));
    assert_eq!(shop.items(1), shop.items(2));
}

#[tokio::test]
async fn from_the_beginning_of_a_rebuild_on_the_queue_feeds_both_versions() {
    let shop = shop();
    let mut models = shop.models().await;
    models.begin();
    models.save(&shop.world.table).await.unwrap();
    // Not in the log yet.
    let event = paid(1, 7, "books", 100, "2026-02-10T10:00:00Z").event();
    assert_eq!(shop.world.deliver(&event).await, Outcome::Handled);
    assert_eq!(shop.world.deliver(&event).await, Outcome::Duplicate);
    assert_eq!((shop.items(1).len(), shop.items(1)), (7, shop.items(2)));
}

#[tokio::test]
async fn a_version_that_differs_does_not_answer_unless_that_is_accepted() {
    let shop = shop();
    for entry in history() {
        shop.tell(&entry).await;
    }
    // The old version has what the log has not.
    shop.world.deliver(&paid(1_000, 3, "toys", 500, "2026-02-10T10:00:00Z").event()).await;
    let error = shop.rebuild().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("2026-02-01") && text.contains("toys") && text.contains("version 2 differs"), "{text}");
    assert_eq!((shop.models().await.active, shop.payments().await), (Model(1), 61.into()));
    assert_eq!(shop.with(true).await.unwrap().model, Model(2));
    assert_eq!((shop.models().await.active, shop.payments().await), (Model(2), 60.into()));
}

#[tokio::test]
async fn a_model_that_lost_events_is_mended() {
    let shop = shop();
    for (n, entry) in history().iter().enumerate() {
        let event = entry.event();
        logged(&shop.log.table, &event).await;
        if n % 10 != 0 {
            shop.world.deliver(&event).await;
        }
    }
    assert!(shop.rebuild().await.is_err());
    assert!(!differences_between(&shop.world.table, Model(1), Model(2)).await.unwrap().is_empty());
    shop.with(true).await.unwrap();
    assert_eq!(shop.payments().await, 60);
}

#[tokio::test]
async fn an_event_that_nobody_can_read_does_not_hold_up_the_others() {
    let shop = shop();
    let mut broken = paid(1, 7, "books", 100, "2026-02-10T10:00:00Z").event();
    broken.data = serde_json::json!({"amount": "much"});
    logged(&shop.log.table, &broken).await;
    shop.tell(&paid(2, 7, "books", 100, "2026-02-10T10:00:00Z")).await;
    let rebuilt = shop.rebuild().await.unwrap();
    assert_eq!((rebuilt.counted, rebuilt.unreadable), (1, [broken.id].into()));
}

/// Customers who go on paying while something else is done, each payment counted and then logged. Answers with
/// the events, the last of which may be half handled.
async fn while_busy<T>(shop: &Shop, customers: u64, work: impl Future<Output = T>) -> (T, Vec<Envelope>) {
    let events = Mutex::new(Vec::new());
    let customer = async |user: u64| {
        for n in 0.. {
            let entry = paid(1_000 * user + n, user, "toys", 500, "2026-02-10T10:00:00Z");
            let event = Entry { at: Timestamp::now(), ..entry }.event();
            events.lock().unwrap().push(event.clone());
            shop.world.deliver(&event).await;
            logged(&shop.log.table, &event).await;
        }
    };
    let done = tokio::select! {
        done = work => done,
        _ = join_all((1..=customers).map(customer)) => unreachable!(),
    };
    (done, events.into_inner().unwrap())
}

#[tokio::test]
async fn a_rebuild_of_a_shop_that_never_rests_ends_and_the_versions_agree() {
    let shop = shop();
    for entry in history() {
        shop.tell(&entry).await;
    }
    shop.world.database.interleave(vec![1, 0, 2]);
    let (rebuilt, events) = while_busy(&shop, 4, shop.rebuild()).await;
    shop.world.database.interleave(vec![]);
    assert_eq!(rebuilt.unwrap().model, Model(2));
    assert!(events.len() > 20, "{}", events.len());
    for event in &events {
        shop.world.deliver(event).await;
    }
    let counted = shop.items(2).into_keys().filter(|(pk, _)| pk.ends_with("COUNTED")).count();
    assert_eq!(counted, 68 + events.len());
}

#[tokio::test]
async fn what_the_log_lacks_is_found_though_the_shop_never_rests() {
    let shop = shop();
    for entry in history() {
        shop.tell(&entry).await;
    }
    // The old version has what the log has not, of a user who pays no more.
    shop.world.deliver(&paid(1_000, 70, "toys", 500, "2026-02-10T10:00:00Z").event()).await;
    shop.world.database.interleave(vec![1, 0, 2]);
    let (rebuilt, _) = while_busy(&shop, 1, shop.rebuild()).await;
    let text = rebuilt.unwrap_err().to_string();
    assert!(text.contains("user 70: -1 facts"), "{text}");
    assert_eq!(shop.models().await.active, Model(1));
}

#[tokio::test]
async fn a_version_that_is_given_up_is_not_switched_to_and_can_be_removed() {
    let mut shop = shop();
    for entry in history() {
        shop.tell(&entry).await;
    }
    let table = shop.world.table.clone();
    shop.log.meanwhile = Some(Box::new(move || {
        let table = table.clone();
        Box::pin(async move { abandon(&table, Model(2)).await.unwrap() })
    }));
    let error = shop.rebuild().await.unwrap_err();
    assert!(matches!(error, RebuildError::NotBuilding(NotBuilding(Model(2)))), "{error}");
    let models = shop.models().await;
    assert_eq!((models.active, models.building, models.retired), (Model(1), None, vec![Model(2)]));
    assert!(matches!(abandon(&shop.world.table, Model(2)).await, Err(RebuildError::NotBuilding(_))));
    assert!(remove(&shop.world.table, Model(2)).await.unwrap() > 0);
    assert_eq!(shop.items(2).len(), 0);
    shop.log.meanwhile = None;
    assert_eq!(shop.rebuild().await.unwrap().model, Model(3));
}

#[tokio::test]
async fn a_run_switches_to_the_version_that_it_built_and_to_no_other() {
    let mut shop = shop();
    for entry in history() {
        shop.tell(&entry).await;
    }
    // Meanwhile the version is given up, and another run begins the next one.
    let table = shop.world.table.clone();
    shop.log.meanwhile = Some(Box::new(move || {
        let table = table.clone();
        Box::pin(async move {
            abandon(&table, Model(2)).await.unwrap();
            let mut models = Models::read(&table).await.unwrap();
            models.begin();
            models.save(&table).await.unwrap();
        })
    }));
    assert!(matches!(shop.rebuild().await, Err(RebuildError::NotBuilding(NotBuilding(Model(2))))));
    let models = shop.models().await;
    assert_eq!((models.active, models.building), (Model(1), Some(Model(3))));
}

#[tokio::test]
async fn only_a_version_that_answers_no_more_is_removed_and_then_as_a_whole() {
    let shop = shop();
    for entry in history() {
        shop.tell(&entry).await;
    }
    shop.rebuild().await.unwrap();
    for in_use in [Model(2), Model(3)] {
        let error = remove(&shop.world.table, in_use).await.unwrap_err();
        assert!(matches!(error, RebuildError::InUse(InUse(model)) if model == in_use));
    }
    let (old, new) = (shop.items(1), shop.items(2));
    assert_eq!(remove(&shop.world.table, Model(1)).await.unwrap(), old.len());
    assert_eq!((shop.items(1).len(), shop.items(2)), (0, new));
    assert!(shop.models().await.retired.is_empty());
    assert_eq!(shop.rebuild().await.unwrap().model, Model(3));
    assert_eq!(shop.items(2), shop.items(3));
}

#[tokio::test]
async fn a_removal_that_was_interrupted_goes_on() {
    let shop = shop();
    for entry in history() {
        shop.tell(&entry).await;
    }
    shop.rebuild().await.unwrap();
    shop.world.database.inject(Fault::AnswerLost);
    assert!(remove(&shop.world.table, Model(1)).await.is_err());
    assert_eq!(shop.models().await.retired, [Model(1)]);
    remove(&shop.world.table, Model(1)).await.unwrap();
    assert_eq!(shop.items(1).len(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn whatever_happened_in_whatever_order_the_rebuilt_model_is_equal(
        seeds in prop::collection::vec((1u64..6, 0usize..3, 0i64..1_000_000, 0i64..100 * 96, any::<bool>()), 0..40),
        shuffle in any::<u64>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let shop = shop();
            let mut entries: Vec<Entry> = seeds.iter().enumerate().flat_map(|(n, (user, category, cents, quarter, refund))| {
                let category = ["books", "toys", "home & garden"][*category];
                let at = Timestamp::from_unix_millis(1_767_225_600_000 + quarter * 900_000);
                let entry = Entry { at, ..paid(n as u64 + 1, *user, category, *cents, "2026-01-01T00:00:00Z") };
                let back = Entry { kind: analytics::fact::Kind::Refund, at: at.plus(Duration::from_secs(86_400)), ..entry.clone() };
                if *refund { vec![entry, back] } else { vec![entry] }
            }).collect();
            let events: Vec<Envelope> = entries.iter().map(Entry::event).collect();
            for event in &events {
                logged(&shop.log.table, event).await;
            }
            let mut order: Vec<usize> = (0..entries.len()).collect();
            order.sort_by_key(|n| (*n as u64 + 1).wrapping_mul(shuffle | 1));
            for n in &order {
                shop.world.deliver(&events[*n]).await;
            }
            entries.clear();
            shop.rebuild().await.unwrap();
            assert_eq!(shop.items(1), shop.items(2));
        });
    }
}
