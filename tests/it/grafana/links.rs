//! Where a click leads: from a row and from an alert to a dashboard, from a dot to a conversation.

use std::collections::{BTreeMap, BTreeSet};

use jelou_exporter::domain::distribution::EXEMPLAR_LABEL;
use serde_json::{Value, json};

use super::files::{self, Dashboard};
use super::source::{self, Link};

/// The variables of each dashboard, by its uid.
pub(super) type Variables = BTreeMap<String, BTreeSet<String>>;

/// To another dashboard, or to this one with one value chosen, with everything else that is chosen here and known there.
pub(super) fn of_row(from: &source::Dashboard, link: &Link) -> Value {
    let all = source::read();
    let to = all.iter().find(|one| one.uid == link.to).unwrap_or_else(|| panic!("{} is no dashboard", link.to));
    let (uid, variable) = (&link.to, &link.variable);
    let kept = from.variables.iter().filter(|name| *name != variable && to.variables.contains(name));
    let kept: String = kept.map(|name| format!("&${{{name}:queryparam}}")).collect();
    let url = format!("/d/{uid}/{uid}?${{__url_time_range}}&var-{variable}=${{__value.raw:percentencode}}{kept}");
    json!({"title": link.title, "url": url, "targetBlank": false})
}

/// What is wrong with a link of this dashboard: it leads nowhere, sets what is not there, or loses what is chosen.
pub(super) fn fault(link: &str, from: &BTreeSet<String>, all: &Variables) -> Option<String> {
    let (path, query) = link.split_once('?').unwrap_or((link, ""));
    let Some(there) = path.split('/').nth(2).and_then(|uid| all.get(uid)) else {
        return Some("leads nowhere".to_owned());
    };
    let mut set = BTreeSet::new();
    for part in query.split('&').filter(|part| *part != "${__url_time_range}") {
        let chosen = part.strip_prefix("var-").and_then(|rest| rest.split_once('=')).map(|(name, _)| name);
        let kept = part.strip_prefix("${").and_then(|rest| rest.strip_suffix(":queryparam}"));
        let Some(name) = chosen.or(kept).filter(|name| there.contains(*name)) else {
            return Some(format!("sets {part}, which is no variable there"));
        };
        set.insert(name);
    }
    let lost = from.intersection(there).find(|name| !set.contains(name.as_str()));
    lost.map(|name| format!("loses what is chosen for {name}"))
}

/// What is wrong with the link of an alert, which sets variables and a range of time.
fn fault_of_alert(url: &str, all: &Variables) -> Option<String> {
    // What the templates put in are values, and the address of Grafana.
    let plain: String = url.split("{{").map(|part| part.split_once("}}").map_or(part, |(_, after)| after)).collect();
    let (path, query) = plain.split_once('?').unwrap_or((&plain, ""));
    let Some(there) = path.strip_prefix("/d/").and_then(|uid| all.get(uid)) else {
        return Some("leads nowhere".to_owned());
    };
    let lost = query.split('&').find(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match name.strip_prefix("var-") {
            Some(variable) => !there.contains(variable),
            None => !["from", "to"].contains(&name) || value.is_empty(),
        }
    });
    lost.map(|part| format!("sets {part}, which is no variable there"))
}

/// A text of a provisioning file as Grafana takes it: `$$` is a dollar, and one dollar a variable of its environment.
fn provisioned(text: &str) -> Result<String, String> {
    let parts: Vec<_> = text.split("$$").collect();
    if parts.iter().any(|part| part.contains('$')) {
        Err(format!("{text}: `$` is written `$$`"))
    } else {
        Ok(parts.join("$"))
    }
}

/// What is wrong with the way from a dot to its conversation. Grafana draws dots as annotations, to which no override of a
/// panel applies: the data source alone gives them a link.
fn faults_of_dots(sources: &Value, dashboards: &[Dashboard], all: &Variables) -> Vec<String> {
    let mut wrong = Vec::new();
    let prometheus = sources["datasources"].as_array().unwrap().iter().filter(|source| source["type"] == "prometheus");
    for source in prometheus {
        let ways = source["jsonData"]["exemplarTraceIdDestinations"].as_array().map_or(&[][..], Vec::as_slice);
        let mut ways = ways.iter().filter(|way| way["name"] == EXEMPLAR_LABEL);
        let (Some(way), None) = (ways.next(), ways.next()) else {
            wrong.push(format!("{}: not one way for {EXEMPLAR_LABEL}", source["name"]));
            continue;
        };
        let url = provisioned(way["url"].as_str().unwrap_or_default()).unwrap_or_else(|error| {
            wrong.push(error);
            String::new()
        });
        let Some(base) = url.strip_suffix("${__value.raw}") else {
            wrong.push(format!("{url} does not end in the id"));
            continue;
        };
        let name = base.strip_prefix("${").and_then(|rest| rest.strip_suffix(":raw}"));
        for dashboard in dashboards.iter().filter(|one| files::queries(one).any(|(_, query)| query["exemplar"] == true))
        {
            let variables = &all[dashboard.json["uid"].as_str().unwrap()];
            if !name.is_some_and(|name| variables.contains(name)) {
                wrong.push(format!("{}: {base} is no variable of it", dashboard.name));
            }
        }
        if way["urlDisplayLabel"].as_str().is_none_or(str::is_empty) {
            wrong.push(format!("{}: the way has no name", source["name"]));
        }
    }
    for (panel, dashboard) in dashboards.iter().flat_map(|one| one.panels().map(move |panel| (panel, one))) {
        let overrides = panel["fieldConfig"]["overrides"].as_array().unwrap();
        if overrides.iter().any(|one| one["matcher"]["options"] == EXEMPLAR_LABEL) {
            wrong.push(format!("{}: {}: an override of dots, which does nothing", dashboard.name, panel["title"]));
        }
    }
    wrong
}

pub(super) fn variables(dashboards: &[Dashboard]) -> Variables {
    let names = |dashboard: &Dashboard| {
        dashboard.variables().iter().map(|variable| variable["name"].as_str().unwrap().to_owned()).collect()
    };
    dashboards.iter().map(|one| (one.json["uid"].as_str().unwrap().to_owned(), names(one))).collect()
}

#[test]
fn a_dot_leads_to_its_conversation() {
    let dashboards = files::dashboards();
    let (all, sources) = (variables(&dashboards), files::provisioned_sources());
    assert_eq!(faults_of_dots(&sources, &dashboards, &all), [""; 0]);
    assert!(dashboards.iter().any(|one| files::queries(one).any(|(_, query)| query["exemplar"] == true)));

    let way = "/datasources/0/jsonData/exemplarTraceIdDestinations/0";
    for (key, value, what) in [
        ("name", "trace_id", "not one way for conversation_id"),
        ("url", "${conversation_url:raw}$${__value.raw}", "`$` is written `$$`"),
        ("url", "$${conversation_url:raw}", "does not end in the id"),
        ("url", "$${address:raw}$${__value.raw}", "is no variable of it"),
        ("urlDisplayLabel", "", "the way has no name"),
    ] {
        let mut damaged = sources.clone();
        damaged.pointer_mut(way).unwrap()[key] = value.into();
        let wrong = faults_of_dots(&damaged, &dashboards, &all);
        assert!(wrong.iter().any(|fault| fault.contains(what)), "{what}: {wrong:?}");
    }
    let mut dashboards = dashboards;
    let mut with_dots = dashboards.iter_mut().flat_map(|one| one.json["panels"].as_array_mut().unwrap());
    let panel = with_dots.rfind(|panel| panel["type"] == "heatmap").unwrap();
    panel["fieldConfig"]["overrides"] =
        json!([{"matcher": {"id": "byName", "options": EXEMPLAR_LABEL}, "properties": []}]);
    let wrong = faults_of_dots(&sources, &dashboards, &all);
    assert!(wrong.iter().any(|fault| fault.contains("which does nothing")), "{wrong:?}");
}

#[test]
fn alerts_lead_to_dashboards_with_variables_that_are_there() {
    let all = variables(&files::dashboards());
    let alerts: Vec<_> = files::rules().into_iter().filter(|rule| rule.alert).collect();
    assert!(!alerts.is_empty());
    let wrong: Vec<_> = alerts
        .iter()
        .filter_map(|rule| Some((&rule.expression.place, fault_of_alert(&rule.annotations["dashboard_url"], &all)?)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    for url in ["/d/jelou-nowhere", "{{ . }}/d/jelou-exporter?var-team={{ . }}&from=now-1h", "/d/jelou-team?until=now"]
    {
        assert!(fault_of_alert(url, &all).is_some(), "{url}");
    }
}

#[test]
fn faults_of_links_are_named() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let all = Variables::from([("there".to_owned(), names(&["team", "job", "window"]))]);
    let from = names(&["team", "job", "promise"]);
    let fault = |link: &str| fault(link, &from, &all).unwrap_or_default();
    assert_eq!(fault("/d/there/there?${__url_time_range}&var-team=${__value.raw}&${job:queryparam}"), "");
    assert_eq!(fault("/d/elsewhere/x?var-team=a"), "leads nowhere");
    assert_eq!(fault("/d/there/there?var-team=a"), "loses what is chosen for job");
    assert!(fault("/d/there/there?var-team=a&${job:queryparam}&${promise:queryparam}").contains("promise"));
}
