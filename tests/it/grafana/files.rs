//! Every file in `grafana/`, and every expression in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::source::folder;

/// A dashboard as it is committed.
pub(super) struct Dashboard {
    pub(super) name: String,
    pub(super) json: Value,
}

impl Dashboard {
    pub(super) fn panels(&self) -> impl Iterator<Item = &Value> {
        self.json["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row")
    }

    pub(super) fn variables(&self) -> &[Value] {
        self.json["templating"]["list"].as_array().unwrap()
    }
}

/// An expression, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    pub(super) place: String,
    pub(super) text: String,
    /// What names the series that come of it.
    pub(super) legend: String,
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below `grafana/` whose name ends so, by its path within the repository.
fn files(endings: &[&str]) -> Vec<(String, PathBuf)> {
    let (mut found, mut folders) = (Vec::new(), vec![folder()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            // What npm installs and what is built is not ours.
            if path.is_dir() && !["node_modules", "dist"].contains(&&*name) {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| endings.iter().any(|wanted| ending == *wanted)) {
                let within = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
                found.push((within.display().to_string(), path));
            }
        }
    }
    found.sort();
    found
}

/// Every JSON file with panels.
pub(super) fn dashboards() -> Vec<Dashboard> {
    let json = files(&["json"]).into_iter().map(|(name, path)| {
        let json: Value = serde_json::from_str(&read(&path)).unwrap_or_else(|error| panic!("{name}: {error}"));
        Dashboard { name, json }
    });
    json.filter(|file| file.json.get("panels").is_some()).collect()
}

/// The data sources that Grafana is given.
pub(super) fn provisioned_sources() -> Value {
    let path = folder().join("provisioning/datasources/jelou.yaml");
    serde_norway::from_str(&read(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The queries of the panels, without those of variables and annotations.
pub(super) fn queries(dashboard: &Dashboard) -> impl Iterator<Item = (&Value, &Value)> {
    let targets = |panel: &'_ Value| panel["targets"].as_array().map_or(0, Vec::len);
    dashboard.panels().flat_map(move |panel| (0..targets(panel)).map(move |at| (panel, &panel["targets"][at])))
}

/// `label_values(selector, label)` of a variable, taken apart.
pub(super) fn label_values(variable: &Value) -> Option<(&str, &str)> {
    let query = variable["query"]["query"].as_str()?;
    let (selector, label) = query.strip_prefix("label_values(")?.strip_suffix(')')?.rsplit_once(", ")?;
    Some((selector, label))
}

/// Every expression of a dashboard, variables and annotations included.
pub(super) fn of_dashboard(dashboard: &Dashboard) -> Vec<Expression> {
    let name = &dashboard.name;
    let panels = queries(dashboard).map(|(panel, target)| Expression {
        place: format!("{name}: {} {}", panel["title"], target["refId"]),
        text: target["expr"].as_str().unwrap().to_owned(),
        legend: target["legendFormat"].as_str().unwrap_or_default().to_owned(),
    });
    let variables = dashboard.variables().iter().filter_map(|variable| {
        let (selector, label) = label_values(variable)?;
        let place = format!("{name}: variable {}", variable["name"]);
        Some(Expression { place, text: selector.to_owned(), legend: format!("{{{{{label}}}}}") })
    });
    let annotations = dashboard.json["annotations"]["list"].as_array().unwrap().iter().map(|annotation| Expression {
        place: format!("{name}: annotation {}", annotation["name"]),
        text: annotation["target"]["expr"].as_str().unwrap().to_owned(),
        legend: format!("{}{}", annotation["titleFormat"], annotation["textFormat"]),
    });
    panels.chain(variables).chain(annotations).collect()
}

/// A rule of Prometheus.
pub(super) struct Rule {
    /// Of the alert, or of the series that is recorded.
    pub(super) name: String,
    /// An alerting rule, not a recording one.
    pub(super) alert: bool,
    pub(super) expression: Expression,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
}

/// Every rule of every YAML file that has groups of them.
pub(super) fn rules() -> Vec<Rule> {
    let mut rules = Vec::new();
    for (name, path) in files(&["yaml", "yml"]) {
        let file: Value = serde_norway::from_str(&read(&path)).unwrap_or_else(|error| panic!("{name}: {error}"));
        // As a file of Prometheus, or as a resource of its operator.
        let groups = file["groups"].as_array().or_else(|| file["spec"]["groups"].as_array());
        for rule in groups.into_iter().flatten().filter_map(|group| group["rules"].as_array()).flatten() {
            let called = |key: &str| rule[key].as_str().map(str::to_owned);
            let title = called("alert").or_else(|| called("record")).unwrap_or_default();
            let text = called("expr").unwrap_or_else(|| panic!("{name}: {title} has no expression"));
            let expression = Expression { place: format!("{name}: {title}"), text, legend: String::new() };
            let texts = |key: &str| {
                let fields = rule[key].as_object().into_iter().flatten();
                fields.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
            };
            let (alert, labels, annotations) = (rule["alert"].is_string(), texts("labels"), texts("annotations"));
            rules.push(Rule { name: title, alert, expression, labels, annotations });
        }
    }
    rules
}
