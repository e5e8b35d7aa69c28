use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{Context, Result};
use auth::{
    account::{Account, Registration},
    audit::{AuditEntry, AuditEvent, Origin, role_subject},
};
use serde::{Deserialize, Serialize};
use shared::{
    auth::{Admins, Scope},
    event::Role,
    id::Id,
    table::{TableError, Transaction},
};

use crate::{api_keys, demo, passwords, signing_key::KeyRing, stack::Stack};

/// What is needed to use a local stack.
#[derive(Serialize, Deserialize)]
struct Local {
    base_url: String,
    admin: Login,
    customer: Login,
    api_key: String,
}

#[derive(Serialize, Deserialize)]
struct Login {
    username: String,
    password: String,
}

/// Somebody to make an account for.
pub struct Person<'a> {
    pub id: Id,
    pub username: &'a str,
    pub name: Option<&'a str>,
    pub email: &'a str,
}

const ALICE: Person<'_> =
    Person { id: demo::id(1), username: "alice", name: Some("Alice Johnson"), email: "alice@example.com" };
const BOB: Person<'_> = Person { id: demo::id(2), username: "bob", name: Some("Bob Smith"), email: "bob@example.com" };

/// Makes a new local stack ready to use, and prints how. Does no more than is missing.
pub async fn init(stack: &Stack, key_file: &Path, base_url: &str, output: &Path) -> Result<()> {
    KeyRing::read_or_make(key_file)?.store(stack, key_file).await?;
    let local = match existing(stack, output).await? {
        Some(local) => Local { base_url: base_url.to_owned(), ..local },
        None => make(stack, base_url).await?,
    };
    write(output, &local)?;
    demo::load(stack).await?;
    print(&local, output);
    Ok(())
}

/// What the output file says, if it is about this stack: its admin exists in it.
async fn existing(stack: &Stack, output: &Path) -> Result<Option<Local>> {
    let known = fs::read_to_string(output).ok().and_then(|text| serde_json::from_str::<Local>(&text).ok());
    let table = stack.table("auth");
    let admin = auth::store::account(&table, ALICE.id).await.context("the accounts cannot be read")?;
    Ok(known.filter(|_| admin.is_some()))
}

async fn make(stack: &Stack, base_url: &str) -> Result<Local> {
    let (admin, customer) = (passwords::random()?, passwords::random()?);
    make_account(stack, &ALICE, Role::Admin, &admin).await?;
    make_account(stack, &BOB, Role::Customer, &customer).await?;
    let api_key = api_keys::make(stack, "local", None, &Scope::ALL, api_keys::REQUESTS_PER_SECOND).await?;
    Ok(Local {
        base_url: base_url.to_owned(),
        admin: Login { username: ALICE.username.to_owned(), password: admin },
        customer: Login { username: BOB.username.to_owned(), password: customer },
        api_key,
    })
}

/// Makes an account, or gives it this password if it exists.
pub async fn make_account(stack: &Stack, person: &Person<'_>, role: Role, password: &str) -> Result<()> {
    let table = stack.table("auth");
    let hash = auth::password::hash(password)?;
    let registration = Registration {
        username: person.username.to_owned(),
        email: person.email.to_owned(),
        name: person.name.map(str::to_owned),
        password: password.to_owned(),
    };
    let account = Account::new(person.id, &registration, role);
    let entry = |event, id| AuditEntry::new(event, &Origin::operator()).user(id);
    let made = entry(AuditEvent::Registered, person.id).subject(role_subject(role));
    let admins = match role {
        Role::Admin => Admins::read(&table).await?.joined_by(person.id),
        _ => Transaction::new(),
    };
    match table.commit(auth::store::insertion(&account, &hash).insert(&made).and(admins)).await {
        Err(TableError::Failed(_)) => {
            let stored = auth::store::account(&table, person.id).await?;
            let stored = stored.with_context(|| format!("somebody else is called {}", person.username))?;
            let changed = auth::store::password_change(&stored.with_only_session(""), &hash);
            table.commit(changed.insert(&entry(AuditEvent::PasswordChanged, person.id))).await?;
        }
        result => result?,
    }
    Ok(())
}

fn write(output: &Path, local: &Local) -> Result<()> {
    if let Some(folder) = output.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(output)?;
    file.write_all(serde_json::to_string_pretty(local)?.as_bytes())?;
    Ok(())
}

fn print(local: &Local, output: &Path) {
    let Local { base_url, admin, customer, api_key } = local;
    println!(
        r#"
  API        {base_url}
  admin      {} / {}
  customer   {} / {}
  API key    {api_key}
  (all of it in {})
  mail       make mail    (what the stack sent; nothing leaves this machine)

Buy a laptop:

  TOKEN=$(curl -s {base_url}/auth/token -d "username={}&password={}" | python3 -c 'import json,sys; print(json.load(sys.stdin)["access_token"])')
  ORDER=$(curl -s {base_url}/api/orders -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '{{"user_id": 2, "product_id": 2, "quantity": 1}}' | tee /dev/stderr | python3 -c 'import json,sys; print(json.load(sys.stdin)["id"])')
  curl -s {base_url}/api/payments -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d "{{\"order_id\": $ORDER}}"
"#,
        admin.username,
        admin.password,
        customer.username,
        customer.password,
        output.display(),
        customer.username,
        customer.password,
    );
}
