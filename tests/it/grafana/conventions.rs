//! What people expect of a dashboard from elsewhere, beyond what `structure` looks at: that source and job are theirs to choose,
//! that units are Grafana's, and that queries are written as Prometheus wants counters to be asked for. It is what
//! dashboard-linter of Grafana looks at; where our dashboards keep to something else, that stands here with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jelou_exporter::domain::catalog::{FAMILIES, Family, Kind};
use promql_parser::parser::{Expr, VectorSelector, parse};
use serde_json::{Value, json};

use super::expressions::{choices, substitute};
use super::files::{self, Dashboard};
use super::panels::DATASOURCE;
use super::structure::collect;

/// The units that are used, by their names in Grafana's list of units; a name that is not in it would stand behind each number.
const UNITS: [&str; 5] = ["none", "short", "s", "bytes", "percentunit"];
/// Units of our own: what stands behind the number is meant. Of `s` on an axis Grafana makes ticks of 8.33 mins.
const OWN_UNITS: [&str; 4] = ["suffix:x", "suffix:s", "suffix:min", "suffix:h"];

/// Functions that know that a counter begins again at 0.
const OF_COUNTERS: [&str; 4] = ["rate", "increase", "irate", "resets"];

/// Windows that are as long as they are, whatever is shown: dashboard, panel, windows, and why.
const FIXED: [(&str, &str, &[&str], &str); 3] = [
    ("jelou-overview", "Budget left over 7 days", &["7d"], "it is the period of the budget"),
    ("jelou-overview", "Started by hour of day", &["1h"], "an hour of the day is an hour, and the step is, too"),
    ("jelou-team", "How fast the budget burns", &["1h", "6h", "3d"], "they are the windows of the alerts"),
];

/// The windows that may be chosen, each with a length by which it is known again once it has been put in.
const WINDOWS: [(&str, u64); 4] = [("__interval", 61), ("__rate_interval", 67), ("__range", 71), ("window", 73)];

/// How a panel shows what it asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Drawn {
    /// One number, for all that is shown.
    Number,
    /// One for each step, side by side.
    Bars,
    /// A curve.
    Curve,
}

fn drawn(panel: &Value) -> Drawn {
    match panel["type"].as_str().unwrap_or_default() {
        "stat" | "bargauge" | "table" => Drawn::Number,
        "heatmap" | "barchart" => Drawn::Bars,
        _ if panel["fieldConfig"]["defaults"]["custom"]["drawStyle"] == "bars" => Drawn::Bars,
        _ => Drawn::Curve,
    }
}

/// Whether counters may be asked about a window of this name there. `$__rate_interval`, which is usual everywhere, is for
/// curves: bars of it overlap, so that one event stands in several of them, and a number of it tells of the last minute.
fn fits(window: &str, drawn: Drawn) -> bool {
    match drawn {
        Drawn::Number => window == "__range",
        Drawn::Bars => window == "__interval",
        // What is asked for over a longer window has too few events in a short one.
        Drawn::Curve => ["__rate_interval", "window"].contains(&window),
    }
}

fn family(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| {
        name.strip_prefix(family.name).is_some_and(|end| ["", "_bucket", "_sum", "_count"].contains(&end))
    })
}

/// Whether it only ever goes up, until it begins again.
fn is_counter(selector: &VectorSelector) -> bool {
    let name = selector.name.as_deref().unwrap_or_default();
    family(name).map_or(name.ends_with("_total"), |family| family.kind != Kind::Gauge)
}

/// A series that is asked for, and how.
struct Use<'a> {
    selector: &'a VectorSelector,
    /// The function and the window that it stands in.
    over: Option<(&'a str, Duration)>,
}

/// Every series that is asked for.
fn uses<'a>(expr: &'a Expr, function: &'a str, found: &mut Vec<Use<'a>>) {
    match expr {
        Expr::VectorSelector(selector) => found.push(Use { selector, over: None }),
        Expr::MatrixSelector(matrix) => found.push(Use { selector: &matrix.vs, over: Some((function, matrix.range)) }),
        // What goes into a subquery has been added up, or is raw.
        Expr::Subquery(inner) => uses(&inner.expr, "", found),
        Expr::Paren(inner) => uses(&inner.expr, function, found),
        Expr::Unary(inner) => uses(&inner.expr, "", found),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
        Expr::Call(call) => call.args.args.iter().for_each(|argument| uses(argument, call.func.name, found)),
        Expr::Aggregate(aggregate) => {
            uses(&aggregate.expr, "", found);
            aggregate.param.iter().for_each(|parameter| uses(parameter, "", found));
        }
        Expr::Binary(binary) => {
            uses(&binary.lhs, "", found);
            uses(&binary.rhs, "", found);
        }
    }
}

/// What is wrong with how counters, and what is none, are asked for.
fn counter_faults(expr: &Expr) -> Vec<String> {
    let mut found = Vec::new();
    uses(expr, "", &mut found);
    let fault = |used: Use<'_>| {
        let name = used.selector.name.as_deref().unwrap_or_default().to_owned();
        let of_counter = used.over.is_some_and(|(function, _)| OF_COUNTERS.contains(&function));
        match (is_counter(used.selector), of_counter) {
            (true, false) => Some(format!(
                "{name} is a counter: nothing but {} may come before anything else",
                OF_COUNTERS.join(", ")
            )),
            (false, true) => Some(format!("{name} is no counter, and goes down without having begun again")),
            _ => None,
        }
    };
    found.into_iter().filter_map(fault).collect()
}

/// What is wrong with the windows of a panel's query; those that are as long as they are go into `fixed`.
fn window_faults(expr: &Expr, drawn: Drawn, allowed: &[&str], fixed: &mut BTreeSet<Duration>) -> Vec<String> {
    let mut found = Vec::new();
    uses(expr, "", &mut found);
    let fault = |(function, window): (&str, Duration)| {
        if let Some((name, _)) = WINDOWS.iter().find(|(_, length)| Duration::from_secs(*length) == window) {
            return (!fits(name, drawn)).then(|| format!("{function} over ${name} is not for what is drawn so"));
        }
        let known = allowed.iter().any(|text| promql_parser::util::parse_duration(text) == Ok(window));
        fixed.insert(window);
        (!known).then(|| format!("{function} over {window:?} is neither chosen nor listed"))
    };
    found.into_iter().filter_map(|used| used.over).filter_map(fault).collect()
}

/// The panel's queries, with every choice made.
fn query_faults(dashboard: &Dashboard) -> Vec<String> {
    let mut values = choices(dashboard.variables()).pop().unwrap();
    values.extend(WINDOWS.map(|(name, length)| (name.to_owned(), format!("{length}s"))));
    let mut wrong = Vec::new();
    let mut listed: BTreeMap<&str, BTreeSet<Duration>> = BTreeMap::new();
    for (panel, target) in files::queries(dashboard) {
        let title = panel["title"].as_str().unwrap_or_default();
        let text = target["expr"].as_str().unwrap_or_default();
        let mut complain = |what: &str| wrong.push(format!("{}: {title}: {what}\n    {text}", dashboard.name));
        let parsed = match substitute(text, &values).and_then(|text| parse(&text)) {
            Ok(parsed) => parsed,
            Err(error) => {
                complain(&error);
                continue;
            }
        };
        let of_panel = FIXED.iter().find(|(uid, of, ..)| dashboard.json["uid"] == *uid && title == *of);
        let allowed = of_panel.map_or(&[][..], |(_, _, windows, _)| windows);
        let fixed = listed.entry(title).or_default();
        let faults = [counter_faults(&parsed), window_faults(&parsed, drawn(panel), allowed, fixed)];
        faults.concat().iter().for_each(|what| complain(what));
    }
    for (_, title, windows, why) in FIXED.iter().filter(|(uid, ..)| dashboard.json["uid"] == *uid) {
        let asked = listed.get(title).map_or(0, BTreeSet::len);
        if asked != windows.len() {
            wrong.push(format!(
                "{}: {title}: {windows:?} are listed, because {why}, and {asked} are asked for",
                dashboard.name
            ));
        }
    }
    wrong
}

/// Every variable is one of these, and the first chooses the source of all.
fn variable_faults(dashboard: &Dashboard) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |holds: bool, what: String| {
        if !holds {
            wrong.push(format!("{}: {what}", dashboard.name));
        }
    };
    let variables = dashboard.variables();
    let first = |key: &str| variables.first().map_or(&Value::Null, |variable| &variable[key]);
    let source = ["name", "label", "type", "query"].map(|key| first(key).as_str().unwrap_or_default());
    expect(
        source == ["datasource", "Data source", "datasource", "prometheus"],
        format!("its first variable is {source:?}, not the data source"),
    );
    // Of one account there is one exporter, so nobody chooses by instance; where metrics are pushed it is a UUID.
    let names: Vec<_> = variables.iter().map(|variable| variable["name"].as_str().unwrap_or_default()).collect();
    expect(names.get(1) == Some(&"job"), format!("its second variable is not the job: {names:?}"));
    expect(!names.contains(&"instance"), "it asks which instance".to_owned());
    for variable in variables.iter().filter(|variable| variable["type"] == "query") {
        let name = &variable["name"];
        expect(
            files::label_values(variable).is_some_and(|(_, label)| *name == label),
            format!("{name} is not what it is named after"),
        );
        expect(variable["datasource"] == *DATASOURCE, format!("{name} comes from elsewhere"));
        // Teams and bots come and go: those of the range that is shown.
        expect(variable["refresh"] == 2, format!("{name} is not read again when the range changes"));
        let all = [("multi", json!(true)), ("includeAll", json!(true)), ("allValue", json!(".+"))];
        expect(all.iter().all(|(key, value)| variable[*key] == *value), format!("{name} cannot be everything at once"));
    }
    wrong
}

/// Whoever names no source is asked of Grafana's default.
fn source_faults(dashboard: &Dashboard) -> Vec<String> {
    let annotations = dashboard.json["annotations"]["list"].as_array().into_iter().flatten();
    let asking = dashboard.panels().chain(files::queries(dashboard).map(|(_, target)| target)).chain(annotations);
    let without = asking.filter(|one| one["datasource"] != *DATASOURCE);
    without
        .map(|one| format!("{}: {} {} has not the chosen source", dashboard.name, one["title"], one["refId"]))
        .collect()
}

fn unit_faults(dashboard: &Dashboard) -> Vec<String> {
    let mut wrong = Vec::new();
    for panel in dashboard.panels() {
        let mut units = Vec::new();
        collect("unit", panel, &mut units);
        let overrides = panel["fieldConfig"]["overrides"].as_array().into_iter().flatten();
        let properties = overrides.flat_map(|with| with["properties"].as_array().into_iter().flatten());
        units.extend(properties.filter(|property| property["id"] == "unit").map(|property| &property["value"]));
        let unknown =
            |unit: &&&Value| !unit.as_str().is_some_and(|unit| UNITS.contains(&unit) || OWN_UNITS.contains(&unit));
        wrong.extend(
            units
                .iter()
                .filter(unknown)
                .map(|unit| format!("{}: {}: {unit} is no unit", dashboard.name, panel["title"])),
        );
    }
    wrong
}

fn faults(dashboard: &Dashboard) -> Vec<String> {
    [variable_faults, source_faults, unit_faults, query_faults].iter().flat_map(|check| check(dashboard)).collect()
}

#[test]
fn dashboards_keep_the_conventions() {
    let wrong: Vec<_> = files::dashboards().iter().flat_map(faults).collect();
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
}

/// Not by dashboards, and not by rules either.
#[test]
fn no_rule_adds_up_raw_counters() {
    let rules = files::rules();
    assert!(rules.len() > 20);
    for rule in rules {
        let parsed = parse(&rule.expression.text).unwrap_or_else(|error| panic!("{}: {error}", rule.expression.place));
        assert_eq!(counter_faults(&parsed), [""; 0], "{}", rule.expression.place);
    }
}

#[test]
fn counters_are_told_from_what_is_none() {
    for (text, wrong) in [
        ("sum by (team) (rate(jelou_conversations_started_total[5m]))", None),
        ("histogram_quantile(0.9, sum by (le) (increase(jelou_operator_reply_time_seconds_bucket[1h])))", None),
        ("sum(increase(jelou_operator_reply_time_seconds[1h]))", None),
        ("max(jelou_up) or delta(jelou_exporter_data_complete_timestamp_seconds[1h]) > 1", None),
        ("sum(jelou_conversations_started_total)", Some("jelou_conversations_started_total is a counter")),
        ("rate(sum(jelou_conversations_started_total)[5m:1m])", Some("jelou_conversations_started_total is a counter")),
        (
            "delta(jelou_operator_reply_time_seconds_count[1h])",
            Some("jelou_operator_reply_time_seconds_count is a counter"),
        ),
        ("process_cpu_seconds_total > 1", Some("process_cpu_seconds_total is a counter")),
        ("rate(jelou_conversations_waiting[5m])", Some("jelou_conversations_waiting is no counter")),
    ] {
        let faults = counter_faults(&parse(text).unwrap());
        match wrong {
            None => assert!(faults.is_empty(), "{text}: {faults:?}"),
            Some(what) => assert!(faults.len() == 1 && faults[0].starts_with(what), "{text}: {faults:?}"),
        }
    }
}

#[test]
fn breaches_of_the_conventions_are_named() {
    let dashboards = files::dashboards();
    let team = dashboards.iter().find(|dashboard| dashboard.json["uid"] == "jelou-team").unwrap();
    let at = |json: &Value, title: &str| {
        json["panels"].as_array().unwrap().iter().position(|panel| panel["title"] == title).unwrap()
    };
    let ask = |title: &'static str, expr: &'static str| {
        move |json: &mut Value| {
            let panel = at(json, title);
            json["panels"][panel]["targets"][0]["expr"] = expr.into();
        }
    };
    let curve = "Reply times";
    type Damage<'a> = (&'a str, Box<dyn Fn(&mut Value) + 'a>);
    let damages: [Damage<'_>; 12] = [
        ("not the data source", Box::new(|json| json["templating"]["list"][0]["label"] = "Prometheus".into())),
        ("is not the job", Box::new(|json| json["templating"]["list"][1]["name"] = "work".into())),
        ("asks which instance", Box::new(|json| json["templating"]["list"][3]["name"] = "instance".into())),
        ("comes from elsewhere", Box::new(|json| json["templating"]["list"][1]["datasource"] = Value::Null)),
        ("not read again", Box::new(|json| json["templating"]["list"][1]["refresh"] = 1.into())),
        ("everything at once", Box::new(|json| json["templating"]["list"][1]["multi"] = false.into())),
        ("has not the chosen source", Box::new(|json| json["panels"][1]["datasource"] = Value::Null)),
        ("is no unit", Box::new(|json| json["panels"][1]["fieldConfig"]["defaults"]["unit"] = "seconds".into())),
        ("is a counter", Box::new(ask(curve, "sum(jelou_conversations_started_total)"))),
        ("over $__range is not for", Box::new(ask(curve, "rate(jelou_conversations_started_total[$__range])"))),
        ("neither chosen nor listed", Box::new(ask(curve, "rate(jelou_conversations_started_total[5m])"))),
        ("are listed, because", Box::new(ask("How fast the budget burns", "vector(1)"))),
    ];
    for (what, damage) in damages {
        let mut json = team.json.clone();
        damage(&mut json);
        let wrong = faults(&Dashboard { name: team.name.clone(), json });
        assert!(wrong.iter().any(|fault| fault.contains(what)), "{what}: {wrong:?}");
    }
}
