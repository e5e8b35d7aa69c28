//! Who may do what: the tables of `docs/access.md`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context, Result};

/// A row of the table of routes.
#[derive(Clone, Debug)]
pub struct Row {
    /// `GET /api/orders/{id}`
    pub route: String,
    pub function: String,
    /// `O`
    pub class: String,
    /// The scope that an API key needs; empty where keys are not taken.
    pub scope: String,
}

/// What the page says.
#[derive(Clone, Debug)]
pub struct Access {
    /// In the page's order.
    pub rows: Vec<Row>,
    /// Who may, by the access.
    pub who: BTreeMap<String, String>,
    /// The statuses that callers are refused with, by the access.
    pub refusals: BTreeMap<String, BTreeSet<u16>>,
}

impl Access {
    /// # Errors
    /// When one of the three tables is missing or has other columns.
    pub fn parse(page: &str) -> Result<Self> {
        let rows = table(page, "route", 5)?.into_iter().map(|cells| {
            let (class, scope) = cells["access"].split_once(' ').unwrap_or((&cells["access"], ""));
            let (class, scope) = (class.to_owned(), scope.to_owned());
            Row { route: cells["route"].clone(), function: cells["function"].clone(), class, scope }
        });
        let who = table(page, "access", 2)?.into_iter().map(|row| (bare(&row["access"]), row["who may"].clone()));
        let refusals = table(page, "access", 12)?.into_iter().map(|row| {
            let statuses = row.values().filter_map(|cell| cell.parse().ok()).collect();
            (row["access"].clone(), statuses)
        });
        Ok(Self { rows: rows.collect(), who: who.collect(), refusals: refusals.collect() })
    }
}

fn bare(cell: &str) -> String {
    cell.trim_matches('*').to_owned()
}

/// The rows of the table whose first header is this, by the headers' names.
fn table(page: &str, first: &str, columns: usize) -> Result<Vec<HashMap<String, String>>> {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    let is_header = |line: &&str| {
        let names = cells(line);
        line.starts_with('|') && names.len() == columns && names.first().is_some_and(|name| name == first)
    };
    let mut lines = page.lines().skip_while(|line| !is_header(line));
    let names = cells(lines.next().with_context(|| format!("there is no table of {columns} columns from {first}"))?);
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    Ok(rows.map(|line| names.iter().cloned().zip(cells(line)).collect()).collect())
}
