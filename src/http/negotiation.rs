//! In which format and packed how the metrics leave (RFC 9110, sections 12.5.1 and 12.5.3).

use hyper::HeaderMap;
use hyper::header::{ACCEPT, ACCEPT_ENCODING};

use super::accept::{Wanted, wanted};
use crate::render::exposition::Format;

/// The format that suits the client best, and the escaping scheme of names that it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) format: Format,
    /// Said again in the answer, as Prometheus' own libraries do.
    escaping: Option<&'static str>,
}

/// The schemes that leave a name of letters, digits and underscores as it is, and so all of ours. There is another, `dots`,
/// which would write each underscore twice; nobody gets names that the documentation does not have.
const ESCAPINGS: [&str; 3] = ["allow-utf-8", "underscores", "values"];

impl Chosen {
    pub(super) fn content_type(self) -> String {
        let escaping = self.escaping.map_or(String::new(), |escaping| format!("; escaping={escaping}"));
        format!("{}{escaping}", self.format.content_type())
    }
}

/// How well a media range describes a format: not by a wildcard, then by how many parameters.
type Precision = (bool, bool, usize);

/// The format to answer in. A client that takes none of ours gets the text format: it is more use than a refusal, which
/// scrapers and people would meet alike.
pub(super) fn format(headers: &HeaderMap) -> Chosen {
    let ranges = wanted(headers, &ACCEPT).unwrap_or_default();
    let mut best: Option<((u16, Precision), usize, Format)> = None;
    for format in Format::ALL {
        // The most precise range decides, even if it refuses; of equal ones the kindest.
        let told =
            ranges.iter().enumerate().filter_map(|(at, range)| Some((precision(range, format)?, range.weight, at)));
        let decisive = told.max_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(b.2.cmp(&a.2)));
        let Some((precision, weight, at)) = decisive.filter(|(_, weight, _)| *weight > 0) else { continue };
        // At equal weight what was named goes before what a wildcard allows, then what was named first.
        let named = (weight, (precision.0, precision.1, 0));
        if best.is_none_or(|(known, known_at, _)| named > known || named == known && at < known_at) {
            best = Some((named, at, format));
        }
    }
    match best {
        None => Chosen { format: Format::Text, escaping: None },
        Some((_, at, format)) => {
            let asked = ranges[at].parameters.iter().find(|(name, _)| name == "escaping");
            let escaping =
                asked.and_then(|(_, value)| ESCAPINGS.into_iter().find(|known| known.eq_ignore_ascii_case(value)));
            Chosen { format, escaping }
        }
    }
}

/// How precisely the range describes the format; `None` when it means another. Parameters that nothing is known of do not
/// matter.
fn precision(range: &Wanted, format: Format) -> Option<Precision> {
    let (kind, subkind, parameters): (_, _, &[(&str, &str)]) = match format {
        Format::Text => ("text", "plain", &[("version", "0.0.4"), ("charset", "utf-8")]),
        Format::OpenMetrics => ("application", "openmetrics-text", &[("version", "1.0.0"), ("charset", "utf-8")]),
        Format::Protobuf => (
            "application",
            "vnd.google.protobuf",
            &[("proto", "io.prometheus.client.MetricFamily"), ("encoding", "delimited")],
        ),
    };
    let (asked_kind, asked_subkind) = range.what.split_once('/')?;
    let is_kind = asked_kind == kind;
    let is_subkind = is_kind && asked_subkind == subkind;
    if !(is_subkind || asked_subkind == "*" && (is_kind || asked_kind == "*")) {
        return None;
    }
    let mut matching = 0;
    for (name, value) in &range.parameters {
        let Some((_, ours)) = parameters.iter().find(|(known, _)| known == name) else { continue };
        if !ours.eq_ignore_ascii_case(value) {
            return None;
        }
        matching += 1;
    }
    Some((is_kind, is_subkind, matching))
}

/// How an answer is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Zstd,
    Gzip,
    Identity,
}

impl Coding {
    /// Where a client does not care, the first is best.
    pub(super) const ALL: [Self; 3] = [Self::Zstd, Self::Gzip, Self::Identity];

    /// Its name in `Content-Encoding`, where it has to be told.
    pub(super) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Zstd => Some("zstd"),
            Self::Gzip => Some("gzip"),
            Self::Identity => None,
        }
    }
}

/// The packing to answer with; `None` when the client refuses whatever there is. Without a wish nothing is packed.
pub(super) fn coding(headers: &HeaderMap) -> Option<Coding> {
    let Some(codings) = wanted(headers, &ACCEPT_ENCODING) else { return Some(Coding::Identity) };
    let weight = |names: &[&str]| {
        codings.iter().filter(|coding| names.contains(&&*coding.what)).map(|coding| coding.weight).max()
    };
    let any = weight(&["*"]);
    let mut best: Option<(u16, Coding)> = None;
    for coding in Coding::ALL {
        let weight = match coding {
            Coding::Zstd => weight(&["zstd"]).or(any).unwrap_or(0),
            Coding::Gzip => weight(&["gzip", "x-gzip"]).or(any).unwrap_or(0),
            // Always allowed, if not wished for, unless it is refused.
            Coding::Identity => match weight(&["identity"]).or(any.filter(|any| *any == 0)) {
                Some(0) => continue,
                Some(weight) => weight,
                None if best.is_none() => return Some(Coding::Identity),
                None => continue,
            },
        };
        if weight > best.map_or(0, |(known, _)| known) {
            best = Some((weight, coding));
        }
    }
    best.map(|(_, coding)| coding)
}

#[cfg(test)]
mod tests;
