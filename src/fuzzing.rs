//! What the fuzzers of `fuzz/` hold the exporter to. Compiled for them, and for the test that replays what they found.

pub use crate::config::fuzzing::check as config;
pub use crate::jelou::decode::fuzzing::check as page;
pub use crate::store::fuzzing::{checkpoint, values};

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// Holds what `check` checks of every input in the target's corpus.
    fn replay(target: &str, check: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let mut replayed = 0;
        for file in fs::read_dir(&folder).expect("the corpus is part of the repository") {
            let path = file.unwrap().path();
            // Shown if it fails.
            println!("{}", path.display());
            check(&fs::read(path).unwrap());
            replayed += 1;
        }
        assert!(replayed > 0, "{} is empty", folder.display());
    }

    #[test]
    fn corpus_of_pages() {
        replay("page", super::page);
    }

    #[test]
    fn corpus_of_configurations() {
        replay("config", super::config);
    }

    #[test]
    fn corpus_of_checkpointed_values() {
        replay("values", super::values);
    }

    #[test]
    fn corpus_of_checkpoints() {
        replay("checkpoint", super::checkpoint);
    }
}
