//! The two text formats, which differ in little: Prometheus text 0.0.4 and OpenMetrics 1.0.0.
//!
//! Sources: prometheus.io, "Exposition formats"; the OpenMetrics specification 1.0.0, "Text format".

use super::exposition::Encoder;
use super::family::Head;
use super::number;
use crate::domain::catalog::Kind;
use crate::domain::conversation::SpellingRoom;
use crate::domain::distribution::{Distribution, EXEMPLAR_LABEL, Exemplar};
use crate::domain::snapshot::{Point, Value};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Text,
    OpenMetrics {
        /// Whether counters and histograms tell their start time in a line of its own.
        created: bool,
    },
}

/// Writes lines.
pub(super) struct Lines {
    dialect: Dialect,
    out: Vec<u8>,
    /// The labels of the point at hand, escaped, without braces: a histogram needs them in every line.
    labels: Vec<u8>,
    /// Spellings of the bounds seen last: those of a family are all alike.
    bounds: Vec<(u64, String)>,
}

impl Lines {
    pub(super) const fn new(dialect: Dialect) -> Self {
        Self { dialect, out: Vec::new(), labels: Vec::new(), bounds: Vec::new() }
    }

    const fn is_openmetrics(&self) -> bool {
        matches!(self.dialect, Dialect::OpenMetrics { .. })
    }

    /// `# TYPE name text`, or the like.
    fn comment(&mut self, what: &str, name: &str, text: &str) {
        for piece in ["# ", what, " ", name, " "] {
            self.out.extend_from_slice(piece.as_bytes());
        }
        let quotes = self.is_openmetrics();
        escape(&mut self.out, text, quotes);
        self.out.push(b'\n');
    }

    /// A line up to its value: name and labels.
    fn name(&mut self, name: &str, suffix: &str) {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(suffix.as_bytes());
        if !self.labels.is_empty() {
            self.out.push(b'{');
            self.out.extend_from_slice(&self.labels);
            self.out.push(b'}');
        }
        self.out.push(b' ');
    }

    /// The line of a bucket up to its count.
    fn bucket(&mut self, name: &str, bound: &str) {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"_bucket{");
        if !self.labels.is_empty() {
            self.out.extend_from_slice(&self.labels);
            self.out.push(b',');
        }
        self.out.extend_from_slice(b"le=\"");
        self.out.extend_from_slice(bound.as_bytes());
        self.out.extend_from_slice(b"\"} ");
    }

    fn number(&mut self, value: f64) {
        number::float(&mut self.out, value);
        self.out.push(b'\n');
    }

    fn whole(&mut self, value: u64) {
        number::whole(&mut self.out, value);
        self.out.push(b'\n');
    }

    fn count_of_bucket(&mut self, count: u64, exemplar: Option<&Exemplar>) {
        number::whole(&mut self.out, count);
        // Text 0.0.4 has no place for it.
        if let Some(exemplar) = exemplar.filter(|_| self.is_openmetrics()) {
            self.out.extend_from_slice(b" # {");
            label(&mut self.out, EXEMPLAR_LABEL, exemplar.conversation.spell(&mut SpellingRoom::default()));
            self.out.extend_from_slice(b"} ");
            number::float(&mut self.out, exemplar.millis as f64 / 1000.0);
            self.out.push(b' ');
            number::instant(&mut self.out, exemplar.counted_at);
        }
        self.out.push(b'\n');
    }

    fn histogram(&mut self, name: &str, times: &Distribution) {
        let mut last = 0;
        for (at, (bound, count)) in times.buckets().enumerate() {
            let spelling = self.take_spelling(at, bound);
            self.bucket(name, &spelling);
            self.bounds[at].1 = spelling;
            self.count_of_bucket(count, times.exemplar(at));
            last = at + 1;
        }
        self.bucket(name, "+Inf");
        self.count_of_bucket(times.count(), times.exemplar(last));
        self.name(name, "_sum");
        self.number(times.sum_seconds());
        self.name(name, "_count");
        self.whole(times.count());
    }

    /// The spelling of the bound at this place, which the caller puts back.
    fn take_spelling(&mut self, at: usize, bound: u64) -> String {
        if self.bounds.len() <= at {
            self.bounds.resize(at + 1, (u64::MAX, String::new()));
        }
        let known = &mut self.bounds[at];
        if known.0 != bound {
            let seconds = bound as f64 / 1000.0;
            let spelling = match self.dialect {
                Dialect::Text => seconds.to_string(),
                Dialect::OpenMetrics { .. } => number::canonical(seconds),
            };
            *known = (bound, spelling);
        }
        std::mem::take(&mut known.1)
    }
}

impl Encoder for Lines {
    fn begin(&mut self, head: &Head<'_>) {
        let kind = match head.kind {
            Kind::Counter => "counter",
            Kind::Gauge if head.is_info() && self.is_openmetrics() => "info",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        if self.is_openmetrics() {
            self.comment("TYPE", head.base(), kind);
            if let Some(unit) = head.unit() {
                self.comment("UNIT", head.base(), unit);
            }
            self.comment("HELP", head.base(), head.help);
        } else {
            self.comment("HELP", head.name, head.help);
            self.comment("TYPE", head.name, kind);
        }
    }

    fn point(&mut self, head: &Head<'_>, point: &Point<'_>) {
        self.labels.clear();
        for (name, value) in point.labels {
            if !self.labels.is_empty() {
                self.labels.push(b',');
            }
            label(&mut self.labels, name, value);
        }
        match point.value {
            Value::Distribution(times) => self.histogram(head.name, times),
            Value::Whole(value) => {
                self.name(head.name, "");
                self.whole(value);
            }
            Value::Number(value) => {
                self.name(head.name, "");
                self.number(value);
            }
        }
        if let (Dialect::OpenMetrics { created: true }, Some(start)) = (self.dialect, point.start) {
            self.name(head.base(), "_created");
            number::instant(&mut self.out, start);
            self.out.push(b'\n');
        }
    }

    fn end(&mut self, _: &Head<'_>) {}

    fn finish(&mut self) {
        if self.is_openmetrics() {
            self.out.extend_from_slice(b"# EOF\n");
        }
    }

    fn written(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }
}

fn label(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    escape(out, value, true);
    out.push(b'"');
}

/// Backslash and line feed are escaped, and within quotes these too; all else stands as it is, in UTF-8.
fn escape(out: &mut Vec<u8>, text: &str, quotes: bool) {
    let mut rest = text.as_bytes();
    // None of the three bytes is ever part of another character.
    let special = |byte: &u8| matches!(byte, b'\\' | b'\n') || quotes && *byte == b'"';
    while let Some(at) = rest.iter().position(special) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(match rest[at] {
            b'\n' => b"\\n",
            b'"' => b"\\\"",
            _ => b"\\\\",
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}
