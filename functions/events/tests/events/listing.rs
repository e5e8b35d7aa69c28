use std::collections::BTreeSet;

use axum::http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{Log, at, event, ids};

/// Events of two services on three orders, a second apart.
async fn busy() -> Log {
    let log = Log::new();
    let happened = [
        ("orders", "order.created", 1),
        ("orders", "order.created", 2),
        ("payments", "payment.completed", 1),
        ("orders", "payment.refund_requested", 2),
        ("payments", "payment.refund_requested", 3),
        ("orders", "order.cancelled", 2),
    ];
    for (second, (service, event_type, order)) in (0..).zip(happened) {
        log.deliver(service, &event(second * 1000, event_type, order)).await;
    }
    log.database.calls();
    log
}

fn seconds(events: &[Value]) -> Vec<i64> {
    let second = |event: &Value| {
        let occurred_at: shared::time::Timestamp = serde_json::from_value(event["occurred_at"].clone()).unwrap();
        (occurred_at.unix_millis() - at(0).unix_millis()) / 1000
    };
    events.iter().map(second).collect()
}

#[tokio::test]
async fn the_log_is_listed_newest_first_by_whatever_is_asked_for() {
    let log = busy().await;
    let cases: [(&str, &[i64]); 11] = [
        ("", &[5, 4, 3, 2, 1, 0]),
        ("type=order.created", &[1, 0]),
        ("service=payments", &[4, 2]),
        ("aggregate=Order:2", &[5, 3, 1]),
        ("correlation_id=request-1", &[2, 0]),
        ("type=payment.refund_requested&service=orders", &[3]),
        ("aggregate=Order:2&type=order.cancelled", &[5]),
        ("correlation_id=request-2&service=orders&type=order.created&aggregate=Order:2", &[1]),
        ("correlation_id=request-2&service=payments", &[]),
        ("type=order", &[]),
        ("limit=2", &[5, 4]),
    ];
    for (query, expected) in cases {
        assert_eq!(seconds(&log.list(query).await), expected, "{query}");
    }
}

#[tokio::test]
async fn a_time_range_has_its_beginning_and_not_its_end() {
    let log = busy().await;
    let (one, three) = (at(1000), at(3000));
    for (query, expected) in [
        (format!("from={one}&to={three}"), vec![2, 1]),
        (format!("from={three}"), vec![5, 4, 3]),
        (format!("to={one}"), vec![0]),
        (format!("from={one}&to={one}"), vec![]),
        (format!("from={three}&to={one}"), vec![]),
        (format!("from={one}&to={three}&type=order.created"), vec![1]),
        (format!("from={one}&to={three}&aggregate=Order:2"), vec![1]),
        (format!("from={one}&type=payment.refund_requested&service=orders"), vec![3]),
        ("from=2026-01-15T01:00:02%2B01:00".into(), vec![5, 4, 3, 2]),
    ] {
        assert_eq!(seconds(&log.list(&query).await), expected, "{query}");
        assert_eq!(seconds(&log.walk(&format!("limit=1&{query}")).await), expected, "{query}, one by one");
    }
}

#[tokio::test]
async fn the_documents_address_shows_the_latest_ten() {
    let log = Log::new();
    for second in 0..12 {
        log.deliver("orders", &event(second * 1000, "order.created", 1)).await;
    }
    let answer = log.api().admin().get("/kafka/logs?limit=10").await;
    let listed = answer.body["data"].as_array().unwrap();
    assert_eq!(seconds(listed), (2..12).rev().collect::<Vec<_>>());
    assert!(answer.body["next"].is_string());
}

#[tokio::test]
async fn a_page_costs_the_same_whatever_is_asked_for_and_however_long_the_log() {
    let log = busy().await;
    for size in [6, 300] {
        for second in 6..size {
            log.deliver("orders", &event(second * 1000, "order.created", 1)).await;
        }
        let next = log.api().admin().get("/api/events?limit=3").await.body["next"].as_str().unwrap().to_owned();
        log.database.calls();
        let queries =
            ["limit=5", "aggregate=Order:1", "type=order.created", "service=orders", "correlation_id=request-1"];
        let combined = format!("type=order.created&service=orders&from={}", at(0));
        for query in queries.into_iter().chain([&*combined, &*format!("limit=3&cursor={next}")]) {
            log.list(query).await;
            assert_eq!(log.database.calls(), ["Query"; 4], "{query} of {size}");
        }
    }
}

#[tokio::test]
async fn pages_of_large_events_have_all_of_them_once() {
    let log = Log::new();
    let mut expected = Vec::new();
    for second in 0..24 {
        let mut large = event(second * 1000, "order.created", 1);
        large.data = json!({"text": "x".repeat(200_000)});
        log.deliver("orders", &large).await;
        expected.push(large.id.to_string());
    }
    expected.reverse();
    for query in ["limit=100", "limit=100&aggregate=Order:1", "limit=100&type=order.created&service=orders", "limit=7"]
    {
        assert_eq!(ids(&log.walk(query).await), expected, "{query}");
    }
    let page = log.list("limit=100").await;
    let bytes = serde_json::to_string(&page).unwrap().len();
    assert!(bytes < 5_000_000, "{} events of {bytes} bytes", page.len());
}

#[tokio::test]
async fn the_log_is_for_admins() {
    let log = busy().await;
    for path in ["/api/events", "/kafka/logs"] {
        assert_eq!(log.api().get(path).await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(log.api().customer(1).get(path).await.status, StatusCode::FORBIDDEN);
    }
    assert!(log.database.calls().is_empty());
}

#[tokio::test]
async fn a_bad_query_is_refused_with_a_pointer_before_anything_is_read() {
    let log = busy().await;
    let long = "x".repeat(201);
    for (query, pointer) in [
        ("limit=0", "?limit"),
        ("limit=101", "?limit"),
        ("cursor=x", "?cursor"),
        ("from=yesterday", "?from"),
        ("to=2026-13-01T00:00:00Z", "?to"),
        ("from=", "?from"),
        ("type=", "?type"),
        ("service=", "?service"),
        ("correlation_id=", "?correlation_id"),
        ("aggregate=Order", "?aggregate"),
        ("aggregate=Order:", "?aggregate"),
        ("aggregate=:1", "?aggregate"),
        ("aggregate=Order:x", "?aggregate"),
        ("aggregate=Order:9007199254740992", "?aggregate"),
        (&*format!("type={long}"), "?type"),
        (&*format!("correlation_id={long}"), "?correlation_id"),
        ("type=a&type=b", "?"),
    ] {
        let answer = log.api().admin().get(&format!("/api/events?{query}")).await;
        assert_eq!((answer.status, answer.pointers()), (StatusCode::BAD_REQUEST, vec![pointer]), "{query}");
    }
    assert!(log.database.calls().is_empty());
}

#[tokio::test]
async fn a_cursor_continues_its_own_list_only() {
    let log = busy().await;
    let next = log.api().admin().get("/api/events?limit=2").await.body["next"].as_str().unwrap().to_owned();
    assert_eq!(seconds(&log.list(&format!("limit=2&cursor={next}")).await), [3, 2]);
    let answer = log.api().admin().get(&format!("/api/events?type=order.created&cursor={next}")).await;
    assert_eq!((answer.status, answer.pointers()), (StatusCode::BAD_REQUEST, vec!["?cursor"]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn pages_find_what_a_filter_asks_for_and_nothing_else(
        made in prop::collection::vec((0usize..3, 0usize..2, 1u64..3, 0i64..4), 1..25),
        asked in (prop::option::of(0usize..3), prop::option::of(0usize..2), prop::option::of(1u64..3)),
        range in (prop::option::of(0i64..60), prop::option::of(0i64..60)),
        limit in 1u8..6,
    ) {
        const TYPES: [&str; 3] = ["a.done", "b.done", "c.done"];
        const SERVICES: [&str; 2] = ["orders", "payments"];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let log = Log::new();
            let (mut moment, mut expected) = (0, BTreeSet::new());
            for (event_type, service, order, later) in made {
                moment += later;
                let event = event(moment, TYPES[event_type], order);
                log.deliver(SERVICES[service], &event).await;
                if asked.0.is_none_or(|asked| asked == event_type)
                    && asked.1.is_none_or(|asked| asked == service)
                    && asked.2.is_none_or(|asked| asked == order)
                    && range.0.is_none_or(|from| moment >= from)
                    && range.1.is_none_or(|to| moment < to)
                {
                    expected.insert(event.id.to_string());
                }
            }
            let mut query = format!("limit={limit}");
            let parts = [
                asked.0.map(|asked| format!("type={}", TYPES[asked])),
                asked.1.map(|asked| format!("service={}", SERVICES[asked])),
                asked.2.map(|asked| format!("aggregate=Order:{asked}")),
                range.0.map(|from| format!("from={}", at(from))),
                range.1.map(|to| format!("to={}", at(to))),
            ];
            for part in parts.into_iter().flatten() {
                query = format!("{query}&{part}");
            }
            let found = log.walk(&query).await;
            let moments: Vec<_> = found.iter().map(|event| event["occurred_at"].as_str().unwrap().to_owned()).collect();
            assert!(moments.is_sorted_by(|a, b| a >= b), "{query}");
            assert_eq!(found.len(), expected.len(), "{query}");
            assert_eq!(ids(&found).into_iter().collect::<BTreeSet<_>>(), expected, "{query}");
        });
    }
}
