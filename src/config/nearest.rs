//! What was probably meant by a word that is not known. A guess that is far off misleads more than none.

/// How many candidates that are equally like the word are worth naming.
const MOST_NAMED: usize = 3;

/// The shortest part of a name by which it is still known.
const SHORTEST_PART: usize = 3;

/// `did you mean a or b?`, the candidates in the form that `write` gives them; `None` if none is like the text.
pub(crate) fn did_you_mean<'a>(
    text: &str,
    candidates: impl Iterator<Item = &'a str>,
    write: impl Fn(&str) -> String,
) -> Option<String> {
    let named: Vec<String> = meant(text, candidates).into_iter().map(write).collect();
    (!named.is_empty()).then(|| format!("did you mean {}?", named.join(" or ")))
}

/// The candidates that are most like the text, in the order in which they come. None where none is like it, or so many are
/// that naming them says nothing.
pub(crate) fn meant<'a>(text: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let written = Name::new(text);
    let candidates: Vec<(&str, Name)> = candidates.map(|candidate| (candidate, Name::new(candidate))).collect();
    let alone = |name: &Name| candidates.iter().filter(|(_, other)| other.section == name.section).count() == 1;
    let found: Vec<(Likeness, &str)> = candidates
        .iter()
        .filter_map(|(candidate, name)| Some((written.likeness(name, || alone(name))?, *candidate)))
        .collect();
    let best = found.iter().map(|(likeness, _)| *likeness).min();
    let mut named: Vec<&str> =
        found.iter().filter(|(likeness, _)| Some(*likeness) == best).map(|found| found.1).collect();
    named.dedup();
    if named.len() > MOST_NAMED { Vec::new() } else { named }
}

/// In which way a name is like another, the likelier slips first; among equal ones, by how many letters they differ.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Likeness {
    /// A few letters are wrong.
    Mistyped(usize),
    /// It was cut short; by how many letters.
    Short(usize),
    /// It has an end too many; of how many letters.
    Long(usize),
    /// It stands in a wrong section.
    Misplaced,
    /// There is nothing else in the section.
    Alone,
    /// It stands in a wrong section, and a few letters are wrong.
    MisplacedAndMistyped(usize),
}

/// A key or a time zone, for comparison.
struct Name {
    /// What stands before the last dot of a key, or the last slash of a time zone; nothing where there is none.
    section: String,
    /// What stands behind it.
    name: String,
    /// Its words, in a row.
    letters: String,
    /// Section and name without what sets them apart.
    whole: String,
}

impl Name {
    fn new(text: &str) -> Self {
        let text = text.to_lowercase().replace(['-', ' '], "_");
        let (section, name) = text.rsplit_once(['.', '/']).unwrap_or(("", &text));
        let joined = |text: &str| text.replace(['.', '/', '_'], "");
        Self { section: section.to_owned(), name: name.to_owned(), letters: joined(name), whole: joined(&text) }
    }

    /// In which way this name, which somebody wrote, is like a known one.
    fn likeness(&self, known: &Self, is_alone: impl Fn() -> bool) -> Option<Likeness> {
        let name = mistyped(&self.letters, &known.letters);
        let section = if self.section.is_empty() { Some(0) } else { mistyped(&self.section, &known.section) };
        if self.section.is_empty() {
            let whole = mistyped(&self.whole, &known.whole).map(Likeness::Mistyped);
            let first_half = || mistyped(&self.whole, &known.section).map(Likeness::Short);
            if let Some(likeness) = whole.or_else(first_half) {
                return Some(likeness);
            }
        }
        match (section, name) {
            (Some(section), Some(name)) => Some(Likeness::Mistyped(section + name)),
            (Some(section), None) => {
                let alone = || (section == 0 && !self.section.is_empty() && is_alone()).then_some(Likeness::Alone);
                self.part_of(known).or_else(alone)
            }
            (None, Some(0)) => Some(Likeness::Misplaced),
            (None, Some(wrong)) => Some(Likeness::MisplacedAndMistyped(wrong)),
            (None, None) => None,
        }
    }

    /// Whether one of the names is a part of the other: `secret` of `client_secret`, `reply_buckets` of
    /// `reply_time_buckets`, `lvl` of `level`; `poll` of `polling`.
    fn part_of(&self, known: &Self) -> Option<Likeness> {
        let difference = self.letters.len().abs_diff(known.letters.len());
        if self.letters.len().min(known.letters.len()) < SHORTEST_PART {
            None
        } else if self.letters.starts_with(&known.letters) {
            Some(Likeness::Long(difference))
        } else {
            let words: Vec<&str> = known.name.split('_').collect();
            let is_part = known.letters.contains(&self.letters)
                || self.name.split('_').all(|word| words.contains(&word))
                || is_abbreviation(&self.letters, &known.letters);
            is_part.then_some(Likeness::Short(difference))
        }
    }
}

/// Whether it is the same word with letters left out, though not the first one.
fn is_abbreviation(short: &str, word: &str) -> bool {
    let mut letters = word.chars();
    short.chars().next() == word.chars().next() && short.chars().all(|letter| letters.any(|other| other == letter))
}

/// How many letters are wrong, missing, too many or swapped, if these are few enough for a slip.
fn mistyped(written: &str, known: &str) -> Option<usize> {
    let bearable = match written.chars().count().min(known.chars().count()) {
        0..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    Some(strsim::osa_distance(written, known)).filter(|wrong| *wrong <= bearable)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 7] =
        ["api.url", "api.client_id", "api.client_secret", "poll.interval", "otlp.interval", "state.path", "log.level"];

    fn of(text: &str) -> Vec<&'static str> {
        meant(text, KNOWN.into_iter())
    }

    #[test]
    fn a_slip_is_understood() {
        for (written, known) in [
            ("api.ulr", "api.url"),
            ("APIS.URL", "api.url"),
            ("loglevel", "log.level"),
            ("log-level", "log.level"),
            ("level", "log.level"),
            ("api.secret", "api.client_secret"),
            ("api.clientid", "api.client_id"),
            ("state.file", "state.path"),
            ("http.url", "api.url"),
            ("log.lvl", "log.level"),
            ("state", "state.path"),
            ("poll.interval_seconds", "poll.interval"),
        ] {
            assert_eq!(of(written), [known], "{written}");
        }
    }

    #[test]
    fn what_may_be_one_or_the_other_names_both() {
        for written in ["web.interval", "interval", "web.intervall", "web.intrval"] {
            assert_eq!(of(written), ["poll.interval", "otlp.interval"], "{written}");
        }
        let told = did_you_mean("interval", KNOWN.into_iter(), |key| format!("--{key}"));
        assert_eq!(told.as_deref(), Some("did you mean --poll.interval or --otlp.interval?"));
    }

    #[test]
    fn what_is_like_nothing_is_given_no_guess() {
        for written in ["", ".", "foo", "port", "xyzzy.q", "api.token", "wibble.a", "api.deeply.nested"] {
            assert_eq!(of(written), [""; 0], "{written}");
        }
        assert_eq!(did_you_mean("foo", KNOWN.into_iter(), str::to_owned), None);
        let many = ["a.same", "b.same", "c.same", "d.same"];
        assert_eq!(meant("x.same", many.into_iter()), [""; 0], "so many are no guess");
    }
}
