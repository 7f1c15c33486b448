//! Files of the repository, and what is read from them.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use serde_norway::{Deserializer, Value};

/// A path below the root of the repository.
pub(super) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[track_caller]
pub(super) fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every file below a folder, or the file itself.
pub(super) fn below(name: &str) -> Vec<PathBuf> {
    fn walk(path: PathBuf, found: &mut Vec<PathBuf>) {
        if path.is_dir() {
            fs::read_dir(path).unwrap().for_each(|entry| walk(entry.unwrap().path(), found));
        } else {
            found.push(path);
        }
    }
    let mut found = Vec::new();
    walk(path(name), &mut found);
    assert!(!found.is_empty(), "nothing in {name}");
    found
}

/// The documents of a YAML stream, anchors and merge keys resolved.
#[track_caller]
pub(super) fn documents(text: &str) -> Vec<Value> {
    let documents = Deserializer::from_str(text).map(|document| {
        let mut value = Value::deserialize(document).unwrap();
        value.apply_merge().unwrap();
        value
    });
    documents.filter(|value| !value.is_null()).collect()
}

/// The one document of a YAML file.
#[track_caller]
pub(super) fn document(name: &str) -> Value {
    let [one]: [Value; 1] = documents(&read(name)).try_into().unwrap();
    one
}

/// A text within a document, by the keys that lead to it.
#[track_caller]
pub(super) fn text<'a>(value: &'a Value, keys: &[&str]) -> &'a str {
    let found = keys.iter().fold(value, |value, key| &value[*key]);
    found.as_str().unwrap_or_else(|| panic!("no text at {}: {found:?}", keys.join(".")))
}

/// The texts of a list; none where there is no list.
pub(super) fn texts(list: &Value) -> Vec<String> {
    list.as_sequence().into_iter().flatten().map(|item| item.as_str().unwrap().to_owned()).collect()
}
