//! What can go wrong with the checkpoint.

use std::fmt;
use std::path::PathBuf;

/// Why the checkpoint cannot be opened or written.
#[derive(Debug)]
pub enum StoreError {
    /// Another process has it open.
    InUse {
        /// `state.path`.
        path: PathBuf,
    },
    /// Another process has written it since this one could not.
    Changed {
        /// `state.path`.
        path: PathBuf,
    },
    /// It was written by a later version.
    Newer {
        /// `state.path`.
        path: PathBuf,
        /// The schema of the file.
        found: u32,
        /// The newest schema that this version knows.
        known: u32,
    },
    /// It is there and is no checkpoint that can be read.
    Damaged {
        /// `state.path`.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The system refuses it.
    Unusable {
        /// `state.path`.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { path } => write!(
                f,
                "the checkpoint {} is in use by another process: stop that one, or give each exporter a state.path of its own",
                path.display()
            ),
            Self::Changed { path } => write!(
                f,
                "the checkpoint {} was written by another process while this one could not keep its state: restart this \
                 one to go on from there, and give each exporter a state.path of its own",
                path.display()
            ),
            Self::Newer { path, found, known } => write!(
                f,
                "the checkpoint {} has schema {found}, and this version knows schemas up to {known}: run the version that \
                 wrote it, or a later one",
                path.display()
            ),
            Self::Damaged { path, why } => write!(
                f,
                "the checkpoint {} cannot be read ({why}). It is left as it is. Either put back a copy of it, or move it \
                 away: then counting begins anew, at zero",
                path.display()
            ),
            Self::Unusable { path, why } => {
                write!(
                    f,
                    "the checkpoint {} cannot be used: {why}. Its folder has to exist, to be writable by this user and to have \
                     space left; set state.path to another file, or to \"\" to keep nothing",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for StoreError {}
