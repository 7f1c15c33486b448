//! A value as somebody gave it, not yet understood.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

use super::secret::Secret;
use super::settings::{Kind, Setting};

/// Who gave a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A flag, without its dashes.
    Flag(String),
    /// An environment variable.
    Environment(String),
    /// The file of this name.
    File(String),
    /// The command that runs.
    Command,
    /// Nobody.
    Default,
}

impl Source {
    /// Whether the value came out of this environment variable.
    pub(super) fn is_environment(&self, name: &str) -> bool {
        matches!(self, Self::Environment(variable) if variable == name)
    }

    /// How a message names the place; a default needs no name.
    pub(super) fn place(&self) -> Option<String> {
        (!matches!(self, Self::Default)).then(|| self.to_string())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Environment(name) | Self::File(name) => f.write_str(name),
            Self::Command => f.write_str("set by the command"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The text of a value and who gave it. Without `Debug`, for it may hold a credential.
#[derive(Clone)]
pub(super) struct Given {
    /// Overwritten when it is dropped.
    pub(super) text: Zeroizing<String>,
    pub(super) source: Source,
}

/// Values by key.
pub(super) type Layer = BTreeMap<&'static str, Given>;

/// A value as a message may show it.
pub(super) fn shown(setting: &Setting, text: &str) -> String {
    match setting.kind {
        _ if setting.secret => Secret::SHOWN.to_owned(),
        Kind::Url => quoted(&without_credentials(text)),
        _ => quoted(text),
    }
}

/// Text in quotes, cut short where it is long: a message is no place for a whole file given by mistake.
pub(crate) fn quoted(text: &str) -> String {
    const MOST: usize = 120;
    match text.char_indices().nth(MOST) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", &text[..end]),
    }
}

/// A key as a message may show it: as far as it is written like one, and not at length. What follows may be a secret, for
/// without a blank behind the colon all of `client_secret:hunter2` is a key.
pub(crate) fn shown_key(key: &str) -> &str {
    const MOST: usize = 64;
    let end = key.char_indices().take(MOST).find(|(_, letter)| !is_of_key(*letter));
    let end = end.or_else(|| key.char_indices().nth(MOST)).map_or(key.len(), |(end, _)| end);
    key[..end].trim_end_matches('.')
}

const fn is_of_key(letter: char) -> bool {
    matches!(letter, 'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' | '.')
}

/// What is missing from a key that has swallowed its value.
pub(crate) fn swallowed(key: &str) -> Option<&'static str> {
    match key.chars().find(|letter| !is_of_key(*letter))? {
        ':' => Some("a blank is wanted behind the colon"),
        '=' => Some("a colon and a blank are wanted in place of ="),
        _ => None,
    }
}

/// A URL, or what was meant to be one, without user, password, query and fragment.
pub(super) fn without_credentials(url: &str) -> String {
    let (rest, query) = match url.find(['?', '#']) {
        Some(at) => (&url[..at], format!("{}{}", &url[at..=at], Secret::SHOWN)),
        None => (url, String::new()),
    };
    // A password may hold any of `?#/@`: whatever stands before the last `@` of the whole is taken for credentials.
    match url.rfind('@') {
        None => format!("{rest}{query}"),
        Some(at) => {
            let scheme = url.find("://").filter(|end| *end < at).map_or("", |end| &url[..end + 3]);
            let host = url[at + 1..].split(['?', '#']).next().unwrap_or_default();
            format!("{scheme}{}@{host}", Secret::SHOWN)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_credentials() {
        for (url, seen) in [
            ("https://api.jelou.ai/x", "https://api.jelou.ai/x"),
            ("https://me:pw@host/x", "https://<secret>@host/x"),
            ("https://me:p?w@host/x", "https://<secret>@host/x"),
            ("https://me:p@w@host?key=pw", "https://<secret>@host"),
            ("me:pw@host", "<secret>@host"),
            ("https://host/?token=pw", "https://host/?<secret>"),
            ("https://host/#pw", "https://host/#<secret>"),
        ] {
            assert_eq!(without_credentials(url), seen, "{url}");
        }
    }

    #[test]
    fn a_key_is_shown_as_far_as_it_is_one() {
        for (key, seen, what) in [
            ("api.client-secret_2", "api.client-secret_2", None),
            ("api.client_secret:hunter2", "api.client_secret", Some("a blank is wanted behind the colon")),
            ("api.client_secret=hunter2", "api.client_secret", Some("a colon and a blank are wanted in place of =")),
            ("api.client_secret hunter2", "api.client_secret", None),
            ("api.\nhunter2", "api", None),
            (":hunter2", "", Some("a blank is wanted behind the colon")),
            ("é", "", None),
        ] {
            assert_eq!((shown_key(key), swallowed(key)), (seen, what), "{key}");
        }
        assert_eq!(shown_key(&"k".repeat(200)).len(), 64);
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(quoted("a\nb"), "\"a\\nb\"");
        assert_eq!(quoted(&"é".repeat(200)).chars().count(), 120 + 2 + 3);
    }
}
