//! What is wrong with a configuration, all of it at once.

use std::fmt;

/// One thing that makes the configuration unusable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, or the name under which something unknown was given.
    pub key: String,
    /// The offending value as it may be shown: quoted, credentials replaced; `None` if there is none to show.
    pub value: Option<String>,
    /// Where the value came from, unless from the default.
    pub place: Option<String>,
    /// What is wrong and what to do about it.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        if let Some(place) = &self.place {
            write!(f, " ({place})")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Every problem of a configuration; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    /// Each problem, in the order of the settings.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "the configuration cannot be used ({count} {}):", if count == 1 { "problem" } else { "problems" })?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}
