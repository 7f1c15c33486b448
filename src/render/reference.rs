//! The README's table of metrics, and the whole of `docs/metrics.md`.

use crate::domain::catalog::{FAMILIES, Family, FamilyId, Kind};
use crate::domain::conversation::{Origin, Reason, State};
use crate::domain::label::{
    AmendedField, ExportResult, HttpDrop, LabelValue, LogLevel, Outcome, PollResult, RecordResult, UnknownField,
    WalkResult,
};
use crate::domain::snapshot::PERCENTILE_LABELS;

/// Every family of the catalog, in its order, as a Markdown table.
pub fn markdown_table() -> String {
    let mut table =
        "| Prometheus name | type | labels | OTLP name | unit | tells |\n|---|---|---|---|---|---|\n".to_owned();
    for family in FAMILIES {
        let (kind, labels) = (kind(family.kind), labels(family));
        let unit = if family.unit.is_empty() { String::new() } else { format!("`{}`", family.unit) };
        let (name, otlp_name, help) = (family.name, family.otlp_name, family.help.replace('|', "\\|"));
        table.push_str(&format!("| `{name}` | {kind} | {labels} | `{otlp_name}` | {unit} | {help} |\n"));
    }
    table
}

/// The metrics reference, a page by itself.
pub fn markdown_page() -> String {
    let mut page = format!("# Metrics\n\n{INTRODUCTION}");
    let (of_conversations, of_the_exporter): (Vec<_>, Vec<_>) = FAMILIES.iter().partition(|family| family.of_pairs);
    for (title, families) in
        [("Conversations, by bot and team", of_conversations), ("The account and the exporter itself", of_the_exporter)]
    {
        page.push_str(&format!("\n## {title}\n"));
        for family in families {
            describe(family, &mut page);
        }
    }
    page
}

const INTRODUCTION: &str = "\
Every metric of the exporter, generated from the declarations in its code (`JELOU_EXPORTER_UPDATE_README=1 cargo test readme`).
When a conversation moves which number is told in [numbers.md](numbers.md).

`account` is `api.account`, `bot` and `team` are names that Jelou gives: `bot=\"unknown\"` names none, `team=\"unassigned\"` no single
one, and `__overflow__` takes what is beyond `metrics.max_label_sets`. Histograms have the bounds of `metrics.reply_time_buckets` and
`metrics.duration_buckets`, and native (exponential) buckets of `metrics.native_histogram_schema` beside them. A timestamp that is
not known yet is absent, not 0; OTLP metrics are absent without an endpoint, checkpoint metrics without a `state.path`. Counters of
conversations, and amendments, vanished, aged out, outside window and overflowed, go on through restarts; the exporter's other counters
start with the process.
";

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    }
}

fn labels(family: &Family) -> String {
    family.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ")
}

/// A section of the page.
fn describe(family: &Family, page: &mut String) {
    let (kind, labels) = (kind(family.kind), labels(family));
    let (name, otlp_name, help) = (family.name, family.otlp_name, family.help);
    page.push_str(&format!("\n### `{name}`\n\n{help}\n\n- {kind}, by {labels}\n"));
    for (label, values) in family.labels.iter().filter_map(|label| Some((label, values(family.id, label)?))) {
        page.push_str(&format!("- `{label}`: {}\n", values.join(", ")));
    }
    let unit = if family.unit.is_empty() { "without a unit".to_owned() } else { format!("unit `{}`", family.unit) };
    page.push_str(&format!("- in OTLP `{otlp_name}`, {unit}\n"));
}

/// What a label can be; `None` if that is not for the exporter to say.
fn values(family: FamilyId, label: &str) -> Option<Vec<&'static str>> {
    fn all<K: LabelValue>() -> Vec<&'static str> {
        K::ALL.iter().map(|value| value.text()).collect()
    }
    Some(match (family, label) {
        (_, "origin") => all::<Origin>(),
        (_, "state") => all::<State>().into_iter().filter(|state| *state != State::Active.as_str()).collect(),
        (FamilyId::HttpDropped, "reason") => all::<HttpDrop>(),
        (_, "reason") => all::<Reason>(),
        (_, "percentile") => PERCENTILE_LABELS.to_vec(),
        (_, "outcome") => all::<Outcome>(),
        (_, "level") => all::<LogLevel>(),
        (FamilyId::Decided, "result") => vec!["met", "missed"],
        (FamilyId::Polls, "result") => all::<PollResult>(),
        (FamilyId::Walks, "result") => all::<WalkResult>(),
        (FamilyId::Records, "result") => all::<RecordResult>(),
        (FamilyId::OtlpExports, "result") => all::<ExportResult>(),
        (FamilyId::Amendments, "field") => all::<AmendedField>(),
        (FamilyId::UnknownValues, "field") => all::<UnknownField>(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    /// What the README must hold between two markers, and which.
    type Section = (&'static str, fn() -> String);

    const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    const UPDATE: &str = "JELOU_EXPORTER_UPDATE_README";
    const SECTIONS: [Section; 2] = [("settings", config::markdown_table), ("metrics", markdown_table)];

    /// The text with what stands between the markers of `name` replaced; `None` without markers.
    fn replaced(text: &str, name: &str, table: &str) -> Option<String> {
        let (begin, end) = (format!("<!-- {name}: generated -->\n"), format!("<!-- {name}: end -->"));
        let (before, rest) = text.split_once(&begin)?;
        let (_, after) = rest.split_once(&end)?;
        Some(format!("{before}{begin}{table}{end}{after}"))
    }

    #[test]
    fn readme_tables_are_those_of_the_code() {
        let text = std::fs::read_to_string(README).expect("README.md");
        let mut wanted = text.clone();
        for (name, table) in SECTIONS {
            wanted =
                replaced(&wanted, name, &table()).unwrap_or_else(|| panic!("README.md has lost its markers of {name}"));
        }
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(README, &wanted).expect("README.md can be written");
        } else if let Some((here, wanted)) = text.lines().zip(wanted.lines()).find(|(here, wanted)| here != wanted) {
            panic!(
                "a table of README.md is not that of the code; rewrite it with `{UPDATE}=1 cargo test readme`\n\
                 README.md: {here}\nthe code:  {wanted}"
            );
        } else {
            assert_eq!(
                text, wanted,
                "a table of README.md has rows too many or too few: `{UPDATE}=1 cargo test readme`"
            );
        }
    }

    #[test]
    fn the_page_beside_the_readme_is_that_of_the_code() {
        const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(PAGE, markdown_page()).expect("docs/metrics.md can be written");
        } else {
            let here = std::fs::read_to_string(PAGE).expect("docs/metrics.md");
            assert_eq!(here, markdown_page(), "rewrite docs/metrics.md with `{UPDATE}=1 cargo test readme`");
        }
    }

    #[test]
    fn the_page_tells_the_values_of_every_closed_label() {
        const OPEN: [&str; 7] = ["account", "bot", "team", "company", "version", "revision", "code"];
        for family in FAMILIES {
            for label in family.labels {
                assert_eq!(values(family.id, label).is_none(), OPEN.contains(label), "{} {label}", family.name);
            }
        }
        assert_eq!(values(FamilyId::Ended, "state").unwrap().first(), Some(&"closed"));
        assert_eq!(markdown_page().matches("\n### `").count(), FAMILIES.len());
    }

    #[test]
    fn the_table_has_a_row_for_every_family() {
        let table = markdown_table();
        assert_eq!(table.lines().count(), FAMILIES.len() + 2);
        assert!(table.lines().all(|line| line.matches('|').count() == 7), "{table}");
        assert!(table.contains("| `jelou_up` | gauge | `account` | `jelou.up` |  | 1 when"), "{table}");
    }
}
