//! A section of the file whose keys are known, and what is found wrong with them.

use std::path::Path;

use crate::config::given::{quoted, shown_key, swallowed};
use crate::config::nearest::did_you_mean;
use crate::config::problem::Problem;
use crate::config::yaml::{Bare, Node};

use super::WebConfig;

/// What was found so far. A reader that answers `None` has noted why, or there was nothing to read.
pub(super) struct Findings {
    file: String,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Findings {
    pub(super) fn new(file: &Path) -> Self {
        Self { file: file.display().to_string(), problems: Vec::new(), warnings: Vec::new() }
    }

    /// Notes what is wrong with a key. `value` is shown: it must not be a secret.
    pub(super) fn refuse(&mut self, key: &str, value: Option<&str>, what: impl Into<String>) {
        let problem = Problem {
            key: key.to_owned(),
            value: value.map(quoted),
            place: Some(self.file.clone()),
            what: what.into(),
        };
        self.problems.push(problem);
    }

    pub(super) fn warn(&mut self, key: &str, what: &str) {
        self.warnings.push(format!("{key} ({}): {what}", self.file));
    }

    pub(super) fn into_result(self, config: Option<WebConfig>) -> Result<WebConfig, Vec<Problem>> {
        match config {
            Some(config) if self.problems.is_empty() => Ok(WebConfig { warnings: self.warnings, ..config }),
            _ => Err(self.problems),
        }
    }
}

/// The entries of a map that have not been taken yet.
pub(super) struct Section {
    name: String,
    entries: Vec<(String, Node)>,
}

impl Section {
    /// The map `node`, which stands below the key `name`. Keys that are not `known` are problems.
    pub(super) fn open(name: &str, node: Node, known: &[&str], findings: &mut Findings) -> Option<Self> {
        let mut section = Self { name: name.to_owned(), entries: Vec::new() };
        for (key, value) in map(section.shown_name(), node, findings)? {
            if !known.contains(&&*key) {
                // What follows its name may be a secret.
                let shown = shown_key(&key);
                let instead = swallowed(&key).map(ToOwned::to_owned);
                let instead = instead
                    .or_else(|| did_you_mean(shown, known.iter().copied(), |known| section.key(known)))
                    .unwrap_or_else(|| format!("known are {}", known.join(", ")));
                let whose = if shown.is_empty() { section.shown_name().to_owned() } else { section.key(shown) };
                findings.refuse(&whose, None, format!("unknown key; {instead}"));
            } else if section.entries.iter().any(|(taken, _)| *taken == key) {
                findings.refuse(&section.key(&key), None, "it is given twice; keep one");
            } else {
                section.entries.push((key, value));
            }
        }
        Some(section)
    }

    fn shown_name(&self) -> &str {
        if self.name.is_empty() { "web.config_file" } else { &self.name }
    }

    /// The whole name of one of its keys.
    pub(super) fn key(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// Whether it says anything at all.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.iter().all(|(_, value)| *value == Node::Null)
    }

    /// Whether a key has a value that is more than an empty text or list.
    pub(super) fn has(&self, key: &str) -> bool {
        let nothing = |value: &Node| match value {
            Node::Null => true,
            Node::Text(text) => text.is_empty(),
            Node::List(items) => items.is_empty(),
            _ => false,
        };
        self.entries.iter().any(|(known, value)| known == key && !nothing(value))
    }

    /// Whether a list without items stands behind a key.
    pub(super) fn has_empty_list(&self, key: &str) -> bool {
        self.entries.iter().any(|(known, value)| known == key && matches!(value, Node::List(items) if items.is_empty()))
    }

    /// What stands behind a key.
    pub(super) fn take(&mut self, key: &str) -> Node {
        let at = self.entries.iter().position(|(known, _)| known == key);
        at.map_or(Node::Null, |at| self.entries.remove(at).1)
    }

    /// The section behind a key; one that is not there is empty.
    pub(super) fn section(&mut self, key: &str, known: &[&str], findings: &mut Findings) -> Self {
        let (name, node) = (self.key(key), self.take(key));
        Self::open(&name, node, known, findings).unwrap_or(Self { name, entries: Vec::new() })
    }

    /// The text behind a key; one that is empty says nothing.
    pub(super) fn text(&mut self, key: &str, findings: &mut Findings) -> Option<String> {
        match self.take(key) {
            Node::Null => None,
            Node::Text(text) | Node::Bare(Bare { value: text, .. }) => Some(text).filter(|text| !text.is_empty()),
            Node::List(_) | Node::Map(_) => {
                findings.refuse(&self.key(key), None, "one value is wanted");
                None
            }
        }
    }

    /// The texts behind a key.
    pub(super) fn texts(&mut self, key: &str, findings: &mut Findings) -> Vec<String> {
        let items = match self.take(key) {
            Node::Null => Vec::new(),
            Node::List(items) => items,
            _ => {
                findings.refuse(&self.key(key), None, "a list is wanted, each item after a dash");
                return Vec::new();
            }
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Node::Text(text) | Node::Bare(Bare { value: text, .. }) if !text.is_empty() => texts.push(text),
                _ => findings.refuse(&self.key(key), None, "the list must hold plain values"),
            }
        }
        texts
    }

    /// The truth value behind a key.
    pub(super) fn switch(&mut self, key: &str, otherwise: bool, findings: &mut Findings) -> bool {
        match self.text(key, findings).as_deref() {
            None => otherwise,
            Some("true") => true,
            Some("false") => false,
            Some(other) => {
                findings.refuse(&self.key(key), Some(other), "true or false is wanted");
                otherwise
            }
        }
    }

    /// The one of these words that stands behind a key.
    pub(super) fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)], findings: &mut Findings) -> Option<T> {
        let text = self.text(key, findings)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            findings.refuse(&self.key(key), Some(&text), format!("one of {} is wanted", words.join(", ")));
        }
        found
    }
}

/// The entries of a map whose keys are words; nothing is an empty one.
pub(super) fn map(name: &str, node: Node, findings: &mut Findings) -> Option<Vec<(String, Node)>> {
    let entries = match node {
        Node::Null => Vec::new(),
        Node::Map(entries) => entries,
        _ => {
            findings.refuse(name, None, "keys with values below are wanted, like `key: value`");
            return None;
        }
    };
    let mut named = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        match key {
            Node::Text(key) => named.push((key, value)),
            _ => findings.refuse(name, None, "a key must be a word; put one that looks like a number in quotes"),
        }
    }
    Some(named)
}
