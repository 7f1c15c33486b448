//! What Grafana needs of a dashboard that is provisioned from a file, and what a reader needs of a panel.

use std::collections::BTreeSet;

use jelou_exporter::domain::catalog::{FAMILIES, Family};
use serde_json::Value;

use super::files::{self, Dashboard};
use super::links::{self, Variables};

/// What is wrong with a dashboard, the others having these variables.
fn faults(dashboard: &Dashboard, all: &Variables) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            wrong.push(format!("{}: {what}", dashboard.name));
        }
    };
    let json = &dashboard.json;
    let uid = json["uid"].as_str().unwrap_or_default();
    expect(json["id"].is_null() && json.get("id").is_some(), "id is not null");
    expect(
        !uid.is_empty() && uid.len() <= 40 && uid.chars().all(|c| c == '-' || c.is_ascii_lowercase()),
        "uid is not of lower-case letters and hyphens",
    );
    expect(dashboard.name == format!("grafana/dashboards/{uid}.json"), "is not named by its uid");
    expect((39..=41).contains(&json["schemaVersion"].as_u64().unwrap_or_default()), "schemaVersion is not classic");
    expect(json["editable"] == false, "is editable");
    expect(json.get("__inputs").is_none() && json.get("__requires").is_none(), "is an export with inputs");
    expect(json["description"].as_str().is_some_and(|text| text.contains('?')), "its description asks nothing");
    expect(json["tags"] == serde_json::json!(["jelou"]), "lacks the tag that links dashboards");
    let mut sources = Vec::new();
    collect("datasource", json, &mut sources);
    expect(
        sources.iter().all(|source| source["uid"] == "${datasource}" && source["type"] == "prometheus"),
        "names a data source other than ${datasource}",
    );
    expect(
        dashboard.variables().iter().all(|variable| variable["description"].is_string()),
        "a variable is not explained",
    );

    let text = json.to_string();
    for name in &all[uid] {
        let asked = [format!("${name}"), format!("${{{name}")].iter().any(|way| text.contains(way));
        expect(asked, &format!("the variable {name} is not used"));
    }
    let mut urls = Vec::new();
    collect("url", json, &mut urls);
    for url in urls.iter().filter_map(|url| url.as_str()).filter(|url| url.starts_with("/d/")) {
        let fault = links::fault(url, &all[uid], all);
        expect(fault.is_none(), &format!("{url} {}", fault.unwrap_or_default()));
    }
    for annotation in json["annotations"]["list"].as_array().unwrap() {
        for name in unchosen(annotation["target"]["expr"].as_str().unwrap_or_default()) {
            expect(false, &format!("an annotation asks for {name} whatever the variables choose"));
        }
    }
    wrong.extend(grid_faults(dashboard));
    wrong.extend(dashboard.panels().flat_map(|panel| panel_faults(dashboard, panel)));
    wrong
}

/// Every value under this key, wherever it stands.
pub(super) fn collect<'a>(key: &str, json: &'a Value, found: &mut Vec<&'a Value>) {
    match json {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == key {
                    found.push(value);
                }
                collect(key, value, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(key, value, found)),
        _ => {}
    }
}

/// Panels of one number each, side by side, within 24 columns.
fn grid_faults(dashboard: &Dashboard) -> Vec<String> {
    let panels = dashboard.json["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    let mut wrong = Vec::new();
    if ids.len() != panels.len() {
        wrong.push(format!("{}: two panels have one id", dashboard.name));
    }
    let mut taken = BTreeSet::new();
    for panel in panels {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        let free = (x..x + w).flat_map(|column| (y..y + h).map(move |line| (column, line))).all(|at| taken.insert(at));
        if x + w > 24 || !free {
            wrong.push(format!("{}: {} overlaps another panel or the margin", dashboard.name, panel["title"]));
        }
    }
    wrong
}

fn panel_faults(dashboard: &Dashboard, panel: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            wrong.push(format!("{}: {}: {what}", dashboard.name, panel["title"]));
        }
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (description, defaults) = (text(&panel["description"]), &panel["fieldConfig"]["defaults"]);
    expect(!text(&panel["title"]).is_empty(), "has no title");
    expect(description.contains('?'), "does not say which question it answers");
    expect(!text(&defaults["unit"]).is_empty(), "has no unit");
    let mut colours = Vec::new();
    collect("steps", &panel["fieldConfig"], &mut colours);
    expect(!colours.is_empty(), "has no thresholds");
    let is_curve = ["timeseries", "barchart"].iter().any(|kind| panel["type"] == *kind);
    expect(
        !is_curve || !["s", "m", "h"].iter().any(|unit| defaults["unit"] == *unit),
        "has an axis of seconds in hundreds, so ticks of 8.33 mins: `suffix:min` and / 60, or `suffix:s`",
    );
    expect(
        panel["type"] != "timeseries" || defaults["unit"] != "percentunit" || defaults["decimals"] != 0,
        "has an axis of whole ones, so no tick between 0 and 100 %",
    );
    let counts = defaults["custom"]["drawStyle"] == "bars";
    expect(!counts || defaults["decimals"] == 0, "has bars of parts of people");
    // `short` writes 1500 as 2 K then.
    expect(!counts || defaults["unit"] == "none", "has bars of another unit than `none`");
    expect(!counts || description.contains("estimates"), "does not say that its counts are estimated");
    for color in colours.iter().filter_map(|steps| steps.as_array()).filter(|steps| steps.len() > 1).flatten() {
        let color = text(&color["color"]);
        let told = description.to_lowercase().contains(&color) || ["transparent", "text"].contains(&&*color);
        // What is good is told by what is not.
        expect(told || color == "green", &format!("does not say what {color} means"));
    }
    let targets = panel["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
    let references: BTreeSet<_> = targets.iter().map(|target| text(&target["refId"])).collect();
    expect(!targets.is_empty() && references.len() == targets.len(), "has no queries, or two of one name");
    let tiles = panel["fieldConfig"]["defaults"]["custom"]["drawStyle"] == "bars" || panel["type"] == "heatmap";
    for target in targets {
        let expr = text(&target["expr"]);
        for name in unchosen(&expr) {
            expect(false, &format!("asks for {name} whatever the variables choose"));
        }
        expect(
            !tiles || expr.contains("[$__interval]") && panel["interval"].is_string(),
            "has bars that do not tile: [$__interval] and a least interval",
        );
        let named = !text(&target["legendFormat"]).is_empty() || target["format"] == "table" || targets.len() == 1;
        expect(named, "has a query without a legend");
    }
    wrong.extend(override_faults(dashboard, panel));
    wrong
}

/// The series of this expression that are not selected by all the variables that may choose among them: a panel that forgets
/// one shows other teams' numbers.
fn unchosen(expr: &str) -> Vec<String> {
    let starts = ["jelou_", "process_"].iter().flat_map(|prefix| expr.match_indices(prefix));
    let selectors = starts.map(|(at, _)| {
        let rest = &expr[at..];
        rest.split_at(rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(rest.len()))
    });
    let forgets = |(name, rest): &(&str, &str)| {
        let is_of = |family: &&Family| {
            name.strip_prefix(family.name).is_some_and(|end| ["", "_bucket", "_sum", "_count"].contains(&end))
        };
        let family = FAMILIES.iter().find(is_of);
        let has = |label: &&str| *label == "job" || family.is_some_and(|family| family.labels.contains(label));
        let matchers = ["job", "account", "team", "bot"].into_iter().filter(has);
        let matchers: Vec<_> = matchers.map(|label| format!("{label}=~\"${label}\"")).collect();
        !rest.starts_with(&format!("{{{}", matchers.join(",")))
    };
    selectors.filter(forgets).map(|(name, _)| name.to_owned()).collect()
}

/// An override that names nothing changes nothing, and nobody notices.
fn override_faults(dashboard: &Dashboard, panel: &Value) -> Vec<String> {
    let mut names: BTreeSet<String> = files::queries(dashboard)
        .filter(|(of, _)| of["id"] == panel["id"])
        .map(|(_, target)| target["legendFormat"].as_str().unwrap_or_default().to_owned())
        .collect();
    let mut renamed = Vec::new();
    collect("renameByName", panel, &mut renamed);
    let columns = renamed.iter().filter_map(|names| names.as_object()).flat_map(|names| names.values());
    names.extend(columns.filter_map(|name| name.as_str().map(str::to_owned)));
    // What `{{result}}` becomes is a value of the label, and these are checked where expressions are.
    let open = names.iter().any(|name| name.contains("{{"));
    let matchers = panel["fieldConfig"]["overrides"].as_array().unwrap().iter().map(|with| &with["matcher"]);
    let lost =
        matchers.filter_map(|matcher| matcher["options"].as_str()).filter(|name| !open && !names.contains(*name));
    lost.map(|name| format!("{}: {}: nothing is called {name}", dashboard.name, panel["title"])).collect()
}

#[test]
fn dashboards_are_as_grafana_and_readers_need_them() {
    let dashboards = files::dashboards();
    let all = links::variables(&dashboards);
    assert_eq!(all.keys().collect::<Vec<_>>(), ["jelou-exporter", "jelou-overview", "jelou-team"]);
    let wrong: Vec<_> = dashboards.iter().flat_map(|dashboard| faults(dashboard, &all)).collect();
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn faults_in_dashboards_are_named() {
    let dashboards = files::dashboards();
    let all = links::variables(&dashboards);
    let overview = dashboards.iter().find(|dashboard| dashboard.json["uid"] == "jelou-overview").unwrap();
    let first =
        |json: &Value| json["panels"].as_array().unwrap().iter().position(|panel| panel["type"] == "stat").unwrap();
    type Damage = (&'static str, fn(&mut Value, usize));
    let damages: [Damage; 13] = [
        ("an annotation asks for jelou_up", |json, _| {
            json["annotations"]["list"][0]["target"]["expr"] = "jelou_up{job=~\"$job\"}".into();
        }),
        ("has an axis of seconds", |json, at| {
            json["panels"][at]["type"] = "timeseries".into();
            json["panels"][at]["fieldConfig"]["defaults"]["unit"] = "s".into();
        }),
        ("asks for jelou_conversations_waiting whatever", |json, at| {
            json["panels"][at]["targets"][0]["expr"] = "sum(jelou_conversations_waiting{job=~\"$job\"})".into();
        }),
        ("id is not null", |json, _| json["id"] = 1.into()),
        ("uid is not of lower-case", |json, _| json["title"] = json["uid"].take()),
        ("schemaVersion is not classic", |json, _| json["schemaVersion"] = 42.into()),
        ("data source other than", |json, at| json["panels"][at]["datasource"]["uid"] = "abc".into()),
        ("which question it answers", |json, at| json["panels"][at]["description"] = "A number.".into()),
        ("has no unit", |json, at| json["panels"][at]["fieldConfig"]["defaults"]["unit"] = "".into()),
        ("has no thresholds", |json, at| json["panels"][at]["fieldConfig"]["defaults"]["thresholds"] = Value::Null),
        ("overlaps another panel", |json, at| json["panels"][at]["gridPos"]["x"] = 1.into()),
        ("two panels have one id", |json, at| json["panels"][at]["id"] = 1.into()),
        ("leads nowhere", |json, at| json["panels"][at]["url"] = "/d/jelou-nowhere/x".into()),
    ];
    for (what, damage) in damages {
        let mut json = overview.json.clone();
        let at = first(&json);
        damage(&mut json, at);
        let mut all = all.clone();
        all.entry(json["uid"].as_str().unwrap_or_default().to_owned()).or_default();
        let wrong = faults(&Dashboard { name: overview.name.clone(), json }, &all);
        assert!(wrong.iter().any(|fault| fault.contains(what)), "{what}: {wrong:?}");
    }
}
