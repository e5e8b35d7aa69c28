use std::{sync::Arc, time::Duration};

use sensors::{Sensors, consumers::reading_events::ReadingEvents, http};
use serde_json::{Value, json};
use shared::{
    auth::Scope,
    consumer::{self, ConsumerError, Outcome},
    event::Envelope,
    table::Table,
    time::Timestamp,
};
use testing::{Answer, Api, Behaviour, Database, Functions};

/// A sensors service with an empty table, and an auth service that knows every token as good.
pub struct World {
    pub database: Database,
    pub table: Table,
    pub platform: Table,
    pub sensors: Sensors,
    pub functions: Functions,
}

pub fn world() -> World {
    let database = Database::new();
    let (table, platform) = (database.table("sensors"), database.table("platform"));
    let functions = Functions::default();
    functions.set("auth-verify", Behaviour::Answers(200, json!({"valid": true, "user_id": 7, "role": "customer"})));
    World { sensors: Sensors::new(table.clone()), database, table, platform, functions }
}

/// A moment so many milliseconds ago, as text.
pub fn ago(millis: u64) -> String {
    Timestamp::now().minus(Duration::from_millis(millis)).to_string()
}

/// The latest milliseconds so many, the last first, as text.
pub fn moments(count: u64) -> Vec<String> {
    let now = Timestamp::now();
    (0..count).map(|millis| now.minus(Duration::from_millis(millis)).to_string()).collect()
}

impl World {
    /// The endpoint of sensor tests, called by the customer with the id 7.
    pub fn test(&self) -> Api {
        self.test_by_anybody().customer(7)
    }

    pub fn test_by_anybody(&self) -> Api {
        let auth = self.functions.client("auth", &self.platform);
        Api::new(http::test_sensor::router(self.sensors.clone(), auth))
    }

    pub fn ingest(&self) -> Api {
        Api::accepting_keys(http::ingest_readings::router(self.sensors.clone()), &self.platform)
    }

    /// The text of a new API key with this scope.
    pub async fn key(&self, scope: Scope) -> String {
        testing::api_key(&self.platform, scope).await
    }

    /// Sends readings of temperature as an admin.
    pub async fn send(&self, readings: &[Value]) -> Answer {
        self.ingest().admin().post("/api/sensors/temperature/readings", &json!({ "readings": readings })).await
    }

    pub async fn readings(&self, query: &str) -> Answer {
        let api = Api::new(http::list_readings::router(self.sensors.clone())).customer(7);
        api.get(&format!("/api/sensors/temperature/readings{query}")).await
    }

    pub async fn statistics(&self, query: &str) -> Answer {
        let api = Api::new(http::statistics::router(self.sensors.clone())).customer(7);
        api.get(&format!("/api/sensors/temperature/stats{query}")).await
    }

    pub fn consumer(&self) -> ReadingEvents {
        ReadingEvents { table: self.table.clone(), types: self.sensors.types.clone() }
    }

    /// Delivers events in one SQS batch.
    pub async fn deliver(&self, events: Vec<Envelope>) -> Vec<Result<Outcome, Arc<ConsumerError>>> {
        consumer::handle_batch(&self.consumer(), events).await
    }

    /// Delivers every recorded reading once.
    pub async fn process(&self) {
        for outcome in self.deliver(self.events("sensor.reading_recorded")).await {
            outcome.unwrap();
        }
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
