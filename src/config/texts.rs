//! What every setting was given as, to tell in which of them two configurations differ.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

use super::given::Layer;
use super::settings::{SETTINGS, Setting};

/// The settled text of each setting that has one; not printed, for it may be a credential.
#[derive(Clone)]
pub(super) struct Texts(BTreeMap<&'static str, Zeroizing<String>>);

impl Texts {
    pub(super) fn new(values: Layer) -> Self {
        Self(values.into_iter().map(|(key, given)| (key, given.text)).collect())
    }

    /// The settings whose texts differ, in the order of the documentation.
    pub(super) fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'static Setting> + 'a {
        let text = |texts: &'a Self, key| texts.0.get(key).map_or("", |text| text.trim());
        SETTINGS.iter().filter(move |setting| text(self, setting.key) != text(other, setting.key))
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Texts")
    }
}
