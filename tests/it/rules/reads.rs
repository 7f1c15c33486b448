//! What rules read: recordings of their own group that stand before them, since groups are evaluated in any order, and windows
//! that each have their guard against what happened before them.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use jelou_exporter::config::settings::setting;
use promql_parser::parser::{Expr, MatrixSelector, Offset, VectorSelector, parse};
use promql_parser::util::{ExprVisitor, walk_expr};
use serde_json::Value;

use super::{groups, list, text};

/// What advances faster than the clock while the exporter catches up.
const COMPLETE: &str = "jelou_exporter_data_complete_timestamp_seconds";

/// A stretch of the past: how long it is, and how long ago it ends, in seconds.
type Window = (u64, u64);

/// What an expression asks for.
struct Selection {
    name: String,
    /// Without one it is the newest value.
    range: Option<u64>,
    ago: u64,
}

struct Reader(Vec<Selection>);

impl Reader {
    fn take(&mut self, selector: &VectorSelector, range: Option<Duration>) {
        let name = selector.name.clone().expect("a selector by name");
        let ago = match &selector.offset {
            None => 0,
            Some(Offset::Pos(offset)) => offset.as_secs(),
            Some(Offset::Neg(_)) => panic!("{name}: nothing is known of the future"),
        };
        assert!(selector.at.is_none(), "{name}: @ is not understood here");
        self.0.push(Selection { name, range: range.map(|range| range.as_secs()), ago });
    }
}

impl ExprVisitor for Reader {
    type Error = Infallible;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Infallible> {
        match expr {
            Expr::VectorSelector(selector) => self.take(selector, None),
            Expr::MatrixSelector(MatrixSelector { vs, range }) => self.take(vs, Some(*range)),
            Expr::Subquery(subquery) => panic!("a subquery is not understood here: {subquery:?}"),
            _ => {}
        }
        Ok(true)
    }
}

fn selections(expr: &str) -> Vec<Selection> {
    let mut reader = Reader(Vec::new());
    let parsed = parse(expr).unwrap_or_else(|error| panic!("{error}: {expr}"));
    let Ok(_) = walk_expr(&mut reader, &parsed);
    reader.0
}

/// Whether it is the name of a recording: those of metrics have no colon.
fn is_recording(name: &str) -> bool {
    name.contains(':')
}

/// What a rule is called.
fn called(rule: &Value) -> &str {
    rule["record"].as_str().unwrap_or_else(|| text(rule, "alert"))
}

/// The expressions that templates ask of Prometheus, and the rule's own.
fn of_templates(rule: &Value) -> Vec<&str> {
    let texts = rule["annotations"].as_object().into_iter().flat_map(|all| all.values()).filter_map(Value::as_str);
    let queries = texts.flat_map(|text| text.split("query \"").skip(1));
    queries.map(|rest| rest.split_once('"').expect("it ends").0).collect()
}

/// Every rule that reads a recording which may not be of this evaluation.
fn out_of_order(groups: &[Value]) -> Vec<String> {
    let mut wrong = Vec::new();
    for group in groups {
        let mut recorded = BTreeSet::new();
        for rule in list(&group["rules"]) {
            let read = selections(text(rule, "expr")).into_iter().filter(|read| is_recording(&read.name));
            for read in read.filter(|read| !recorded.contains(&read.name)) {
                wrong.push(format!("{} reads {}, which its group has not recorded before it", called(rule), read.name));
            }
            // A template is content with what was recorded a while ago, if it says so.
            let read = of_templates(rule).into_iter().flat_map(selections).filter(|read| is_recording(&read.name));
            for read in read.filter(|read| read.range.is_none()) {
                wrong.push(format!("{}: a template reads {} of this very moment", called(rule), read.name));
            }
            recorded.extend(rule["record"].as_str().map(str::to_owned));
        }
    }
    wrong
}

/// The windows in which an expression looks at what happened, and those in which it looks whether data was caught up with;
/// recordings are looked through.
fn windows(expr: &str, ago: u64, recordings: &BTreeMap<&str, &str>) -> [BTreeSet<Window>; 2] {
    let [mut events, mut guards] = [BTreeSet::new(), BTreeSet::new()];
    for read in selections(expr) {
        let ago = ago + read.ago;
        match (read.range, recordings.get(&*read.name)) {
            (None, Some(inner)) => {
                let [of_events, of_guards] = windows(inner, ago, recordings);
                events.extend(of_events);
                guards.extend(of_guards);
            }
            (Some(_), Some(_)) => panic!("{expr}: a range of a recording is not understood here"),
            (Some(range), None) if read.name == COMPLETE => drop(guards.insert((range, ago))),
            (Some(range), None) if !read.name.starts_with("jelou_exporter_") => drop(events.insert((range, ago))),
            _ => {}
        }
    }
    [events, guards]
}

/// Every window of an alert on customers in which older events may have been counted.
fn unguarded(groups: &[Value]) -> Vec<String> {
    let rules = || groups.iter().flat_map(|group| list(&group["rules"]));
    let recordings = rules().filter_map(|rule| Some((rule["record"].as_str()?, text(rule, "expr")))).collect();
    let alerts = rules().filter(|rule| rule["labels"]["concerns"] == "customers");
    let of_alert = |alert: &Value| {
        let [events, guards] = windows(text(alert, "expr"), 0, &recordings);
        let bare = events.difference(&guards);
        bare.map(|(range, ago)| format!("{}: {range} s, {ago} s ago", called(alert))).collect::<Vec<_>>()
    };
    alerts.flat_map(of_alert).collect()
}

/// The groups with one text changed in the expressions of one rule.
fn damaged(of: &str, from: &str, to: &str) -> Vec<Value> {
    let mut groups = groups();
    let rules = groups.iter_mut().flat_map(|group| group["rules"].as_array_mut().unwrap());
    for rule in rules.filter(|rule| called(rule) == of) {
        let changed = serde_json::to_string(rule).unwrap().replace(from, to);
        let changed = serde_json::from_str(&changed).unwrap();
        assert!(*rule != changed, "{of} has no {from}");
        *rule = changed;
    }
    groups
}

#[test]
fn rules_read_what_their_own_group_has_recorded_before() {
    assert_eq!(out_of_order(&groups()), [""; 0]);

    let of_another_group =
        damaged("JelouTwoExporters", "count by (account) (jelou_up)", "account:jelou_data_age:seconds");
    assert_eq!(out_of_order(&of_another_group).len(), 1);
    let mut too_early = groups();
    let group = too_early.iter_mut().find(|group| group["name"] == "jelou-customers").unwrap();
    group["rules"].as_array_mut().unwrap().reverse();
    assert!(out_of_order(&too_early).len() > 10);
    let at_once = damaged("JelouTwoExporters", "last_over_time(jelou:links:info[15m])", "jelou:links:info");
    assert_eq!(out_of_order(&at_once).len(), 2);
}

#[test]
fn every_window_of_an_alert_on_customers_is_left_out_while_it_holds_older_events() {
    assert_eq!(unguarded(&groups()), [""; 0]);

    let fresh = "account:jelou_data_fresh:info";
    for (alert, guard, bare) in [
        ("JelouReplyPromiseBurningFast", "account:jelou_window_15m_sound:info", "900 s, 0 s ago"),
        ("JelouReplyPromiseBurningSteadily", "account:jelou_window_6h_sound:info", "21600 s, 0 s ago"),
        ("JelouReplyPromiseBurningSlowly", "account:jelou_window_3d_sound:info", "259200 s, 0 s ago"),
        ("JelouUnansweredShareHigh", "account:jelou_window_6h_sound:info", "21600 s, 0 s ago"),
        ("JelouNoConversations", "account:jelou_window_1h_sound:info", "3600 s, 0 s ago"),
    ] {
        assert_eq!(unguarded(&damaged(alert, guard, fresh)), [format!("{alert}: {bare}")]);
    }
    let last_week = damaged("JelouNoConversations", "seconds[1h] offset 1w", "seconds[1h]");
    assert_eq!(unguarded(&last_week), ["JelouNoConversations: 3600 s, 604800 s ago"]);
}

/// Whether customers get through is asked without what your side began, as the promise is.
#[test]
fn origins_that_the_promise_leaves_out_are_left_out_of_the_silence() {
    let setting = setting("metrics.reply_target_excluded_origins").unwrap();
    let matcher = format!("origin!~\"{}\"", setting.default_text().replace(", ", "|"));
    let groups = groups();
    let rules: Vec<_> = groups.iter().flat_map(|group| list(&group["rules"])).collect();
    let asking: Vec<_> =
        rules.iter().map(|rule| text(rule, "expr")).filter(|expr| expr.contains("conversations_started")).collect();
    assert_eq!(asking.len(), 2);
    for expr in asking {
        assert!(expr.contains(&format!("jelou_conversations_started_total{{{matcher}}}")), "{expr}");
    }
}

/// A factor at or beyond 1 / budget asks for more than everybody to be missed: the alert could never fire.
#[test]
fn every_alert_on_the_promise_can_fire() {
    let groups = groups();
    let rules = || groups.iter().flat_map(|group| list(&group["rules"]));
    let budget = rules().find(|rule| rule["record"] == "jelou:promise_budget:ratio").unwrap();
    let budget = text(budget, "expr").strip_prefix("vector(").and_then(|rest| rest.strip_suffix(')'));
    let budget: f64 = budget.unwrap().parse().unwrap();
    let factor = |rule: &Value| -> Option<f64> {
        let (before, _) = text(rule, "expr").split_once("scalar(jelou:promise_budget:ratio)")?;
        // Without one it is 1.
        let factor = before.trim_end().strip_suffix('*').map(|factor| factor.split_whitespace().next_back().unwrap());
        Some(factor.map_or(1.0, |factor| factor.parse().unwrap()))
    };
    let factors: Vec<_> = rules().filter(|rule| rule["alert"].is_string()).filter_map(factor).collect();
    assert_eq!(factors, [5.0, 2.5, 1.0]);
    assert!(factors.iter().all(|factor| factor * budget < 1.0), "{budget}");
}
