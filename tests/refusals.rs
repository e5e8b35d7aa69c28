//! The policies allow what the functions do: none was refused anything while the rest of the suite ran.
//! Cargo runs test programs in the order of their names.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;
use e2e::{Stack, functions_log, policy};

#[test]
fn no_function_was_refused_what_it_asked_for() -> Result<()> {
    let stack = Stack::from_env()?;
    assert_eq!(policy::refused(stack.home(), &functions_log()?), BTreeMap::new());
    Ok(())
}

#[test]
fn a_refusal_is_found_in_a_log() {
    let log = "{\"reason\":\"User: arn:aws:sts::000000000000:assumed-role/local-Role-1/local-payments-create \
        is not authorized to perform: dynamodb:GetItem because no identity-based policy allows it\"}";
    let refused = policy::refused(Path::new("nowhere"), log);
    assert_eq!(refused["local-payments-create"].iter().collect::<Vec<_>>(), ["dynamodb:GetItem"]);
}
