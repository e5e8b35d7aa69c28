//! Showing what was sent: the emulator delivers nothing and keeps everything.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{emulator, http, settings::Settings};

/// How many e-mails are shown, and how many SMS for each number: the latest.
const SHOWN: usize = 20;

/// Prints the e-mails, oldest first, and the SMS that were sent; to this recipient only, if one is given.
pub fn show(settings: &Settings, to: Option<&str>) -> Result<()> {
    emulator::must_run(settings)?;
    let mails = mails(&ask(settings, "/_ministack/ses/messages")?, to);
    let sms = sms(&ask(settings, "/_ministack/sns/sms-messages")?, to);
    if mails.is_empty() && sms.is_empty() {
        println!("Nothing was sent since the stack was started.");
    }
    mails.iter().chain(&sms).for_each(|text| println!("{text}\n"));
    Ok(())
}

fn ask(settings: &Settings, path: &str) -> Result<Value> {
    let url = format!("{}{path}", settings.emulator_url());
    http::get(&url, Duration::from_secs(5)).context("The emulator does not answer.")
}

fn mails(answer: &Value, to: Option<&str>) -> Vec<String> {
    let accounts = answer["messages"].as_object().into_iter().flatten();
    let mut mails: Vec<&Value> = accounts.flat_map(|(_, mails)| mails.as_array().into_iter().flatten()).collect();
    mails.retain(|mail| to.is_none_or(|to| recipients(mail).contains(&to)));
    mails.sort_by(|a, b| sent_at(a).total_cmp(&sent_at(b)));
    latest(&mails).iter().map(|mail| mail_text(mail)).collect()
}

fn latest<T>(all: &[T]) -> &[T] {
    &all[all.len().saturating_sub(SHOWN)..]
}

fn recipients(mail: &Value) -> Vec<&str> {
    mail["To"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// In seconds since the Unix epoch.
fn sent_at(mail: &Value) -> f64 {
    mail["Timestamp"].as_f64().unwrap_or_default()
}

fn mail_text(mail: &Value) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let field = |name: &str| mail[name].as_str().unwrap_or_default();
    format!(
        "E-mail, {:.0} s ago\nFrom:    {}\nTo:      {}\nSubject: {}\n\n{}",
        now - sent_at(mail),
        field("Source"),
        recipients(mail).join(", "),
        field("Subject"),
        indented(field("BodyText")),
    )
}

fn sms(answer: &Value, to: Option<&str>) -> Vec<String> {
    let numbers = answer["sms_messages"].as_object().into_iter().flatten();
    let wanted = numbers.filter(|(number, _)| to.is_none_or(|to| to == number.as_str()));
    let messages = wanted.flat_map(|(number, messages)| {
        let messages = latest(messages.as_array().map(Vec::as_slice).unwrap_or_default());
        messages.iter().map(move |message| (number, message["Message"].as_str().unwrap_or_default()))
    });
    messages.map(|(number, text)| format!("SMS\nTo:      {number}\n\n{}", indented(text))).collect()
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", format!("  {line}").trim_end())).collect::<String>().trim_end().to_owned()
}
