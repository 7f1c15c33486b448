//! One value for each setting, handed out typed; whatever cannot be is kept as a problem, so that all come out at once.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::duration::{format_duration, parse_duration};
use super::given::{Given, Layer, Source, shown};
use super::problem::Problem;
use super::settings::{Fallback, Kind, SETTINGS, Setting, setting};

/// The settled texts of all settings, and what was found wrong with them so far.
///
/// A method answers `None` when it has noted a problem. Readers ask for all that they need before they give up.
pub(super) struct Reader<'a> {
    pub(super) values: Layer,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
    pub(super) notes: Vec<String>,
    read_file: &'a dyn Fn(&Path) -> io::Result<String>,
}

impl<'a> Reader<'a> {
    /// Settles each setting: the first layer that knows it has it, and its fallback is the last resort.
    pub(super) fn new(
        layers: &[&Layer],
        read_file: &'a dyn Fn(&Path) -> io::Result<String>,
        problems: Vec<Problem>,
        warnings: Vec<String>,
    ) -> Self {
        let fallback = |setting: &Setting| match setting.fallback {
            Fallback::Value(text) => Some(Given { text: text.to_owned().into(), source: Source::Default }),
            Fallback::Nothing(_) => None,
        };
        let settle = |setting: &'static Setting| {
            let given = layers.iter().find_map(|layer| layer.get(setting.key)).cloned();
            Some((setting.key, given.or_else(|| fallback(setting))?))
        };
        let values = SETTINGS.iter().filter_map(settle).collect();
        Self { values, problems, warnings, notes: Vec::new(), read_file }
    }

    /// What was given, if it is more than an empty text.
    pub(super) fn given(&self, key: &str) -> Option<&Given> {
        self.values.get(key).filter(|given| !given.text.trim().is_empty())
    }

    /// Whether something was found wrong with a setting already: then its value is not there, though somebody gave one.
    pub(super) fn is_refused(&self, key: &str) -> bool {
        self.problems.iter().any(|problem| problem.key == key)
    }

    /// Notes what is wrong with a setting, beside its value.
    pub(super) fn refuse(&mut self, key: &str, what: impl Into<String>) {
        let value = setting(key).zip(self.values.get(key)).map(|(setting, given)| shown(setting, &given.text));
        self.note(key, value, what.into());
    }

    /// Notes what is wrong with a setting whose value may hold a credential by mistake.
    pub(super) fn refuse_unseen(&mut self, key: &str, what: impl Into<String>) {
        self.note(key, None, what.into());
    }

    fn note(&mut self, key: &str, value: Option<String>, what: String) {
        let place = self.values.get(key).and_then(|given| given.source.place());
        self.problems.push(Problem { key: key.to_owned(), value, place, what });
    }

    /// The value of a setting that always has one.
    pub(super) fn value<T>(&mut self, key: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        match read(self.values.get(key).map_or("", |given| &given.text)) {
            Ok(value) => Some(value),
            Err(what) => {
                self.refuse(key, what);
                None
            }
        }
    }

    /// The value of a setting that may have none; an empty text is none.
    pub(super) fn optional<T>(&mut self, key: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<Option<T>> {
        match self.given(key) {
            Some(_) => self.value(key, read).map(Some),
            None => Some(None),
        }
    }

    /// A duration that is not shorter than `least`.
    pub(super) fn duration(&mut self, key: &str, least: Duration) -> Option<Duration> {
        self.value(key, |text| match parse_duration(text)? {
            duration if duration >= least => Ok(duration),
            _ if least == LONGER_THAN_ZERO => Err("it must be longer than 0".to_owned()),
            _ => Err(format!("it must be at least {}", format_duration(least))),
        })
    }

    /// One of the words of the setting.
    pub(super) fn choice<T>(&mut self, key: &str, named: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        self.value(key, |text| {
            named(text.trim()).ok_or_else(|| match setting(key).map(|setting| setting.kind) {
                Some(Kind::Choice(words)) => format!("one of {} is wanted", words.join(", ")),
                _ => "it is not known".to_owned(),
            })
        })
    }

    /// The text of a file that a setting names.
    pub(super) fn file(&self, path: &Path) -> io::Result<String> {
        (self.read_file)(path)
    }
}

/// The least duration where 0 makes no sense.
pub(super) const LONGER_THAN_ZERO: Duration = Duration::from_millis(1);
