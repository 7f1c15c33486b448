//! The rules in `grafana/rules`, their tests for promtool, the runbook and the example for Alertmanager hold together.

mod links;
mod reads;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::peer::peer;

/// A place in this repository.
pub(crate) fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A YAML file of this repository.
pub(crate) fn yaml(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_norway::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(folder: &str) -> Vec<PathBuf> {
    let found = std::fs::read_dir(place(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = found.filter(|path| path.extension().is_some_and(|ending| ending == "yml")).collect();
    found.sort();
    assert!(!found.is_empty(), "{folder} is empty");
    found
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

/// Every group of rules.
fn groups() -> Vec<Value> {
    let of_file = |path: PathBuf| list(&yaml(&path)["groups"]).cloned().collect::<Vec<_>>();
    files("grafana/rules").into_iter().flat_map(of_file).collect()
}

/// Every alerting rule.
fn alerts() -> Vec<Value> {
    let groups = groups();
    let rules = groups.iter().flat_map(|group| list(&group["rules"]));
    rules.filter(|rule| rule["alert"].is_string()).cloned().collect()
}

fn names() -> BTreeSet<String> {
    alerts().iter().map(|alert| text(alert, "alert").to_owned()).collect()
}

#[test]
fn every_alert_says_what_it_is_and_where_to_go() {
    for alert in alerts() {
        let (name, labels, told) = (text(&alert, "alert"), &alert["labels"], &alert["annotations"]);
        assert!(["page", "ticket"].contains(&text(labels, "severity")), "{name}");
        assert!(["customers", "exporter"].contains(&text(labels, "concerns")), "{name}");
        for key in ["summary", "description"] {
            assert!(text(told, key).len() > 20, "{name}: {key}");
        }
        assert!(text(told, "runbook_url").ends_with(&format!("#{}", name.to_lowercase())), "{name}");
    }
}

/// Each entry of a text with headings `## Name`, with what stands below.
fn entries(text: &str) -> Vec<(&str, &str)> {
    text.split("\n## ").skip(1).map(|entry| entry.split_once('\n').unwrap()).collect()
}

#[test]
fn the_runbook_has_an_entry_for_each_alert_and_no_other() {
    let runbook = std::fs::read_to_string(place("grafana/runbook.md")).unwrap();
    let entries = entries(&runbook);
    let written: Vec<_> = entries.iter().map(|(name, _)| (*name).to_owned()).collect();
    let unique: BTreeSet<_> = written.iter().cloned().collect();
    assert_eq!(unique, names());
    assert_eq!(unique.len(), written.len(), "an entry comes twice");
    for (name, entry) in entries {
        let parts = ["**What it means.** ", "**What to look at.** ", "**What to do.** "];
        for part in parts {
            let said = entry.split_once(part).unwrap_or_else(|| panic!("{name} lacks {part}")).1;
            let said = parts.iter().fold(said, |said, next| said.split(next).next().unwrap());
            assert!(said.trim().len() > 60, "{name}: {part}{said}");
        }
    }
}

#[test]
fn the_guide_lists_every_alert() {
    let guide = std::fs::read_to_string(place("docs/alerting.md")).unwrap();
    for alert in alerts() {
        let row = format!("\n| {} | {} |", text(&alert, "alert"), text(&alert["labels"], "severity"));
        assert!(guide.contains(&row), "docs/alerting.md lacks {row}");
    }
}

/// Seconds of a duration as promtool reads it.
fn seconds(duration: &str) -> u64 {
    let (mut sum, mut number) = (0, 0);
    for character in duration.chars() {
        number = match character {
            '0'..='9' => number * 10 + u64::from(character.to_digit(10).unwrap()),
            unit => {
                let unit = [('s', 1), ('m', 60), ('h', 3600), ('d', 86400)].iter().find(|(name, _)| *name == unit);
                sum += number * unit.unwrap_or_else(|| panic!("{duration}")).1;
                0
            }
        };
    }
    sum
}

/// One group of tests of an alert: its name, and whether the alert fires, moment by moment.
struct Case {
    name: String,
    fires: Vec<bool>,
}

impl Case {
    fn resolves(&self) -> bool {
        self.fires.windows(2).any(|pair| pair == [true, false])
    }
}

fn cases(alert: &str) -> Vec<Case> {
    let groups = files("grafana/rules/tests").into_iter().flat_map(|path| {
        let file = yaml(&path);
        list(&file["tests"]).cloned().collect::<Vec<_>>()
    });
    let cases = groups.map(|group| {
        let of_alert = list(&group["alert_rule_test"]).filter(|test| test["alertname"] == alert);
        let mut moments: Vec<_> = of_alert
            .map(|test| (seconds(text(test, "eval_time")), list(&test["exp_alerts"]).next().is_some()))
            .collect();
        moments.sort_unstable();
        Case { name: text(&group, "name").to_owned(), fires: moments.into_iter().map(|(_, fires)| fires).collect() }
    });
    cases.filter(|case| !case.fires.is_empty()).collect()
}

/// A rule that always or never fires fails one of these.
#[test]
fn every_alert_is_tested_firing_silent_and_resolving() {
    for alert in alerts() {
        let name = text(&alert, "alert");
        let cases = cases(name);
        assert!(cases.iter().any(|case| case.fires.contains(&true)), "{name} is never tested firing");
        assert!(cases.iter().any(|case| !case.fires.contains(&true)), "{name} has no test in which it is silent");
        assert!(cases.iter().any(Case::resolves), "{name} is never tested resolving");
        if alert["labels"]["concerns"] == "customers" {
            let gated = cases.iter().any(|case| case.name.contains("(gating)") && case.fires.last() == Some(&false));
            assert!(gated, "{name} is not tested with old data");
        }
    }
}

/// What promtool says about several files, each by a process of its own.
fn promtool(variable: &str, arguments: &[&str], files: &[PathBuf]) -> Vec<(PathBuf, Output)> {
    let Some(promtool) = peer(variable) else { return Vec::new() };
    let start = |file: &PathBuf| {
        let mut command = Command::new(&promtool);
        command.args(arguments).arg(file).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let children: Vec<_> = files.iter().map(start).collect();
    files.iter().cloned().zip(children.into_iter().map(|child| child.wait_with_output().unwrap())).collect()
}

#[track_caller]
fn all_succeed(said: Vec<(PathBuf, Output)>) {
    for (file, output) in said {
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("SUCCESS"), "{}: {}: {text}", file.display(), output.status);
    }
}

#[test]
fn promtool_finds_the_rules_in_order() {
    for variable in ["JELOU_TEST_PROMTOOL", "JELOU_TEST_PROMTOOL2"] {
        all_succeed(promtool(variable, &["check", "rules", "--lint=all", "--lint-fatal"], &files("grafana/rules")));
    }
}

#[test]
fn the_rules_pass_their_tests() {
    all_succeed(promtool("JELOU_TEST_PROMTOOL", &["test", "rules"], &files("grafana/rules/tests")));
}

#[test]
fn the_rules_pass_their_tests_under_prometheus_2() {
    let mut files = files("grafana/rules/tests");
    // Its promtool cannot write native histograms down.
    files.retain(|path| !path.to_string_lossy().ends_with("-native.yml"));
    all_succeed(promtool("JELOU_TEST_PROMTOOL2", &["test", "rules"], &files));
}

/// The example for Alertmanager.
pub(crate) const EXAMPLE: &str = "grafana/alertmanager/alertmanager.yml";

/// Who is told of an alert.
fn receiver(alert: &Value) -> &'static str {
    match (text(&alert["labels"], "concerns"), text(&alert["labels"], "severity")) {
        ("customers", "page") => "supervisors",
        ("exporter", "page") => "on-call",
        _ => "tickets",
    }
}

#[test]
fn the_example_for_alertmanager_sends_each_alert_where_it_belongs() {
    for variable in ["JELOU_TEST_AMTOOL", "JELOU_TEST_AMTOOL025"] {
        let Some(amtool) = peer(variable) else { continue };
        let run = |arguments: &[String]| {
            let output = Command::new(&amtool).args(arguments).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{variable}: {arguments:?}: {text}");
        };
        let example = place(EXAMPLE).display().to_string();
        run(&["check-config".to_owned(), example.clone()]);
        for alert in alerts() {
            let labels = &alert["labels"];
            let mut arguments: Vec<_> = ["config", "routes", "test"].map(str::to_owned).into();
            arguments.push(format!("--config.file={example}"));
            arguments.push(format!("--verify.receivers={}", receiver(&alert)));
            arguments.extend(["severity", "concerns"].map(|key| format!("{key}={}", text(labels, key))));
            arguments.push(format!("alertname={}", text(&alert, "alert")));
            run(&arguments);
        }
    }
}

#[test]
fn the_example_inhibits_alerts_that_exist() {
    let example = yaml(&place(EXAMPLE));
    let mut named = 0;
    for rule in list(&example["inhibit_rules"]) {
        for matcher in list(&rule["source_matchers"]).chain(list(&rule["target_matchers"])) {
            let Some(of_name) = matcher.as_str().unwrap().strip_prefix("alertname=") else { continue };
            for name in of_name.trim_matches(['~', '"']).split('|') {
                assert!(names().contains(name), "{name} is no alert");
                named += 1;
            }
        }
    }
    assert!(named > 5);
}
