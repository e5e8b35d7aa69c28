use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// What stands in a sample for something that a stack has and a file cannot: each with what it is.
///
/// None is part of another.
pub const PLACEHOLDERS: [(&str, &str); 14] = [
    ("ACCESS_TOKEN", "an admin's access token"),
    ("API_KEY", "an API key with every scope"),
    ("FRESH_NAME", "a name that nobody has"),
    ("CUSTOMER_TOKEN", "the access token of somebody new"),
    ("USER_ID", "their id"),
    ("USERNAME", "their user name"),
    ("PASSWORD", "their password"),
    ("ONE_TIME_CODE", "the code that confirms a second factor they have just enrolled"),
    ("RECOVERY_CODE", "a recovery code of the second factor they have"),
    ("ORDER_ID", "an order of theirs: one laptop, paid for if the sample names a payment"),
    ("PAYMENT_ID", "the payment for that order"),
    ("NOTIFICATION_ID", "a notification they were sent"),
    ("PRODUCT_ID", "a new product"),
    ("KEY_ID", "a new API key's id"),
];

const CREDENTIALS: [&str; 3] = ["ACCESS_TOKEN", "API_KEY", "CUSTOMER_TOKEN"];

/// A file of `events/`: what AWS sends to a function.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The function that it is for: `orders-create`.
    pub function: String,
    /// The folder that it is in, which is its service's: `orders`.
    pub service: String,
    pub file: PathBuf,
    pub text: String,
}

impl Sample {
    /// Every sample of this repository, by the name of its function.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn all(root: &Path) -> Result<BTreeMap<String, Self>> {
        let mut samples = BTreeMap::new();
        for folder in entries(&root.join("events"))?.into_iter().filter(|folder| folder.is_dir()) {
            for file in entries(&folder)? {
                let sample = Self {
                    function: stem(&file)?,
                    service: stem(&folder)?,
                    text: fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?,
                    file,
                };
                samples.insert(sample.function.clone(), sample);
            }
        }
        Ok(samples)
    }

    /// Whether this placeholder is in it. Credentials come with requests alone: an item in a stream may
    /// have the same word for its key.
    pub fn names(&self, placeholder: &str) -> bool {
        let possible = self.is_request() || !CREDENTIALS.contains(&placeholder);
        possible && self.text.contains(placeholder)
    }

    /// Whether it is a request of API Gateway's.
    pub fn is_request(&self) -> bool {
        self.text.contains("\"httpMethod\"")
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn stem(path: &Path) -> Result<String> {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    Ok(stem.with_context(|| format!("{} has no name", path.display()))?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_placeholder_is_part_of_another() {
        for (name, _) in PLACEHOLDERS {
            let containing = PLACEHOLDERS.iter().filter(|(other, _)| other.contains(name)).count();
            assert_eq!(containing, 1, "{name}");
        }
    }
}
