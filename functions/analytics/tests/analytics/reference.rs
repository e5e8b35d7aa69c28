//! Every figure of every metric against a plain, slow computation from the list of payments.
//!
//! The reference knows nothing of buckets, slots or events: it goes through the list, and
//! has fractions in floating point where the service has integers.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use analytics::{
    fact::{Kind, UNCATEGORISED},
    http,
};
use jiff::{ToSpan, civil::Date, tz::TimeZone};
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::time::Timestamp;
use testing::Api;

use crate::world::{Entry, World, world};

const ZONES: [&str; 9] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Pacific/Kiritimati",
    "Pacific/Chatham",
    "America/St_Johns",
    "Etc/GMT+12",
];

/// An entry, and the day that it is of where the question is asked.
#[derive(Clone, Debug)]
struct Dated {
    day: Date,
    entry: Entry,
}

impl std::ops::Deref for Dated {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        &self.entry
    }
}

/// A question, as the reference reads it.
#[derive(Clone, Debug)]
struct Ask {
    user: Option<u64>,
    from: Date,
    to: Date,
    monthly: bool,
    category: Option<String>,
    zone: TimeZone,
    /// When it is asked.
    at: Timestamp,
}

impl Ask {
    /// The first day that has not ended, or the end of the range if that is before.
    fn judged_to(&self) -> Date {
        let instant = jiff::Timestamp::from_millisecond(self.at.unix_millis()).unwrap();
        let today = instant.to_zoned(self.zone.clone()).date();
        if today >= self.to {
            self.to
        } else if today <= self.from {
            self.from
        } else {
            today
        }
    }

    fn body(&self, metric: &str) -> Value {
        let mut body = json!({"metric": metric, "from": self.from.to_string(), "to": self.to.to_string(),
            "scope": if self.user.is_some() { "user" } else { "business" },
            "granularity": if self.monthly { "month" } else { "day" },
            "time_zone": self.zone.iana_name().unwrap()});
        if let Some(user) = self.user {
            body["user_id"] = user.into();
        }
        if let Some(category) = &self.category {
            body["category"] = category.as_str().into();
        }
        body
    }

    /// An entry with its local day.
    fn dated(&self, entry: &Entry) -> Dated {
        let instant = jiff::Timestamp::from_millisecond(entry.at.unix_millis()).unwrap();
        Dated { day: instant.to_zoned(self.zone.clone()).date(), entry: entry.clone() }
    }

    /// The entries of these days that are asked about.
    fn between<'a>(&self, entries: &'a [Dated], from: Date, to: Date) -> Vec<&'a Dated> {
        let wanted = |entry: &&Dated| {
            let day = entry.day;
            self.user.is_none_or(|user| user == entry.user)
                && self.category.as_deref().is_none_or(|category| category == name(entry))
                && from <= day
                && day < to
        };
        entries.iter().filter(wanted).collect()
    }

    fn periods(&self, from: Date, to: Date) -> Vec<(Date, Date)> {
        let mut periods: Vec<(Date, Date)> = Vec::new();
        let mut day = from;
        while day < to {
            let next = day.tomorrow().unwrap();
            match periods.last_mut() {
                Some(last) if self.monthly && (last.0.year(), last.0.month()) == (day.year(), day.month()) => {
                    last.1 = next
                }
                _ => periods.push((day, next)),
            }
            day = next;
        }
        periods
    }
}

fn name(entry: &Dated) -> &str {
    entry.category.as_deref().map(str::trim).filter(|name| !name.is_empty()).unwrap_or(UNCATEGORISED)
}

fn cents(entries: &[&Dated], kind: Kind) -> i64 {
    entries.iter().filter(|entry| entry.kind == kind).map(|entry| entry.cents).sum()
}

fn spent(entries: &[&Dated]) -> i64 {
    cents(entries, Kind::Payment)
}

fn net(entries: &[&Dated]) -> i64 {
    cents(entries, Kind::Payment) - cents(entries, Kind::Refund)
}

/// An amount as the JSON number nearest to it.
fn amount(cents: i64) -> Value {
    format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100)
        .parse::<f64>()
        .unwrap()
        .into()
}

fn flow(ask: &Ask, entries: &[&Dated]) -> Value {
    let (paid, back) = (cents(entries, Kind::Payment), cents(entries, Kind::Refund));
    let (income, expenses) = if ask.user.is_some() { (back, paid) } else { (paid, back) };
    let count = |kind| entries.iter().filter(|entry| entry.kind == kind).count();
    json!({"income": amount(income), "expenses": amount(expenses), "net": amount(income - expenses),
        "payments": count(Kind::Payment), "refunds": count(Kind::Refund)})
}

fn cash_flow(ask: &Ask, entries: &[Dated]) -> Value {
    let mut data = flow(ask, &ask.between(entries, ask.from, ask.to));
    let periods = ask.periods(ask.from, ask.to).into_iter().map(|(start, end)| {
        let mut period = flow(ask, &ask.between(entries, start, end));
        period["start"] = start.to_string().into();
        period["end"] = end.to_string().into();
        period
    });
    data["periods"] = periods.collect();
    data
}

/// The first day of the range before.
fn previous_from(ask: &Ask) -> Date {
    if ask.from.day() == 1 && ask.to.day() == 1 {
        let mut start = ask.from;
        let mut month = ask.from;
        while month < ask.to {
            month = month.checked_add(1.month()).unwrap();
            start = start.checked_sub(1.month()).unwrap();
        }
        start
    } else {
        let mut start = ask.from;
        let mut day = ask.from;
        while day < ask.to {
            day = day.tomorrow().unwrap();
            start = start.yesterday().unwrap();
        }
        start
    }
}

/// A percentage to one decimal; `null` of nothing.
fn percent(before: i64, after: i64) -> Value {
    if before == 0 { Value::Null } else { json!((after - before) as f64 / before.abs() as f64 * 100.0) }
}

fn spending_trends(ask: &Ask, entries: &[Dated]) -> Value {
    let start = previous_from(ask);
    let (before, now) = (ask.between(entries, start, ask.from), ask.between(entries, ask.from, ask.to));
    let trend = |before: &[&Dated], now: &[&Dated]| {
        json!({"spent": amount(spent(now)), "refunded": amount(cents(now, Kind::Refund)), "net": amount(net(now)),
            "previous": amount(net(before)), "change": amount(net(now) - net(before)),
            "change_percent": percent(net(before), net(now))})
    };
    let names: BTreeSet<&str> = before.iter().chain(&now).map(|entry| name(entry)).collect();
    let mut categories = Vec::new();
    for category in names {
        let only = |entries: &[&Dated]| -> Vec<Dated> {
            entries.iter().filter(|entry| name(entry) == category).map(|entry| (*entry).clone()).collect()
        };
        let (before, now) = (only(&before), only(&now));
        let (before, now): (Vec<_>, Vec<_>) = (before.iter().collect(), now.iter().collect());
        let mut trend = trend(&before, &now);
        trend["category"] = category.into();
        let all: Vec<Dated> = before.iter().chain(&now).map(|entry| (*entry).clone()).collect();
        trend["periods"] = period_trends(ask, &all, start);
        categories.push((std::cmp::Reverse(net(&now)), category, trend));
    }
    categories.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    let mut data = trend(&before, &now);
    data["previous_from"] = start.to_string().into();
    data["previous_to"] = ask.from.to_string().into();
    data["categories"] = categories.into_iter().map(|(_, _, trend)| trend).collect();
    data
}

fn period_trends(ask: &Ask, entries: &[Dated], start: Date) -> Value {
    let whole = |(start, end): (Date, Date)| !ask.monthly || (start.day() == 1 && end.day() == 1);
    let mut before = ask.periods(start, ask.from).last().copied();
    let mut periods = Vec::new();
    for period in ask.periods(ask.from, ask.to) {
        let here = ask.between(entries, period.0, period.1);
        let mut trend = json!({"start": period.0.to_string(), "end": period.1.to_string(), "spent": amount(spent(&here)),
            "refunded": amount(cents(&here, Kind::Refund)), "net": amount(net(&here))});
        if let Some(other) = before.filter(|other| whole(*other) && whole(period)) {
            let there = net(&ask.between(entries, other.0, other.1));
            trend["change"] = amount(net(&here) - there);
            trend["change_percent"] = percent(there, net(&here));
        }
        before = Some(period);
        periods.push(trend);
    }
    periods.into()
}

/// The components' scores, before rounding.
fn health_components(ask: &Ask, entries: &[Dated]) -> [(&'static str, f64, f64); 4] {
    let all = ask.between(entries, ask.from, ask.to);
    let total = spent(&all) as f64;
    if total == 0.0 {
        return [("refunds", 35.0, 0.0), ("trend", 30.0, 0.0), ("stability", 20.0, 0.0), ("diversity", 15.0, 0.0)];
    }
    let refunds = 100.0 - 200.0 * cents(&all, Kind::Refund) as f64 / total;
    let periods = ask.periods(ask.from, ask.to);
    let paid: Vec<f64> = periods.iter().map(|(from, to)| spent(&ask.between(entries, *from, *to)) as f64).collect();
    let half = periods.len() / 2;
    let rate = |range: std::ops::Range<usize>| {
        let days: i64 =
            periods[range.clone()].iter().map(|(from, to)| i64::from(from.until(*to).unwrap().get_days())).sum();
        paid[range].iter().sum::<f64>() / days as f64
    };
    let trend = if half == 0 {
        100.0
    } else {
        let (first, second) = (rate(0..half), rate(half..periods.len()));
        let (good, whole) = if ask.user.is_some() { (first, second) } else { (second, first) };
        if whole == 0.0 { 100.0 } else { 100.0 * good / whole }
    };
    let length = |(from, to): &(Date, Date)| f64::from(from.until(*to).unwrap().get_days());
    let days: f64 = periods.iter().map(length).sum();
    let uneven = paid.iter().zip(&periods).map(|(paid, period)| (paid / total - length(period) / days).abs());
    let hoover = uneven.sum::<f64>() / 2.0;
    let mut categories: BTreeMap<&str, i64> = BTreeMap::new();
    for entry in all.iter().filter(|entry| entry.kind == Kind::Payment) {
        *categories.entry(name(entry)).or_default() += entry.cents;
    }
    let largest = categories.values().copied().max().unwrap_or_default() as f64;
    let diversity = 200.0 * (1.0 - largest / total);
    [
        ("refunds", 35.0, refunds),
        ("trend", 30.0, trend),
        ("stability", 20.0, 100.0 - 100.0 * hoover),
        ("diversity", 15.0, diversity),
    ]
}

fn compare_health(ask: &Ask, entries: &[Dated], data: &Value) {
    let mut weighted = 0.0;
    for ((name, weight, score), part) in
        health_components(ask, entries).iter().zip(data["components"].as_array().unwrap())
    {
        let told = part["score"].as_f64().unwrap();
        let exact = score.clamp(0.0, 100.0);
        assert_eq!((part["name"].as_str().unwrap(), part["weight"].as_f64().unwrap()), (*name, *weight));
        assert!((told - exact).abs() <= 0.5 + 1e-6, "{name}: {told} for {exact}");
        weighted += weight * told;
    }
    let score = data["score"].as_f64().unwrap();
    assert!((score - weighted / 100.0).abs() <= 0.5 + 1e-9, "{score} for {}", weighted / 100.0);
}

/// The lower median.
fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) / 2]
}

fn compare_anomalies(ask: &Ask, entries: &[Dated], data: &Value) {
    let days = Ask { monthly: false, ..ask.clone() }.periods(ask.from, ask.to);
    let all = ask.between(entries, ask.from, ask.to);
    let names: BTreeSet<&str> = all.iter().map(|entry| name(entry)).collect();
    let mut expected = BTreeMap::new();
    let mut borderline = BTreeSet::new();
    let mut judged = 0;
    for category in names {
        for weekday in 0..7 {
            let same: Vec<Date> =
                days.iter().map(|day| day.0).filter(|day| day.weekday().to_monday_zero_offset() == weekday).collect();
            if same.len() < 5 {
                continue;
            }
            judged += same.len();
            let amount = |day: &Date| {
                let here = ask.between(entries, *day, day.tomorrow().unwrap());
                here.iter()
                    .filter(|entry| name(entry) == category && entry.kind == Kind::Payment)
                    .map(|entry| entry.cents)
                    .sum::<i64>()
            };
            let amounts: Vec<f64> = same.iter().map(|day| amount(day) as f64).collect();
            let middle = median(&amounts);
            let deviations: Vec<f64> = amounts.iter().map(|amount| (amount - middle).abs()).collect();
            let mad = median(&deviations);
            let deviation = if mad > 0.0 {
                1.4826 * mad
            } else {
                1.253314 * deviations.iter().sum::<f64>() / deviations.len() as f64
            };
            for (day, amount) in same.iter().zip(&amounts) {
                let score = (amount - middle) / deviation;
                let key = (day.to_string(), category.to_owned());
                if (score.abs() - 3.5).abs() < 1e-6 {
                    borderline.insert(key);
                } else if score.abs() > 3.5 {
                    expected.insert(key, (*amount as i64, score, middle as i64, mad as i64, same.len()));
                }
            }
        }
    }
    assert_eq!(data["judged"], judged);
    let found = data["anomalies"].as_array().unwrap();
    let keys: Vec<_> = found
        .iter()
        .map(|a| (a["date"].as_str().unwrap().to_owned(), a["category"].as_str().unwrap().to_owned()))
        .collect();
    let sure: Vec<_> = keys.iter().filter(|key| !borderline.contains(key)).cloned().collect();
    assert_eq!(sure, expected.keys().cloned().collect::<Vec<_>>());
    for (key, anomaly) in keys.iter().zip(found) {
        let Some((cents, score, middle, mad, observations)) = expected.get(key) else { continue };
        let evidence = &anomaly["evidence"];
        assert_eq!(
            (&anomaly["amount"], &evidence["median"], &evidence["mad"]),
            (&amount(*cents), &amount(*middle), &amount(*mad))
        );
        assert_eq!(evidence["observations"], *observations);
        assert!((anomaly["score"].as_f64().unwrap() - score).abs() <= 0.005 + 1e-6 * score.abs(), "{anomaly} {score}");
        assert_eq!(anomaly["direction"], if *score > 0.0 { "high" } else { "low" });
        let usual = |name: &str| (evidence[name].as_f64().unwrap() * 100.0).round() as i64;
        let (low, high) = (usual("usual_from"), usual("usual_to"));
        assert!(*cents < low || *cents > high, "{anomaly}");
        let reach = 3.5 * (*cents - middle).abs() as f64 / score.abs();
        assert!((high as f64 - (*middle as f64 + reach)).abs() <= 1.0 + 1e-6 * reach, "{anomaly}");
    }
}

/// Equal to the last digit, percentages to the decimal that they are told with.
fn assert_same(told: &Value, expected: &Value, path: &str) {
    match (told, expected) {
        (Value::Object(told), Value::Object(expected)) => {
            let names = |object: &serde_json::Map<String, Value>| object.keys().cloned().collect::<BTreeSet<_>>();
            assert_eq!(names(told), names(expected), "{path}");
            told.iter().for_each(|(name, value)| assert_same(value, &expected[name], &format!("{path}/{name}")));
        }
        (Value::Array(told), Value::Array(expected)) => {
            assert_eq!(told.len(), expected.len(), "{path}");
            told.iter()
                .zip(expected)
                .enumerate()
                .for_each(|(n, (told, expected))| assert_same(told, expected, &format!("{path}/{n}")));
        }
        (Value::Number(told), Value::Number(expected)) if path.ends_with("_percent") => {
            let (told, expected) = (told.as_f64().unwrap(), expected.as_f64().unwrap());
            assert!((told - expected).abs() <= 0.05 + 1e-9 * expected.abs(), "{path}: {told} for {expected}");
        }
        _ => assert_eq!(told, expected, "{path}"),
    }
}

async fn compare(world: &World, entries: &[Entry], ask: &Ask) {
    let analytics = world.analytics.clone().as_of(ask.at);
    let api = Api::new(http::query::router(analytics));
    let entries: &[Dated] = &entries.iter().map(|entry| ask.dated(entry)).collect::<Vec<_>>();
    let told = async |metric: &str| {
        let answer = api.admin().post(crate::world::PATH, &ask.body(metric)).await;
        assert!(answer.status.is_success(), "{ask:?} {}", answer.body);
        answer.body["data"].clone()
    };
    assert_same(&told("cash_flow").await, &cash_flow(ask, entries), "cash_flow");
    assert_same(&told("spending_trends").await, &spending_trends(ask, entries), "spending_trends");
    let judged = Ask { to: ask.judged_to(), ..ask.clone() };
    if ask.category.is_none() {
        compare_health(&judged, entries, &told("health_score").await);
    }
    if !ask.monthly {
        compare_anomalies(&judged, entries, &told("anomalies").await);
    }
}

/// Some months of payments of a few users, with the days and hours that time zones differ by.
fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let category = prop::sample::select(vec![Some("books"), Some("toys"), Some(" home & garden "), Some("#1"), None]);
    let usual = (0i64..130, prop_oneof![0i64..86_400_000, Just(0), Just(86_399_999), 64_800_000i64..86_400_000]);
    let amount = prop_oneof![8 => 100i64..5_000, 1 => Just(0), 1 => 1i64..10_000_000];
    let entry = (1u64..4, category, usual, amount, prop::option::weighted(0.2, 0i64..40));
    prop::collection::vec(entry, 0..120).prop_map(|entries| {
        let mut all = Vec::new();
        for (n, (user, category, (day, millis), cents, back)) in entries.into_iter().enumerate() {
            // From 2025-12-01 on.
            let at = Timestamp::from_unix_millis(1_764_547_200_000 + day * 86_400_000 + millis);
            let entry = Entry {
                kind: Kind::Payment,
                payment: n as u64 * 2 + 1,
                user,
                category: category.map(str::to_owned),
                cents,
                at,
            };
            if let Some(days) = back {
                let at = at.plus(Duration::from_secs(days as u64 * 86_400));
                all.push(Entry { kind: Kind::Refund, at, ..entry.clone() });
            }
            all.push(entry);
        }
        all
    })
}

fn asks() -> impl Strategy<Value = Ask> {
    let categories = prop::option::weighted(0.2, prop::sample::select(vec!["books", "home & garden", UNCATEGORISED]));
    let user = prop::option::of(1u64..4);
    let months = any::<bool>();
    let zones = prop::sample::select(ZONES.to_vec());
    // From 2025-11-15 on, by the hour: before the range, in it, and behind it.
    let at = (0i64..250 * 24).prop_map(|hours| Timestamp::from_unix_millis(1_763_164_800_000 + hours * 3_600_000));
    (user, 0i32..120, 0i32..110, months, any::<bool>(), categories, zones, at).prop_map(
        |(user, start, days, whole, monthly, category, zone, at)| {
            let first = jiff::civil::date(2025, 11, 20).checked_add(start.days()).unwrap();
            let last = first.checked_add(days.days()).unwrap();
            let (from, to) = if whole { (first.first_of_month(), last.first_of_month()) } else { (first, last) };
            let category = category.map(str::to_owned);
            Ask { user, from, to, monthly, category, zone: TimeZone::get(zone).unwrap(), at }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_figure_is_the_one_that_the_list_of_payments_gives(
        entries in entries(),
        asks in prop::collection::vec(asks(), 6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = world();
            world.tell(&entries).await;
            for ask in &asks {
                compare(&world, &entries, ask).await;
            }
        });
    }
}

#[tokio::test]
async fn a_regular_year_has_the_anomalies_that_the_list_gives() {
    let world = world();
    let mut entries = Vec::new();
    for day in 0..180i64 {
        let weekend = day % 7 >= 5;
        let cents = if weekend { 20_000 } else { 5_000 } + (day * 37 % 11) * 100;
        let cents = if [44, 89, 100].contains(&day) { cents * 9 } else { cents };
        let at = Timestamp::from_unix_millis(1_764_547_200_000 + day * 86_400_000 + 43_200_000);
        let category = Some(if day % 3 == 0 { "books" } else { "toys" }.to_owned());
        entries.push(Entry {
            kind: Kind::Payment,
            payment: day as u64 + 1,
            user: day as u64 % 3 + 1,
            category,
            cents,
            at,
        });
    }
    world.tell(&entries).await;
    for zone in ZONES {
        let (from, to) = (jiff::civil::date(2025, 12, 1), jiff::civil::date(2026, 5, 30));
        let zone = TimeZone::get(zone).unwrap();
        let at = crate::world::moment("2030-01-01T00:00:00Z");
        compare(&world, &entries, &Ask { user: None, from, to, monthly: false, category: None, zone, at }).await;
    }
}
