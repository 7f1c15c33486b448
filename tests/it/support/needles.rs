//! What must never leave the exporter, and the search for it.

use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;
use jelou_exporter::domain::time::UnixMillis;
use jelou_exporter::simulator::{Simulator, SimulatorOptions};

/// Where a conversation's id may stand: exemplars, the most talkative log, and the state, which is made of them.
const WITH_IDS: [&str; 5] = ["log", "openmetrics", "protobuf", "OTLP metrics", "checkpoint"];

/// People, secrets, and ids of conversations.
pub(crate) struct Needles {
    never: Words,
    ids: Words,
}

/// Looked for all at once.
struct Words {
    words: Vec<String>,
    search: AhoCorasick,
}

impl Needles {
    /// Everybody in the records that start between these instants, the API's credentials and these further secrets.
    pub(crate) fn of(simulator: &Simulator, from: UnixMillis, until: UnixMillis, secrets: &[&str]) -> Self {
        let people = simulator.personal_data(from, until);
        assert!(people.len() > 100, "too few to be looked for: {}", people.len());
        let credentials = [SimulatorOptions::default().client_secret, BASIC.to_owned()];
        let secrets = secrets.iter().map(|&secret| secret.to_owned()).chain(credentials);
        let ids = simulator.stories(from, until).iter().map(|story| story.id.to_string()).collect::<Vec<_>>();
        Self { never: Words::new(people.into_iter().chain(secrets)), ids: Words::new(ids) }
    }

    /// None of it is in what came out here.
    #[track_caller]
    pub(crate) fn absent_from(&self, place: &str, told: &[u8]) {
        assert_eq!(self.never.first_in(told), None, "in the {place}");
        if !WITH_IDS.contains(&place) {
            assert_eq!(self.ids.first_in(told), None, "in the {place}");
        }
    }
}

/// The simulated API's credentials, as they are sent.
const BASIC: &str = "c2ltdWxhdGVkLWNsaWVudDpzaW11bGF0ZWQtc2VjcmV0";

impl Words {
    fn new(words: impl IntoIterator<Item = String>) -> Self {
        // As it is, and as a debug print of bytes or text would show it.
        let forms =
            |word: String| [word.escape_default().to_string(), word.as_bytes().escape_ascii().to_string(), word];
        let words: Vec<_> = words.into_iter().flat_map(forms).collect::<BTreeSet<_>>().into_iter().collect();
        let search = AhoCorasick::new(&words).unwrap();
        Self { words, search }
    }

    fn first_in(&self, told: &[u8]) -> Option<&str> {
        Some(&*self.words[self.search.find(told)?.pattern().as_usize()])
    }
}
