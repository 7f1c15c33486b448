//! The alerts that are written over the curves: those of what is looked at, and no others.

use std::collections::BTreeMap;

use promql_parser::parser::{Expr, parse};

use super::expressions::{choices, substitute};
use super::files::{self, Dashboard, Rule};

type Labels = BTreeMap<String, String>;

/// Whether the dashboard, with these values chosen, writes this alert over its curves.
fn shows(dashboard: &Dashboard, chosen: &[(&str, &str)], alert: &Labels) -> bool {
    let mut values = choices(dashboard.variables()).pop().unwrap();
    values.extend(chosen.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    dashboard.json["annotations"]["list"].as_array().unwrap().iter().any(|annotation| {
        let expression = substitute(annotation["target"]["expr"].as_str().unwrap(), &values).unwrap();
        let Ok(Expr::VectorSelector(selector)) = parse(&expression) else { panic!("{expression} is no selector") };
        let holds = |name: &str| alert.get(name).map_or("", String::as_str);
        selector.name.as_deref() == Some("ALERTS")
            && selector.matchers.matchers.iter().all(|matcher| matcher.is_match(holds(&matcher.name)))
    })
}

/// The labels of an alert that fires, of this team unless the rule is about exporters, with these labels changed.
fn firing(rule: &Rule, changed: &[(&str, &str)]) -> Labels {
    let mut labels = rule.labels.clone();
    let known = [("alertname", &*rule.name), ("alertstate", "firing"), ("job", "jelou"), ("account", "one")];
    let team = (labels["concerns"] == "customers").then_some(("team", "Ventas"));
    let all = known.into_iter().chain(team).chain(changed.iter().copied());
    labels.extend(all.map(|(name, value)| (name.to_owned(), value.to_owned())));
    labels
}

#[test]
fn every_alert_is_shown_where_it_belongs_and_nowhere_else() {
    let dashboards = files::dashboards();
    let chosen = [("job", "jelou"), ("account", "one"), ("team", "Ventas")];
    let mut seen = BTreeMap::new();
    for rule in files::rules().iter().filter(|rule| rule.alert) {
        let concerns = rule.labels["concerns"].clone();
        for dashboard in &dashboards {
            let of_customers = dashboard.json["uid"] != "jelou-exporter";
            let place = format!("{} on {}", rule.name, dashboard.name);
            let wanted = concerns == "exporter" || of_customers;
            assert_eq!(shows(dashboard, &chosen, &firing(rule, &[])), wanted, "{place}");
            assert_eq!(shows(dashboard, &[], &firing(rule, &[])), wanted, "{place}, all chosen");
            for other in [("account", "two"), ("job", "other"), ("alertstate", "pending"), ("alertname", "Other")] {
                assert!(!shows(dashboard, &chosen, &firing(rule, &[other])), "{place}, {other:?}");
            }
            if concerns == "customers" {
                assert!(!shows(dashboard, &chosen, &firing(rule, &[("team", "Soporte")])), "{place}, another team");
            } else {
                // That no exporter is seen is of no account.
                let of_none = firing(rule, &[("account", ""), ("job", "")]);
                assert!(shows(dashboard, &chosen, &of_none), "{place}, of no account");
            }
        }
        *seen.entry(concerns).or_insert(0) += 1;
    }
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["customers", "exporter"]);
}
