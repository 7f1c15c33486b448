//! The README's table of metrics.

use crate::domain::catalog::{FAMILIES, Kind};

/// Every family of the catalog, in its order, as a Markdown table.
pub fn markdown_table() -> String {
    let mut table =
        "| Prometheus name | type | labels | OTLP name | unit | tells |\n|---|---|---|---|---|---|\n".to_owned();
    for family in FAMILIES {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels = family.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let unit = if family.unit.is_empty() { String::new() } else { format!("`{}`", family.unit) };
        let (name, otlp_name, help) = (family.name, family.otlp_name, family.help.replace('|', "\\|"));
        table.push_str(&format!("| `{name}` | {kind} | {labels} | `{otlp_name}` | {unit} | {help} |\n"));
    }
    table
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
    fn the_table_has_a_row_for_every_family() {
        let table = markdown_table();
        assert_eq!(table.lines().count(), FAMILIES.len() + 2);
        assert!(table.lines().all(|line| line.matches('|').count() == 7), "{table}");
        assert!(table.contains("| `jelou_up` | gauge | `account` | `jelou.up` |  | 1 when"), "{table}");
    }
}
