//! The dashboards and rules in `grafana/`: dashboards are made from their sources; what they and the rules ask for is what
//! the exporter shows, and a real Prometheus answers.
//!
//! In reading order: `source` (what a dashboard's source may say), `promql` (its short forms), `panels` and `variables` (from
//! source to JSON), `structure` (what Grafana needs, and a reader), `conventions` (what people expect of dashboards from
//! elsewhere), `links` (where a click leads), `alerts` (what is written over the curves), `colours`, `pictures` (whether they
//! show what is there now), `ages` (how old the data is said to be), `files` (every expression that there is), `vocabulary`
//! (what the exporter shows), `expressions` (the one against the other), `live` (asked of a real Prometheus).

mod ages;
mod alerts;
mod colours;
mod conventions;
mod expressions;
mod files;
mod links;
mod live;
mod panels;
mod pictures;
mod promql;
mod source;
mod structure;
mod variables;
mod vocabulary;

use std::path::PathBuf;

use serde_json::Value;

const UPDATE: &str = "JELOU_EXPORTER_UPDATE_DASHBOARDS";

/// Where a dashboard lies, and what it must be.
fn made() -> impl Iterator<Item = (PathBuf, Value)> {
    source::read().into_iter().map(|dashboard| {
        let path = source::folder().join(format!("dashboards/{}.json", dashboard.uid));
        (path, panels::dashboard(&dashboard))
    })
}

#[test]
fn dashboards_are_made_from_their_sources() {
    for (path, wanted) in made() {
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&path, serde_json::to_string_pretty(&wanted).unwrap() + "\n").unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let here: Value = serde_json::from_str(&text).unwrap();
        assert!(
            here == wanted,
            "{} is not what its source in grafana/src says; make it again with `{UPDATE}=1 cargo test --test it grafana`",
            path.display()
        );
    }
}
