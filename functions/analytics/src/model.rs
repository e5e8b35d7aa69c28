//! Versions of the read model: the one that answers, and the one that may be being built beside it.

use std::fmt;

use serde::{Deserialize, Serialize};
use shared::table::{Item, Key, Table, TableError, Transaction};
use utoipa::ToSchema;

/// One version of the read model. Each has buckets of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Model(pub u32);

impl Model {
    /// The one that is there before any rebuild.
    pub const FIRST: Self = Self(1);
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which version of the read model does what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Models {
    /// The one that answers.
    pub active: Model,
    /// The one that a rebuild fills. Events go to it and to the active one.
    pub building: Option<Model>,
    /// Those that answer no more and still have buckets.
    pub retired: Vec<Model>,
    /// The last that was begun.
    last: Model,
    version: u64,
}

impl Default for Models {
    fn default() -> Self {
        Self { active: Model::FIRST, building: None, retired: Vec::new(), last: Model::FIRST, version: 0 }
    }
}

impl Item for Models {
    const TYPE: &'static str = "models";

    fn key(&self) -> Key {
        Key::new("MODELS", "MODELS")
    }

    fn version(&self) -> Option<u64> {
        Some(self.version)
    }
}

/// A version cannot be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("version {0} is in use, or there is none of this number")]
pub struct InUse(pub Model);

impl Models {
    /// The versions as they are now: one GetItem.
    pub async fn read(table: &Table) -> Result<Self, TableError> {
        Ok(table.get(&Self::default().key()).await?.unwrap_or_default())
    }

    /// The versions that events are applied to.
    pub fn live(&self) -> impl Iterator<Item = Model> {
        [Some(self.active), self.building].into_iter().flatten()
    }

    /// Begins a new version, unless one is being built already; that is then gone on with.
    pub fn begin(&mut self) -> Model {
        *self.building.get_or_insert_with(|| {
            self.last = Model(self.last.0 + 1);
            self.last
        })
    }

    /// Lets the version being built answer from now on.
    pub fn switch(&mut self) {
        if let Some(built) = self.building.take() {
            self.retired.push(std::mem::replace(&mut self.active, built));
        }
    }

    /// Gives up the version being built.
    pub fn abandon(&mut self) {
        self.retired.extend(self.building.take());
    }

    /// Forgets a version, whose buckets are gone.
    ///
    /// # Errors
    /// When it is not retired.
    pub fn forget(&mut self, model: Model) -> Result<(), InUse> {
        let at = self.retired.iter().position(|retired| *retired == model).ok_or(InUse(model))?;
        self.retired.remove(at);
        Ok(())
    }

    /// Stores the versions if nobody else has changed them since they were read.
    pub async fn save(&mut self, table: &Table) -> Result<(), TableError> {
        self.version += 1;
        let transaction = Transaction::new();
        let transaction = if self.version == 1 { transaction.insert(self) } else { transaction.replace(self) };
        table.commit(transaction).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rebuild_that_was_interrupted_goes_on_with_the_same_version() {
        let mut models = Models::default();
        assert_eq!((models.begin(), models.begin()), (Model(2), Model(2)));
        assert_eq!(models.live().collect::<Vec<_>>(), [Model(1), Model(2)]);
    }

    #[test]
    fn a_number_is_never_used_again() {
        let mut models = Models::default();
        models.begin();
        models.abandon();
        assert_eq!(models.begin(), Model(3));
        models.switch();
        assert_eq!(
            (models.active, models.building, models.retired.clone()),
            (Model(3), None, vec![Model(2), Model(1)])
        );
        assert_eq!(models.forget(Model(3)), Err(InUse(Model(3))));
        assert_eq!(models.forget(Model(2)), Ok(()));
        assert_eq!(models.retired, [Model(1)]);
    }
}
