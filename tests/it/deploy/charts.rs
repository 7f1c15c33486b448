//! The chart's schema knows the exporter's settings.

use std::collections::BTreeMap;
use std::fs;

use jelou_exporter::config::SETTINGS;
use jelou_exporter::config::settings::{Kind, Setting};
use serde_json::{Value, json};

use super::files::{document, path, read};

const SCHEMA: &str = "deploy/helm/jelou-exporter/values.schema.json";
const UPDATE: &str = "JELOU_EXPORTER_UPDATE_README";
/// What the chart itself decides.
const OF_THE_CHART: [&str; 4] = ["state.path", "web.listen_address", "web.systemd_socket", "api.client_secret_file"];
/// What everybody has to say: without an account of its own, nobody knows whose numbers they are.
const WANTED: [&str; 2] = ["account", "client_id"];

/// What the file may hold for this setting, in JSON schema.
fn values(setting: &Setting) -> Value {
    let mut schema = match setting.kind {
        Kind::Choice(words) => json!({"enum": words}),
        Kind::Whole => json!({"type": "integer"}),
        Kind::Number => json!({"type": "number"}),
        Kind::Switch => json!({"type": "boolean"}),
        list if list.is_list() => json!({"type": ["array", "string"], "items": {"type": "string"}}),
        _ => json!({"type": "string"}),
    };
    schema["description"] = setting.meaning.into();
    if setting.section() == "api" && WANTED.iter().any(|name| setting.key.ends_with(name)) {
        schema["minLength"] = 1.into();
    }
    schema
}

/// The sections that `config` may hold.
fn sections() -> Value {
    let mut sections: BTreeMap<&str, Value> = BTreeMap::new();
    for setting in SETTINGS.iter().filter(|setting| !setting.secret && !OF_THE_CHART.contains(&setting.key)) {
        let empty = || json!({"type": "object", "additionalProperties": false, "properties": {}});
        let section = sections.entry(setting.section()).or_insert_with(empty);
        let (_, name) = setting.key.split_once('.').unwrap();
        section["properties"][name] = values(setting);
    }
    sections.get_mut("api").unwrap()["required"] = json!(WANTED);
    json!(sections)
}

#[test]
fn settings_of_the_chart_are_those_of_the_readme() {
    let here = read(SCHEMA);
    let mut schema: Value = serde_json::from_str(&here).unwrap();
    schema["properties"]["config"]["properties"] = sections();
    let wanted = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    if std::env::var_os(UPDATE).is_some() {
        fs::write(path(SCHEMA), wanted).unwrap();
    } else {
        assert_eq!(here, wanted, "rewrite it: `{UPDATE}=1 cargo test readme`");
    }
}

#[test]
fn the_schema_of_the_chart_knows_every_value() {
    let schema: Value = serde_json::from_str(&read(SCHEMA)).unwrap();
    // `global` is what charts above it may set.
    let known: Vec<_> = schema["properties"].as_object().unwrap().keys().filter(|key| *key != "global").collect();
    let values = document("deploy/helm/jelou-exporter/values.yaml");
    let mut given: Vec<_> = values.as_mapping().unwrap().keys().map(|key| key.as_str().unwrap()).collect();
    given.sort_unstable();
    assert_eq!(known, given);
    assert!(OF_THE_CHART.iter().all(|key| jelou_exporter::config::settings::setting(key).is_some()));
}
