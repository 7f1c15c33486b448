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

/// Reads the section. For an account to look for, it looks whether the file can be where it is to be, and what is in it.
pub(super) fn read(from: &mut Reader<'_>, look_for: Option<&str>) -> Option<StateSettings> {
    let mut note = None;
    let path = from.optional("state.path", |text| {
        if text.ends_with('/') {
            return Err("the path of a file is wanted, not of a folder".to_owned());
        }
        let path = PathBuf::from(text);
        if let Some(account) = look_for {
            note = place::look_at(&path, account)?;
        }
        Ok(path)
    });
    from.notes.extend(note);
    Some(StateSettings { path: path? })
}
