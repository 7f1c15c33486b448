//! Where the state is kept.

use std::path::PathBuf;

use super::reader::Reader;

/// Settings of the section `state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateSettings {
    /// The file of the checkpoint; `None` keeps state in memory only.
    pub path: Option<PathBuf>,
}

/// Reads the section.
pub(super) fn read(from: &mut Reader<'_>) -> Option<StateSettings> {
    let path = from.optional("state.path", |text| match text.ends_with('/') {
        true => Err("the path of a file is wanted, not of a folder".to_owned()),
        false => Ok(text.into()),
    });
    Some(StateSettings { path: path? })
}
