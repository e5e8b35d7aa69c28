//! An account: who somebody is, and whether they may sign in.

use garde::Validate;
use serde::{Deserialize, Serialize};
use shared::{
    event::{AccountUpdated, Role, UserRegistered},
    id::Id,
    text::not_blank,
    time::Timestamp,
};
use unicode_normalization::UnicodeNormalization;
use unicode_security::skeleton;
use utoipa::ToSchema;

use crate::password;

/// The body of a registration. There is no way to ask for a role.
#[derive(Clone, Deserialize, Serialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    #[garde(length(chars, min = 3, max = 64), pattern(r"^[A-Za-z0-9._-]+$"))]
    #[schema(min_length = 3, max_length = 64, pattern = "^[A-Za-z0-9._-]+$")]
    pub username: String,
    #[garde(email, length(max = 254))]
    #[schema(max_length = 254, format = Email)]
    pub email: String,
    /// The user name when absent.
    #[garde(inner(custom(not_blank), length(chars, max = 200)))]
    #[schema(min_length = 1, max_length = 200)]
    pub name: Option<String>,
    /// Left out of what an `Idempotency-Key` is compared by: not even a digest of it is stored there.
    #[serde(skip_serializing_if = "always", deserialize_with = "password::read")]
    #[garde(length(chars, min = 8, max = 128))]
    #[schema(min_length = 8, max_length = 128, format = Password, required = true)]
    pub password: String,
}

/// A change of one's own name and e-mail address.
#[derive(Clone, Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountChange {
    #[garde(inner(custom(not_blank), length(chars, max = 200)))]
    #[schema(min_length = 1, max_length = 200)]
    pub name: Option<String>,
    #[garde(inner(email, length(max = 254)))]
    #[schema(max_length = 254, format = Email)]
    pub email: Option<String>,
}

fn always<T>(_: &T) -> bool {
    true
}

/// An account as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Account, example = json!({
    "id": 2, "username": "anna", "email": "anna@example.com", "name": "Anna Example", "role": "customer",
    "created_at": "2026-01-15T10:30:45.123Z", "mfa_enabled": false,
}))]
pub struct Profile {
    pub id: Id,
    pub username: String,
    pub email: String,
    pub name: String,
    pub role: Role,
    pub created_at: Timestamp,
    /// Whether signing in takes a second factor.
    #[serde(default)]
    pub mfa_enabled: bool,
}

/// An account as it is stored. The password's hash is kept in an item of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    #[serde(flatten)]
    pub profile: Profile,
    /// Nobody may sign in to it any more.
    pub disabled: bool,
    /// Sessions that began under another value of this are over, but for `kept_session`.
    pub sessions_since: Timestamp,
    pub kept_session: Option<String>,
    pub updated_at: Timestamp,
    pub version: u64,
}

impl Account {
    pub fn new(id: Id, registration: &Registration, role: Role) -> Self {
        let now = Timestamp::now();
        let name = registration.name.as_deref().unwrap_or(&registration.username).trim();
        Self {
            profile: Profile {
                id,
                username: registration.username.clone(),
                email: registration.email.trim().to_owned(),
                name: name.to_owned(),
                role,
                created_at: now,
                mfa_enabled: false,
            },
            disabled: false,
            sessions_since: now,
            kept_session: None,
            updated_at: now,
            version: 1,
        }
    }

    /// The account with another name and e-mail since `now`, one version on.
    #[must_use]
    pub fn renamed(&self, name: &str, email: &str, now: Timestamp) -> Self {
        let profile = Profile { name: name.trim().to_owned(), email: email.trim().to_owned(), ..self.profile.clone() };
        Self { profile, updated_at: now, version: self.version + 1, ..self.clone() }
    }

    /// The account after every session but one has ended.
    #[must_use]
    pub fn with_only_session(&self, kept: &str) -> Self {
        let now = Timestamp::now();
        Self { sessions_since: now, kept_session: Some(kept.to_owned()), version: self.version + 1, ..self.clone() }
    }

    /// The account with or without a second factor.
    #[must_use]
    pub fn with_mfa(&self, enabled: bool) -> Self {
        let profile = Profile { mfa_enabled: enabled, ..self.profile.clone() };
        Self { profile, version: self.version + 1, ..self.clone() }
    }

    /// The account with another role, for which everybody has to sign in anew.
    #[must_use]
    pub fn with_role(&self, role: Role, now: Timestamp) -> Self {
        let profile = Profile { role, ..self.profile.clone() };
        Self { profile, updated_at: now, ..self.with_only_session("") }
    }

    /// The account that nobody may sign in to.
    #[must_use]
    pub fn disable(&self) -> Self {
        Self { disabled: true, version: self.version + 1, ..self.clone() }
    }

    pub fn registered_event(&self) -> UserRegistered {
        let Profile { id, username, email, name, role, .. } = self.profile.clone();
        UserRegistered { user_id: id, username, email, name, role }
    }

    pub fn updated_event(&self) -> AccountUpdated {
        let Profile { id, email, name, .. } = self.profile.clone();
        AccountUpdated { user_id: id, email, name, role: None }
    }
}

/// The form in which names are compared for looking alike: the skeleton of Unicode's Technical Standard
/// 39, whatever the case of each letter and with `i` as `l`, whose capital looks like one, so that `alice`,
/// `ALICE`, `aIice` and `a1ice` are the same. Other scripts need no comparing: a name has ASCII letters
/// only, as has an address.
pub fn appearance(name: &str) -> String {
    // The skeleton of a capital is not that of its small letter: `M` is itself and `m` is `rn`. And of what
    // has no case it may be a capital: `0` is `O`.
    let small = name.nfkc().collect::<String>().to_lowercase();
    skeleton(&small).collect::<String>().to_lowercase().replace('i', "l")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_look_alike_are_told_by_their_appearance() {
        for lookalike in ["aIice", "a1ice", "ALICE", "al1CE"] {
            assert_eq!(appearance(lookalike), appearance("alice"), "{lookalike}");
        }
        for lookalike in ["adrnin", "ADM1N", "AdMlN", "ADRNIN"] {
            assert_eq!(appearance(lookalike), appearance("admin"), "{lookalike}");
        }
        assert_eq!(appearance("b0b"), appearance("bob"));
        let numbered: std::collections::HashSet<_> = (0..1000).map(|n| appearance(&format!("user{n}"))).collect();
        assert_eq!(numbered.len(), 1000);
    }

    proptest! {
        #[test]
        fn no_letters_case_makes_a_name_look_different(
            letters in prop::collection::vec(("[A-Za-z0-9._-]", any::<bool>()), 3..=64),
        ) {
            let name: String = letters.iter().map(|(letter, _)| letter.as_str()).collect();
            let change = |(letter, upper): &(String, bool)| {
                if *upper { letter.to_uppercase() } else { letter.to_lowercase() }
            };
            let changed: String = letters.iter().map(change).collect();
            prop_assert_eq!(appearance(&changed), appearance(&name));
        }
    }
}
