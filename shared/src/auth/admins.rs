use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    id::Id,
    table::{Item, Key, Table, TableError, Transaction},
};

/// Who the admins are, in a service whose change could leave the system without any.
///
/// One item of the service's table, which changes in the transaction that makes somebody an admin or an
/// admin somebody else. Of two that would leave none, one fails.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admins {
    ids: BTreeSet<Id>,
    version: u64,
}

impl Item for Admins {
    const TYPE: &'static str = "admins";

    fn key(&self) -> Key {
        admins_key()
    }

    fn version(&self) -> Option<u64> {
        Some(self.version)
    }
}

fn admins_key() -> Key {
    Key::new("ADMINS", "ADMINS")
}

impl Admins {
    /// The admins as this table knows them: one GetItem.
    pub async fn read(table: &Table) -> Result<Self, TableError> {
        Ok(table.get(&admins_key()).await?.unwrap_or_default())
    }

    /// Whether nobody else is known to be an admin.
    pub fn has_none_but(&self, id: Id) -> bool {
        self.ids.iter().all(|admin| *admin == id)
    }

    /// Stores that this is an admin too.
    pub fn joined_by(&self, id: Id) -> Transaction {
        self.changed(|ids| ids.insert(id))
    }

    /// Stores that this is no admin any more.
    pub fn left_by(&self, id: Id) -> Transaction {
        self.changed(|ids| ids.remove(&id))
    }

    fn changed(&self, change: impl FnOnce(&mut BTreeSet<Id>) -> bool) -> Transaction {
        let mut after = Self { version: self.version + 1, ..self.clone() };
        match (change(&mut after.ids), self.version) {
            (false, _) => Transaction::new(),
            (true, 0) => Transaction::new().insert(&after),
            (true, _) => Transaction::new().replace(&after),
        }
    }
}
