use axum::http::StatusCode;
use serde_json::{Value, json};
use testing::Fault;

use crate::world::{PATH, paid, question, refunded, with, world};

#[tokio::test]
async fn a_customer_sees_what_they_paid_and_got_back_to_the_cent() {
    let world = world();
    world
        .tell(&[
            paid(1, 7, "computers", 99_999, "2026-01-10T09:00:00Z"),
            paid(2, 7, "books", 1, "2026-01-31T23:59:59.999Z"),
            refunded(1, 7, "computers", 99_999, "2026-01-12T09:00:00Z"),
            paid(3, 8, "books", 5_000, "2026-01-10T09:00:00Z"),
            paid(4, 7, "books", 5_000, "2026-02-01T00:00:00Z"),
        ])
        .await;
    let answer = world.ask(&question("cash_flow", "user", "2026-01-01", "2026-02-01")).await;
    let total = |name: &str| answer["data"][name].clone();
    assert_eq!([total("income"), total("expenses"), total("net")], [999.99, 1000.0, -0.01].map(Value::from));
    assert_eq!((total("payments"), total("refunds")), (json!(2), json!(1)));
    let periods = answer["data"]["periods"].as_array().unwrap();
    assert_eq!(periods.len(), 31);
    let expected = json!({"start": "2026-01-10", "end": "2026-01-11", "income": 0.0, "expenses": 999.99,
        "net": -999.99, "payments": 1, "refunds": 0});
    assert_eq!(periods[9], expected);
    assert_eq!((&answer["user_id"], &answer["read_model"]), (&json!(7), &json!({"version": 1, "facts": 4})));
}

#[tokio::test]
async fn to_the_business_payments_are_income_and_refunds_expenses() {
    let world = world();
    for payment in 1..=20 {
        world.tell(&[paid(payment, payment, "books", 1_000, "2026-01-10T09:00:00Z")]).await;
    }
    world.tell(&[refunded(3, 3, "books", 1_000, "2026-02-10T09:00:00Z")]).await;
    let months = with(&question("cash_flow", "business", "2026-01-01", "2026-03-01"), "granularity", "month");
    let answer = world.ask_business(&months).await;
    let flow = |flow: &Value| ["income", "expenses", "net"].map(|name| flow[name].as_f64().unwrap());
    assert_eq!(flow(&answer["data"]), [200.0, 10.0, 190.0]);
    assert_eq!(flow(&answer["data"]["periods"][0]), [200.0, 0.0, 200.0]);
    assert_eq!(flow(&answer["data"]["periods"][1]), [0.0, 10.0, -10.0]);
    assert_eq!((&answer["user_id"], &answer["read_model"]["facts"]), (&Value::Null, &json!(21)));
}

#[tokio::test]
async fn a_payment_is_of_the_day_that_it_is_where_the_caller_is() {
    let world = world();
    // In Kolkata it is half past midnight, on the first of February.
    world.tell(&[paid(1, 7, "books", 1_000, "2026-01-31T19:00:00Z")]).await;
    for (zone, day) in [("UTC", 31), ("Europe/Berlin", 31), ("Asia/Kolkata", 32), ("America/New_York", 31)] {
        let ask = with(&question("cash_flow", "user", "2026-01-01", "2026-02-02"), "time_zone", zone);
        let answer = world.ask(&ask).await;
        let days = answer["data"]["periods"].as_array().unwrap();
        let paid_on: Vec<_> = (1..).zip(days).filter(|(_, day)| day["payments"] == 1).map(|(n, _)| n).collect();
        assert_eq!(paid_on, [day], "{zone}");
        let months = world.ask(&with(&ask, "granularity", "month")).await;
        assert_eq!(months["data"]["periods"][if day == 32 { 1 } else { 0 }]["payments"], 1, "{zone}");
    }
}

#[tokio::test]
async fn trends_compare_with_the_month_before() {
    let world = world();
    world
        .tell(&[
            paid(1, 7, "books", 10_000, "2025-12-10T09:00:00Z"),
            paid(2, 7, "books", 12_500, "2026-01-10T09:00:00Z"),
            paid(3, 7, "toys", 2_000, "2026-01-10T09:00:00Z"),
            refunded(3, 7, "toys", 500, "2026-01-11T09:00:00Z"),
            paid(4, 7, "food", 300, "2025-12-31T09:00:00Z"),
        ])
        .await;
    let months = with(&question("spending_trends", "user", "2026-01-01", "2026-02-01"), "granularity", "month");
    let data = world.ask(&months).await["data"].clone();
    assert_eq!((&data["previous_from"], &data["previous_to"]), (&json!("2025-12-01"), &json!("2026-01-01")));
    let categories: Vec<_> = data["categories"]
        .as_array()
        .unwrap()
        .iter()
        .map(|category| {
            (
                category["category"].as_str().unwrap(),
                category["net"].as_f64().unwrap(),
                category["change"].as_f64().unwrap(),
                category["change_percent"].clone(),
            )
        })
        .collect();
    let expected =
        [("books", 125.0, 25.0, json!(25.0)), ("toys", 15.0, 15.0, Value::Null), ("food", 0.0, -3.0, json!(-100.0))];
    assert_eq!(categories, expected);
    assert_eq!(data["categories"][0]["periods"][0]["change"], 25.0);
    assert_eq!(
        (&data["net"], &data["previous"], &data["change_percent"]),
        (&json!(140.0), &json!(103.0), &json!(35.9))
    );
}

#[tokio::test]
async fn a_month_that_is_cut_is_compared_with_nothing() {
    let world = world();
    world.tell(&[paid(1, 7, "books", 10_000, "2026-02-10T09:00:00Z")]).await;
    let months = with(&question("spending_trends", "user", "2026-01-15", "2026-04-01"), "granularity", "month");
    let data = world.ask(&months).await["data"].clone();
    let periods = data["categories"][0]["periods"].as_array().unwrap();
    let changes: Vec<_> = periods.iter().map(|period| period.get("change").and_then(Value::as_f64)).collect();
    assert_eq!(changes, [None, None, Some(-100.0)]);
}

#[tokio::test]
async fn a_health_score_is_explained_by_its_components() {
    let world = world();
    for (n, day) in (1..=30).enumerate() {
        let at = format!("2026-01-{day:02}T09:00:00Z");
        let category = if n % 2 == 0 { "books" } else { "toys" };
        world.tell(&[paid(n as u64 + 1, n as u64 + 1, category, 1_000, &at)]).await;
    }
    world.tell(&[refunded(1, 1, "books", 3_000, "2026-01-30T09:00:00Z")]).await;
    let data =
        world.ask_business(&question("health_score", "business", "2026-01-01", "2026-01-31")).await["data"].clone();
    let components: Vec<_> = data["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| (part["name"].as_str().unwrap(), part["weight"].as_i64().unwrap(), part["score"].as_i64().unwrap()))
        .collect();
    let expected = [("refunds", 35, 80), ("trend", 30, 100), ("stability", 20, 100), ("diversity", 15, 100)];
    assert_eq!(components, expected);
    assert_eq!(
        (&data["score"], &data["explanation"]),
        (&json!(93), &json!("93 = (35 × 80 + 30 × 100 + 20 × 100 + 15 × 100) / 100"))
    );
    assert_eq!(
        data["components"][0]["explanation"],
        "10.0 % of what was paid was given back; 0 % scores 100, 50 % or more 0"
    );
}

#[tokio::test]
async fn an_anomaly_comes_with_its_evidence() {
    let world = world();
    for week in 0..8u64 {
        let day = 5 + week * 7;
        let (month, day) = if day <= 31 { (1, day) } else { (2, day - 31) };
        let cents = if week == 6 { 50_000 } else { 1_000 + i64::try_from(week).unwrap() * 10 };
        let at = format!("2026-{month:02}-{day:02}T09:00:00Z");
        world.tell(&[paid(week + 1, 7, "books", cents, &at)]).await;
    }
    let data = world.ask(&question("anomalies", "user", "2026-01-05", "2026-03-02")).await["data"].clone();
    let expected = json!([{"date": "2026-02-16", "category": "books", "amount": 500.0, "direction": "high",
        "score": 1651.49, "evidence": {"weekday": "monday", "observations": 8, "median": 10.3, "mad": 0.2,
        "deviation": "median", "usual_from": 9.27, "usual_to": 11.33}}]);
    assert_eq!(data["anomalies"], expected);
    assert_eq!((&data["threshold"], &data["judged"]), (&json!(3.5), &json!(56)));
}

#[tokio::test]
async fn an_empty_range_is_answered_with_zeros() {
    let world = world();
    for (from, to, days) in [("2026-01-01", "2026-01-04", 3), ("2026-01-01", "2026-01-01", 0)] {
        for scope in ["user", "business"] {
            let ask = async |metric: &str| world.ask_business(&question(metric, scope, from, to)).await["data"].clone();
            let flow = ask("cash_flow").await;
            assert_eq!((&flow["income"], &flow["expenses"], &flow["net"]), (&json!(0.0), &json!(0.0), &json!(0.0)));
            assert_eq!(flow["periods"].as_array().unwrap().len(), days);
            let trends = ask("spending_trends").await;
            assert_eq!(
                (&trends["net"], &trends["change"], &trends["categories"]),
                (&json!(0.0), &json!(0.0), &json!([]))
            );
            assert_eq!(ask("health_score").await["score"], 0);
            assert_eq!(ask("anomalies").await["anomalies"], json!([]));
        }
    }
}

#[tokio::test]
async fn a_category_leaves_the_others_out() {
    let world = world();
    let at = "2026-01-10T09:00:00Z";
    world.tell(&[paid(1, 7, "books", 100, at), paid(2, 7, "toys", 200, at), paid(3, 7, "books & more", 400, at)]).await;
    let ask = question("cash_flow", "user", "2026-01-01", "2026-02-01");
    for (category, expenses) in [("books", 1.0), (" toys ", 2.0), ("books & more", 4.0), ("none", 0.0)] {
        assert_eq!(world.ask(&with(&ask, "category", category)).await["data"]["expenses"], expenses, "{category}");
    }
}

#[tokio::test]
async fn nobody_sees_the_figures_of_another() {
    let world = world();
    let (api, own) = (world.api(), question("cash_flow", "user", "2026-01-01", "2026-02-01"));
    let business = question("cash_flow", "business", "2026-01-01", "2026-02-01");
    let other = with(&own, "user_id", 8);
    assert_eq!(api.post(PATH, &own).await.status, StatusCode::UNAUTHORIZED);
    for hidden in [&business, &other, &with(&business, "user_id", 7)] {
        assert_eq!(api.customer(7).post(PATH, hidden).await.status, StatusCode::FORBIDDEN, "{hidden}");
    }
    assert_eq!(api.customer(7).post(PATH, &with(&own, "user_id", 7)).await.body["user_id"], 7);
    assert_eq!(api.admin().post(PATH, &other).await.body["user_id"], 8);
    assert_eq!(api.admin().post(PATH, &business).await.status, StatusCode::OK);
}

#[tokio::test]
async fn bad_questions_are_refused_with_a_pointer() {
    let world = world();
    let good = question("cash_flow", "user", "2026-01-01", "2026-02-01");
    let cases = [
        (with(&good, "metric", "profit"), "/metric"),
        (with(&good, "scope", "all"), "/scope"),
        (with(&good, "from", "2026-1-1"), "/from"),
        (with(&good, "from", "2026-01-01T00:00:00Z"), "/from"),
        (with(&good, "from", "1999-12-31"), "/from"),
        (with(&good, "from", 20_260_101), "/from"),
        (with(&good, "to", "2025-12-31"), "/to"),
        (with(&good, "to", "2027-01-03"), "/to"),
        (with(&good, "to", "4000-01-01"), "/to"),
        (with(&with(&good, "granularity", "month"), "to", "2036-01-02"), "/to"),
        (with(&good, "granularity", "hour"), "/granularity"),
        (with(&with(&good, "granularity", "month"), "metric", "anomalies"), "/granularity"),
        (with(&good, "category", ""), "/category"),
        (with(&good, "category", "x".repeat(101)), "/category"),
        (with(&with(&good, "metric", "health_score"), "category", "books"), "/category"),
        (with(&good, "time_zone", "Mars/Olympus"), "/time_zone"),
        (with(&good, "time_zone", "+01:00"), "/time_zone"),
        (with(&good, "user_id", 0), "/user_id"),
        (with(&with(&good, "scope", "business"), "user_id", 7), "/user_id"),
        (with(&good, "currency", "EUR"), "/currency"),
    ];
    for (body, pointer) in cases {
        let answer = world.api().admin().post(PATH, &body).await;
        assert_eq!((answer.status, answer.pointers()), (StatusCode::UNPROCESSABLE_ENTITY, vec![pointer]), "{body}");
    }
    let mut missing = good;
    missing.as_object_mut().unwrap().remove("from");
    assert_eq!(world.api().customer(7).post(PATH, &missing).await.pointers(), ["/from"]);
    assert!(world.database.items(&world.table).is_empty());
}

#[tokio::test]
async fn a_sum_that_no_json_number_keeps_exact_is_refused() {
    let world = world();
    let most = shared::money::Money::MAX.minor_units();
    let at = "2026-01-10T09:00:00Z";
    world.tell(&[paid(1, 7, "books", most, at), paid(2, 7, "books", most, at)]).await;
    let answer = world.api().customer(7).post(PATH, &question("cash_flow", "user", "2026-01-01", "2026-02-01")).await;
    assert_eq!((answer.status, answer.pointers()), (StatusCode::UNPROCESSABLE_ENTITY, vec!["/to"]));
}

#[tokio::test]
async fn a_lost_table_is_a_503() {
    let world = world();
    world.database.inject(Fault::Down);
    let answer = world.api().customer(7).post(PATH, &question("cash_flow", "user", "2026-01-01", "2026-02-01")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
}
