//! The policies allow what the functions do: none was refused anything while the suite ran, which `make e2e` runs
//! before this.

use std::collections::BTreeMap;

use anyhow::Result;
use e2e::{Stack, emulator::Feature, functions_log, policy};

#[test]
fn no_function_was_refused_what_it_asked_for() -> Result<()> {
    if !Feature::Policies.is_there() {
        return Ok(());
    }
    let stack = Stack::from_env()?;
    assert_eq!(policy::refused(stack.home(), &functions_log()?)?, BTreeMap::new());
    Ok(())
}
