use axum::http::StatusCode;
use notifications::http;
use shared::event::Role;
use testing::Api;

use crate::world::{message, world};

#[tokio::test]
async fn a_users_history_is_paged_newest_first_and_a_page_is_one_query() {
    let world = world().await;
    world.know(8, "Ben", Role::Customer).await;
    for number in 0..5 {
        world.sent(&message(&number.to_string())).await;
        let mut other = message("Hi");
        other["user_id"] = 8.into();
        world.sent(&other).await;
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    world.database.calls();
    let first = world.history(7, "?limit=3").await;
    assert_eq!(world.database.calls(), ["Query"]);
    let next = first.body["next"].as_str().unwrap();
    let second = world.history(7, &format!("?limit=3&cursor={next}")).await;
    let texts: Vec<_> = [&first, &second]
        .iter()
        .flat_map(|page| page.body["data"].as_array().unwrap().iter().map(|seen| seen["text"].as_str().unwrap()))
        .map(|text| text.rsplit('\n').next().unwrap())
        .collect();
    assert_eq!((texts, &second.body["next"]), (vec!["4", "3", "2", "1", "0"], &serde_json::Value::Null));
}

#[tokio::test]
async fn a_notification_is_its_recipients_and_an_admins_and_nobody_elses() {
    let world = world().await;
    let sent = world.sent(&message("Hi")).await.body;
    let path = format!("/api/notifications/{}", sent["id"]);
    let api = Api::new(http::get_notification::router(world.table.clone()));
    world.database.calls();
    assert_eq!(api.customer(7).get(&path).await.status, StatusCode::OK);
    assert_eq!(world.database.calls(), ["GetItem"]);
    assert_eq!(api.admin().get(&path).await.status, StatusCode::OK);
    assert_eq!(api.customer(8).get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(api.get(&path).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(api.admin().get("/api/notifications/1").await.status, StatusCode::NOT_FOUND);
    assert_eq!(api.admin().get("/api/notifications/x").await.status, StatusCode::BAD_REQUEST);
    let list = Api::new(http::notifications_by_user::router(world.table.clone()));
    assert_eq!(list.customer(8).get("/api/notifications/user/7").await.status, StatusCode::NOT_FOUND);
    assert_eq!(list.get("/api/notifications/user/7").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.history(7, "?cursor=x").await.status, StatusCode::BAD_REQUEST);
}
