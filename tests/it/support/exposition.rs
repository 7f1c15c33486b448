//! Prometheus text, read strictly and by nobody's library: what we write is judged here.

use std::collections::BTreeMap;
use std::fmt;

/// Labels by name.
pub(crate) type Labels = BTreeMap<String, String>;

/// What identifies a series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) labels: Labels,
}

impl Series {
    pub(crate) fn new(name: &str, labels: &[(&str, &str)]) -> Self {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Self { name: name.to_owned(), labels }
    }

    fn has(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.name == name && labels.iter().all(|(key, value)| self.labels.get(*key).is_some_and(|known| known == value))
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<_> = self.labels.iter().map(|(key, value)| format!("{key}={value:?}")).collect();
        write!(f, "{}{{{}}}", self.name, labels.join(","))
    }
}

/// One scrape: each series with its value as it is written.
#[derive(Debug, Default)]
pub(crate) struct Scrape {
    pub(crate) series: BTreeMap<Series, String>,
}

impl Scrape {
    /// Reads the text format; whatever is wrong with it is a failure of the test.
    #[track_caller]
    pub(crate) fn read(text: &str) -> Self {
        assert!(text.is_empty() || text.ends_with('\n'), "the last line has no end");
        let mut scrape = Self::default();
        let (mut family, mut families) = (String::new(), Vec::new());
        for line in text.lines() {
            if let Some(told) = line.strip_prefix("# TYPE ") {
                let (name, kind) = told.split_once(' ').expect(line);
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                name.clone_into(&mut family);
                assert!(!families.contains(&family), "{family} comes twice");
                families.push(family.clone());
            } else if !line.starts_with("# HELP ") {
                let (series, value) = sample(line).unwrap_or_else(|| panic!("unreadable: {line}"));
                assert!(value.parse::<f64>().is_ok() || value == "+Inf", "{line}");
                let rest = series.name.strip_prefix(&family).unwrap_or_else(|| panic!("not of {family}: {line}"));
                assert!(["", "_bucket", "_sum", "_count"].contains(&rest), "not of {family}: {line}");
                assert!(scrape.series.insert(series, value).is_none(), "twice: {line}");
            }
        }
        scrape
    }

    /// The sum over every series of this name that has (at least) these labels; `None` when there is none.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let found = self.series.iter().filter(|(series, _)| series.has(name, labels));
        found.map(|(_, value)| value.parse::<f64>().unwrap()).reduce(|sum, value| sum + value)
    }

    /// The same, where missing and nothing are alike.
    pub(crate) fn total(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.sum(name, labels).unwrap_or(0.0)
    }
}

/// `name{label="value",…} value`.
fn sample(line: &str) -> Option<(Series, String)> {
    let is_name = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .enumerate()
                .all(|(at, c)| c == '_' || c.is_ascii_alphabetic() || at > 0 && c.is_ascii_digit())
    };
    let (name, mut rest) = line.split_at(line.find(['{', ' '])?);
    let mut labels = Labels::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (key, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            if !is_name(key) || labels.insert(key.to_owned(), value).is_some() {
                return None;
            }
            if let Some(after) = after.strip_prefix('}') {
                rest = after;
                break;
            }
            rest = after.strip_prefix(',')?;
        }
    }
    let value = rest.strip_prefix(' ')?;
    (is_name(name) && !value.contains(' ')).then(|| (Series { name: name.to_owned(), labels }, value.to_owned()))
}

/// A value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                escaped @ ('\\' | '"') => escaped,
                _ => return None,
            }),
            _ => value.push(char),
        }
    }
    None
}

#[test]
fn the_reader_reads() {
    let text = "# HELP a b\n# TYPE a counter\na{x=\"1\\\"\\\\\\n,}\",y=\"é\"} 1\na 2.5\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\n";
    let scrape = Scrape::read(text);
    assert_eq!(scrape.series[&Series::new("a", &[("x", "1\"\\\n,}"), ("y", "é")])], "1");
    assert_eq!((scrape.total("a", &[]), scrape.sum("a", &[("y", "é")]), scrape.sum("b", &[])), (3.5, Some(1.0), None));
    for wrong in ["a{x=\"1} 1", "a{x=\"\\q\"} 1", "a{x=\"1\",x=\"2\"} 1", "1a 1", "a", "a 1 2", "a{x=\"1\"y=\"2\"} 1"] {
        assert!(sample(wrong).is_none(), "{wrong}");
    }
}
