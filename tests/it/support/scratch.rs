//! A directory that goes with its test.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("jelou-exporter-it-{}-{number}", std::process::id()));
        // A run that was killed may have left one of the same name behind.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Where a checkpoint may stand.
    pub(crate) fn state(&self) -> String {
        self.0.join("state.db").to_str().unwrap().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is the business of whoever cleans the temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
