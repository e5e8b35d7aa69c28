use anyhow::{Context, Result};
use auth::{audit::Origin, store};
use shared::{auth::Admins, event::Role};

use crate::stack::Stack;

/// Gives an account another role; not the last admin.
pub async fn set_role(stack: &Stack, username: &str, role: Role) -> Result<()> {
    let table = stack.table("auth");
    let id = store::account_id(&table, username).await?.with_context(|| format!("nobody is called {username}"))?;
    let account = store::account(&table, id).await?.with_context(|| format!("{username} has no account"))?;
    let admins = Admins::read(&table).await?;
    table.commit(store::role_change(&account, &admins, role, &Origin::operator())?).await?;
    Ok(())
}
