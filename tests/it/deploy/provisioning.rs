//! What Grafana is provisioned with. Grafana takes a key that it does not know without a word, and does nothing by it, so here
//! every key has to be one that it declares, of the kind that it declares.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_norway::{Error, Value, from_value};

use super::files::{below, document, documents, read, text};

/// A file of data sources, version 1.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "what is asked is whether a file can be read as this")]
struct Sources {
    api_version: u32,
    datasources: Vec<Source>,
    prune: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "what is asked is whether a file can be read as this")]
struct Source {
    name: String,
    uid: String,
    r#type: String,
    access: Access,
    url: String,
    org_id: Option<u32>,
    basic_auth: Option<bool>,
    basic_auth_user: Option<String>,
    with_credentials: Option<bool>,
    is_default: Option<bool>,
    editable: bool,
    json_data: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Access {
    Proxy,
    Direct,
}

/// `jsonData` of a data source of type `prometheus`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "what is asked is whether a file can be read as this")]
struct Prometheus {
    http_method: Option<Method>,
    time_interval: Option<String>,
    query_timeout: Option<String>,
    custom_query_parameters: Option<String>,
    disable_metrics_lookup: Option<bool>,
    exemplar_trace_id_destinations: Option<Vec<Destination>>,
    prometheus_type: Option<Application>,
    prometheus_version: Option<String>,
    cache_level: Option<CacheLevel>,
    default_editor: Option<Editor>,
    incremental_querying: Option<bool>,
    incremental_query_overlap_window: Option<String>,
    disable_recording_rules: Option<bool>,
    allow_as_recording_rules_target: Option<bool>,
    series_endpoint: Option<bool>,
    manage_alerts: Option<bool>,
    alertmanager_uid: Option<String>,
}

/// Where a dot leads.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "what is asked is whether a file can be read as this")]
struct Destination {
    name: String,
    url: Option<String>,
    url_display_label: Option<String>,
    datasource_uid: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Method {
    Get,
    Post,
}

#[derive(Deserialize)]
enum Application {
    Cortex,
    Mimir,
    Prometheus,
    Thanos,
}

#[derive(Deserialize)]
enum CacheLevel {
    Low,
    Medium,
    High,
    None,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Editor {
    Builder,
    Code,
}

/// `jsonData` of a data source of type `alertmanager`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "what is asked is whether a file can be read as this")]
struct Alertmanager {
    implementation: Option<Implementation>,
    handle_grafana_managed_alerts: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Implementation {
    Cortex,
    Mimir,
    Prometheus,
}

/// A file of places that dashboards are loaded from, version 1.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "what is asked is whether a file can be read as this")]
struct Dashboards {
    api_version: u32,
    providers: Vec<Provider>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "what is asked is whether a file can be read as this")]
struct Provider {
    name: String,
    r#type: ProviderType,
    org_id: Option<u32>,
    folder: Option<String>,
    folder_uid: Option<String>,
    disable_deletion: Option<bool>,
    allow_ui_updates: Option<bool>,
    update_interval_seconds: Option<u32>,
    options: Options,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ProviderType {
    File,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "what is asked is whether a file can be read as this")]
struct Options {
    path: String,
    folders_from_files_structure: Option<bool>,
}

fn is<T: DeserializeOwned>(value: &Value) -> Result<T, Error> {
    from_value(value.clone())
}

/// Whether Grafana knows everything that is said in a file of data sources.
fn check_sources(file: &Value) -> Result<(), Error> {
    let sources = is::<Sources>(file)?;
    let (mut names, mut uids) = (BTreeSet::new(), BTreeSet::new());
    for source in sources.datasources {
        match &*source.r#type {
            "prometheus" => is::<Prometheus>(&source.json_data).map(|_| ())?,
            "alertmanager" => is::<Alertmanager>(&source.json_data).map(|_| ())?,
            other => return Err(serde::de::Error::custom(format!("{other} is no type of data source"))),
        }
        if !names.insert(source.name) || !uids.insert(source.uid) {
            return Err(serde::de::Error::custom("two data sources of one name"));
        }
    }
    Ok(())
}

const SOURCES: &str = "grafana/provisioning/datasources/jelou.yaml";
const DASHBOARDS: &str = "grafana/provisioning/dashboards/jelou.yaml";

#[test]
fn grafana_knows_every_key_that_it_is_provisioned_with() {
    assert_eq!(below("grafana/provisioning").len(), 2, "every file is checked");
    check_sources(&document(SOURCES)).unwrap();
    is::<Dashboards>(&document(DASHBOARDS)).unwrap();
    // What is shown to be copied, too.
    let readme = read("grafana/README.md");
    let shown: Vec<_> = readme.split("```yaml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0).collect();
    let shown: Vec<_> = shown.into_iter().flat_map(documents).filter(|shown| !shown["providers"].is_null()).collect();
    assert!(!shown.is_empty());
    for shown in shown {
        is::<Dashboards>(&shown).unwrap();
    }
}

#[test]
fn a_key_that_grafana_does_not_know_is_named() {
    let sources = read(SOURCES);
    for (right, wrong) in [
        ("httpMethod", "httpMetod"),
        ("timeInterval", "interval"),
        ("prometheusType: Prometheus", "prometheusType: prometheus"),
        ("isDefault", "default"),
        ("handleGrafanaManagedAlerts: false", "handleGrafanaManagedAlerts: no one"),
        ("implementation: prometheus", "implementation: Prometheus"),
        ("type: alertmanager", "type: alertmanger"),
        ("uid: alertmanager", "uid: prometheus"),
    ] {
        assert!(sources.contains(right), "{right}");
        let [damaged]: [Value; 1] = documents(&sources.replace(right, wrong)).try_into().unwrap();
        assert!(check_sources(&damaged).is_err(), "{wrong}");
    }
    let dashboards = document(DASHBOARDS);
    assert!(text(&dashboards["providers"][0], &["type"]) == "file");
    for (right, wrong) in [("path:", "paths:"), ("allowUiUpdates", "allowUIUpdates"), ("type: file", "type: files")] {
        let [damaged]: [Value; 1] = documents(&read(DASHBOARDS).replace(right, wrong)).try_into().unwrap();
        assert!(damaged != dashboards && is::<Dashboards>(&damaged).is_err(), "{wrong}");
    }
}
