//! Where alerts lead: to a dashboard that there is, that the runbook speaks of, with everything chosen that the alert tells.
//!
//! What a link is in the end stands in promtool's tests, beside the labels of the alert that fires there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{alerts, entries, files, list, place, text, yaml};
use crate::support::exposition::Labels;

/// The variables of each dashboard, by its uid.
fn dashboards() -> BTreeMap<String, BTreeSet<String>> {
    let files = std::fs::read_dir(place("grafana/dashboards")).unwrap().map(|entry| entry.unwrap().path());
    let dashboards = files.map(|path| {
        let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let variables = list(&dashboard["templating"]["list"]).map(|variable| text(variable, "name").to_owned());
        (text(&dashboard, "uid").to_owned(), variables.collect())
    });
    dashboards.collect()
}

/// An alert as promtool's tests expect it: its name, its labels, its link.
struct Fired {
    name: String,
    labels: Labels,
    link: String,
}

fn fired() -> Vec<Fired> {
    let mut fired = Vec::new();
    for file in files("grafana/rules/tests").iter().map(|path| yaml(path)) {
        let tests = list(&file["tests"]).flat_map(|case| list(&case["alert_rule_test"]));
        for (name, alert) in
            tests.flat_map(|test| list(&test["exp_alerts"]).map(|alert| (text(test, "alertname"), alert)))
        {
            fired.push(Fired {
                name: name.to_owned(),
                labels: serde_json::from_value(alert["exp_labels"].clone()).unwrap(),
                link: text(&alert["exp_annotations"], "dashboard_url").to_owned(),
            });
        }
    }
    fired
}

/// The dashboard that a link leads to, and what it chooses there.
fn parts(link: &str) -> Option<(&str, Vec<(&str, &str)>)> {
    let (uid, query) = link.split_once("/d/")?.1.split_once('?')?;
    Some((uid, query.split('&').map(|part| part.split_once('=')).collect::<Option<_>>()?))
}

/// What is wrong with the link of an alert.
fn faults(fired: &Fired, dashboards: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let Some((uid, given)) = parts(&fired.link) else { return vec!["is no link".to_owned()] };
    let Some(variables) = dashboards.get(uid) else { return vec![format!("{uid} is no dashboard")] };
    let mut wrong = Vec::new();
    for (name, value) in &given {
        match name.strip_prefix("var-") {
            Some(name) if !variables.contains(name) => wrong.push(format!("{name} is no variable of {uid}")),
            Some(name) if fired.labels.get(name).is_none_or(|label| label != value) => {
                wrong.push(format!("{name}={value} is nothing that the alert tells"));
            }
            None if !["from", "to"].contains(name) => wrong.push(format!("{name} is nothing that Grafana reads")),
            _ => {}
        }
    }
    // The job stays open: what an account showed under another name is part of what is looked for.
    for name in fired.labels.keys().filter(|name| *name != "job" && variables.contains(*name)) {
        if !given.iter().any(|(given, _)| given.strip_prefix("var-") == Some(name)) {
            wrong.push(format!("{name} is not chosen on {uid}"));
        }
    }
    wrong
}

#[test]
fn alerts_lead_to_what_they_tell_of() {
    let (fired, dashboards) = (fired(), dashboards());
    let names: BTreeSet<_> = fired.iter().map(|fired| fired.name.clone()).collect();
    assert_eq!(names, super::names());
    let wrong: Vec<_> =
        fired.iter().flat_map(|one| faults(one, &dashboards).into_iter().map(|fault| (&one.name, fault))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn faults_of_links_are_named() {
    let dashboards = dashboards();
    let fault = |link: &str| {
        let labels = [("job", "it"), ("account", "acme"), ("team", "Ventas")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let fired = Fired { name: String::new(), labels, link: format!("http://localhost:3000{link}") };
        faults(&fired, &dashboards).join(", ")
    };
    assert_eq!(fault("/d/jelou-team?var-account=acme&var-team=Ventas&from=now-3h&to=now"), "");
    assert_eq!(fault("/d/jelou-exporter?var-account=acme"), "");
    assert_eq!(fault("/d/jelou-teams?var-account=acme&var-team=Ventas"), "jelou-teams is no dashboard");
    assert_eq!(fault("/d/jelou-team?var-account=acme"), "team is not chosen on jelou-team");
    assert_eq!(
        fault("/d/jelou-team?var-acount=acme&var-account=acme&var-team=Ventas"),
        "acount is no variable of jelou-team"
    );
    assert_eq!(
        fault("/d/jelou-team?var-account=acme&var-team=Ventas&var-bot=x"),
        "bot=x is nothing that the alert tells"
    );
    assert_eq!(fault("/d/jelou-exporter?var-account=acme&since=now-3h"), "since is nothing that Grafana reads");
}

/// A name of a team may hold whatever ends a value in a link.
#[test]
fn values_in_links_are_escaped() {
    for alert in alerts() {
        let link = text(&alert["annotations"], "dashboard_url");
        for value in link.split("var-").skip(1).map(|rest| rest.split_once('=').unwrap().1) {
            let template =
                value.strip_prefix("{{ ").and_then(|rest| rest.split_once(" }}")).map(|(template, _)| template);
            assert!(template.is_some_and(|template| template.ends_with("| urlquery")), "{link}");
        }
    }
}

/// The dashboard that the runbook would look at.
#[test]
fn alerts_and_runbook_lead_to_the_same_dashboard() {
    let runbook = std::fs::read_to_string(place("grafana/runbook.md")).unwrap();
    let entries: BTreeMap<_, _> = entries(&runbook).into_iter().collect();
    let dashboards = dashboards();
    let mut compared = 0;
    for fired in fired() {
        let entry = entries[&*fired.name];
        let look = entry.split_once("**What to look at.**").unwrap().1.split_once("**What to do.**").unwrap().0;
        let named: Vec<_> = dashboards.keys().filter(|uid| look.contains(&format!("`{uid}`"))).collect();
        let (uid, _) = parts(&fired.link).unwrap();
        assert!(
            named.is_empty() || named.iter().any(|named| *named == uid),
            "{} leads to {uid}, the runbook to {named:?}",
            fired.name
        );
        compared += usize::from(!named.is_empty());
    }
    assert!(compared > 20, "{compared}");
}
