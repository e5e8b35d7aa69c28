use std::time::Duration;

use notifications::{
    Notifications,
    consumers::{domain_events::DomainEvents, user_events::UserEvents},
    http,
    wake::Wake,
};
use serde_json::{Value, json};
use shared::{
    auth::Scope,
    consumer::{self, ConsumerError, Outcome},
    event::{Envelope, Payload, Role, UserCreated},
    id::Id,
    schedule::Job,
    table::Table,
    time::Timestamp,
};
use testing::{Answer, Api, Database};

/// A notifications service that has heard of a customer with the id 7.
pub struct World {
    pub database: Database,
    pub table: Table,
    pub platform: Table,
    pub notifications: Notifications,
}

pub fn id(value: u64) -> Id {
    Id::new(value).unwrap()
}

pub fn created(user_id: u64, name: &str, role: Role, version: u64) -> UserCreated {
    UserCreated { user_id: id(user_id), name: name.into(), email: address(name), role, version }
}

/// The e-mail address of whoever is called so.
pub fn address(name: &str) -> String {
    format!("{}@example.com", name.to_lowercase())
}

/// A service that has heard of nobody.
pub fn deserted() -> World {
    let database = Database::new();
    let (table, platform) = (database.table("notifications"), database.table("platform"));
    World { notifications: Notifications::new(table.clone()), database, table, platform }
}

pub async fn world() -> World {
    let world = deserted();
    world.know(7, "Anna", Role::Customer).await;
    world.database.calls();
    world
}

/// The event, as if it had occurred so many seconds ago.
pub fn aged(event: Envelope, seconds: u64) -> Envelope {
    Envelope { occurred_at: event.occurred_at.minus(Duration::from_secs(seconds)), ..event }
}

/// A request to tell the customer 7 something by e-mail.
pub fn message(body: &str) -> Value {
    json!({"user_id": 7, "channel": "email", "template": "message", "params": {"subject": "News", "body": body}})
}

impl World {
    pub fn user_events(&self) -> UserEvents {
        UserEvents { notifications: self.notifications.clone() }
    }

    pub fn domain_events(&self) -> DomainEvents {
        DomainEvents { notifications: self.notifications.clone() }
    }

    /// Delivers an event of an order, a payment or a sensor.
    pub async fn occur(&self, event: Envelope) -> Result<Outcome, ConsumerError> {
        consumer::handle(&self.domain_events(), event).await
    }

    /// Delivers old news of a user, who is not welcomed any more.
    pub async fn know(&self, user_id: u64, name: &str, role: Role) {
        let event = Envelope::new(&created(user_id, name, role, 1)).unwrap();
        self.deliver(aged(event, 30 * 24 * 3600)).await.unwrap();
    }

    /// Delivers news of a user.
    pub async fn hear<P: Payload>(&self, payload: &P) -> Outcome {
        self.deliver(Envelope::new(payload).unwrap()).await.unwrap()
    }

    pub async fn deliver(&self, event: Envelope) -> Result<Outcome, ConsumerError> {
        consumer::handle(&self.user_events(), event).await
    }

    pub fn send(&self) -> Api {
        Api::accepting_keys(http::send::router(self.notifications.clone()), &self.platform)
    }

    pub fn send_batch(&self) -> Api {
        Api::accepting_keys(http::send_batch::router(self.notifications.clone()), &self.platform)
    }

    /// Asks, as an admin, to tell somebody something.
    pub async fn sent(&self, body: &Value) -> Answer {
        self.send().admin().post("/api/notifications/send", body).await
    }

    pub async fn batch(&self, notifications: &[Value]) -> Answer {
        let body = json!({ "notifications": notifications });
        self.send_batch().admin().post("/api/notifications/send-batch", &body).await
    }

    pub async fn prefer(&self, user_id: u64, preferences: &Value) -> Answer {
        let api = Api::new(http::set_preferences::router(self.table.clone())).customer(user_id);
        api.put(&format!("/api/notifications/preferences/{user_id}"), preferences).await
    }

    /// A notification as its recipient sees it.
    pub async fn get(&self, notification: &Value) -> Value {
        let api = Api::new(http::get_notification::router(self.table.clone())).admin();
        let answer = api.get(&format!("/api/notifications/{}", notification["id"])).await;
        assert!(answer.status.is_success(), "{}", answer.body);
        answer.body
    }

    pub async fn history(&self, user_id: u64, query: &str) -> Answer {
        let api = Api::new(http::notifications_by_user::router(self.table.clone())).customer(user_id);
        api.get(&format!("/api/notifications/user/{user_id}{query}")).await
    }

    /// Runs the job that wakes what quiet hours held back, as if it were that moment.
    pub async fn wake(&self, now: Timestamp) -> usize {
        Wake { table: self.table.clone() }.run(now).await.unwrap()
    }

    /// The text of a new API key with this scope.
    pub async fn key(&self, scope: Scope) -> String {
        testing::api_key(&self.platform, scope).await
    }

    pub fn of_type(&self, item_type: &str) -> Vec<Value> {
        self.database.items_of_type(&self.table, item_type)
    }

    /// The published events of this type, oldest first.
    pub fn events(&self, event_type: &str) -> Vec<Envelope> {
        let events = self.database.published(&self.table).into_iter();
        events.filter(|event| event.event_type == event_type).collect()
    }
}
