//! Where the state is kept.

use std::path::PathBuf;

use super::place;
use super::reader::Reader;

/// Settings of the section `state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateSettings {
    /// The file of the checkpoint; `None` keeps state in memory only.
    pub path: Option<PathBuf>,
}

/// Reads the section; looks whether the file can be where it is to be, if that is wanted.
pub(super) fn read(from: &mut Reader<'_>, looks_at_place: bool) -> Option<StateSettings> {
    let path = from.optional("state.path", |text| {
        if text.ends_with('/') {
            return Err("the path of a file is wanted, not of a folder".to_owned());
        }
        let path = PathBuf::from(text);
        if looks_at_place {
            place::look_at(&path)?;
        }
        Ok(path)
    });
    Some(StateSettings { path: path? })
}
