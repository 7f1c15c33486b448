//! `basic_auth_users`: names with bcrypt hashes of their passwords.

use std::collections::BTreeMap;
use std::str::FromStr;

use bcrypt::HashParts;

use crate::config::Secret;
use crate::config::given::{shown_key, swallowed};
use crate::config::yaml::Node;

use super::section::{Findings, map};

/// The costs that a hash may have. Each step doubles the time: 10 takes some 50 ms, 18 already a quarter of a minute.
const COSTS: std::ops::RangeInclusive<u32> = 4..=18;

/// Hashes by user.
#[derive(Clone, Debug, Default)]
pub struct Users(BTreeMap<String, Secret>);

impl Users {
    /// Whether nobody is named, so that everybody is let in.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The hash of this user's password.
    pub fn hash(&self, user: &str) -> Option<&Secret> {
        self.0.get(user)
    }

    /// One of the hashes, the same for the same number; `None` if there is none at all.
    pub fn any_hash(&self, number: usize) -> Option<&Secret> {
        self.0.values().nth(number.checked_rem(self.0.len())?)
    }
}

/// Reads the section.
pub(super) fn read(node: Node, findings: &mut Findings) -> Users {
    const SECTION: &str = "basic_auth_users";
    let mut users = BTreeMap::new();
    for (user, hash) in map(SECTION, node, findings).unwrap_or_default() {
        // Without a blank behind the colon, or without a hash, what was meant to be it may be part of the name.
        let shown = |user: &str| format!("{SECTION}.{}", shown_key(user)).trim_end_matches('.').to_owned();
        if user.is_empty() || user.contains(':') || user.chars().any(char::is_control) {
            let what = "a user's name has no colon and no control characters, and is not empty";
            let what = match swallowed(&user) {
                Some(missing) => format!("{missing}; {what}"),
                None => what.to_owned(),
            };
            findings.refuse(&shown(&user), None, what);
            continue;
        }
        let key = if hash == Node::Null { shown(&user) } else { format!("{SECTION}.{user}") };
        match hash_in(hash) {
            Ok(hash) => {
                if users.insert(user, Secret::new(hash)).is_some() {
                    findings.refuse(&key, None, "it is given twice; keep one");
                }
            }
            Err(what) => findings.refuse(&key, None, what),
        }
    }
    Users(users)
}

/// The hash; it is not shown in the error, for it may be a password.
fn hash_in(node: Node) -> Result<String, String> {
    const WANTED: &str =
        "a bcrypt hash of the password is wanted; make one with `htpasswd -nBC 10 \"\" | tr -d ':\\n'`";
    let Node::Text(hash) = node else { return Err(WANTED.to_owned()) };
    match HashParts::from_str(&hash) {
        Ok(parts) if COSTS.contains(&parts.get_cost()) => Ok(hash),
        Ok(parts) => Err(format!(
            "its cost is {}, and one from {} to {} is wanted: each step doubles the time of a check",
            parts.get_cost(),
            COSTS.start(),
            COSTS.end()
        )),
        Err(why) => Err(format!("{WANTED} (this is none: {why})")),
    }
}
