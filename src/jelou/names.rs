//! Names that a page repeats row after row, kept once.

use std::sync::Arc;

/// The names of a page so far. A page has few, so that looking through them is quicker than making one anew.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<Arc<str>>);

/// Beyond so many, a page is not what this is for.
const MOST: usize = 64;

impl Names {
    /// The name, shared with the rows before.
    pub(super) fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.iter().find(|known| ***known == *name) {
            return Arc::clone(known);
        }
        let new: Arc<str> = name.into();
        if self.0.len() < MOST {
            self.0.push(Arc::clone(&new));
        }
        new
    }
}
