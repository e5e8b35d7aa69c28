//! Following the functions' logs, which the emulator keeps as CloudWatch Logs.

use std::{
    collections::HashSet,
    thread::sleep,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::{
    emulator, http,
    settings::{STACK, Settings},
};

const INTERVAL: Duration = Duration::from_millis(700);
/// How far back the first look goes.
const BACKLOG: Duration = Duration::from_secs(60);

/// Prints what the functions log, as it comes, until interrupted.
pub fn follow(settings: &Settings, service: Option<&str>) -> Result<()> {
    if emulator::running(settings).is_none() {
        bail!("The local stack is down. Start it with: make up");
    }
    let prefix = format!("/aws/lambda/{STACK}-{}", service.map(|name| format!("{name}-")).unwrap_or_default());
    let mut seen: HashSet<String> = HashSet::new();
    let mut since = now().saturating_sub(BACKLOG);
    loop {
        let next = now().saturating_sub(Duration::from_secs(5));
        let mut lines = Vec::new();
        for group in groups(settings, &prefix) {
            lines.extend(events(settings, &group, since));
        }
        lines.sort_by_key(|(time, ..)| *time);
        // The emulator writes each call's lines at once, into a log stream of its own.
        lines.retain(|(_, stream, _)| !seen.contains(stream));
        for (_, stream, line) in lines {
            println!("{line}");
            seen.insert(stream);
        }
        since = since.max(next);
        sleep(INTERVAL);
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn groups(settings: &Settings, prefix: &str) -> Vec<String> {
    let mut groups = Vec::new();
    let mut token = Value::Null;
    loop {
        let mut request = json!({"logGroupNamePrefix": prefix, "limit": 50});
        if !token.is_null() {
            request["nextToken"] = token;
        }
        let Some(answer) = http::aws(&settings.emulator_url(), "Logs_20140328.DescribeLogGroups", &request) else {
            return groups;
        };
        let found = answer["logGroups"].as_array().into_iter().flatten();
        groups.extend(found.filter_map(|group| group["logGroupName"].as_str().map(str::to_owned)));
        token = answer["nextToken"].clone();
        if token.is_null() {
            return groups;
        }
    }
}

/// Time, log stream and text of each event of a group since a moment.
fn events(settings: &Settings, group: &str, since: Duration) -> Vec<(i64, String, String)> {
    let request = json!({"logGroupName": group, "startTime": u64::try_from(since.as_millis()).unwrap_or_default()});
    let Some(answer) = http::aws(&settings.emulator_url(), "Logs_20140328.FilterLogEvents", &request) else {
        return Vec::new();
    };
    let function = group.trim_start_matches("/aws/lambda/");
    let events = answer["events"].as_array().into_iter().flatten();
    let is_noise = |text: &str| {
        ["START ", "END ", "REPORT "].iter().any(|start| text.starts_with(start)) || text.contains("\"_aws\"")
    };
    events
        .filter_map(|event| {
            let text = event["message"].as_str()?.trim_end();
            let stream = format!("{group}{}", event["logStreamName"]);
            (!is_noise(text))
                .then(|| (event["timestamp"].as_i64().unwrap_or_default(), stream, format!("{function}  {text}")))
        })
        .collect()
}
