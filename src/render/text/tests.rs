use std::collections::BTreeMap;

use super::*;
use crate::live::LiveStats;
use crate::render::sample;

fn whole(snapshot: Snapshot) -> String {
    let snapshot = Arc::new(snapshot);
    kept(&snapshot).unwrap() + &live(&snapshot, LiveStats::new(true).live()).unwrap()
}

#[test]
fn golden() {
    let text = whole(sample::with_pairs([sample::pair("Ventas", "Quito \"Norte\"")]));
    let version = concat!("version=\"", env!("CARGO_PKG_VERSION"), "\"");
    insta::assert_snapshot!("sample", text.replace(version, "version=\"[version]\""));
}

#[test]
fn families_without_a_point_are_left_out() {
    let text = whole(sample::empty());
    assert!(!text.contains("jelou_conversations"));
    assert!(!text.contains("jelou_account_info"));
    assert!(!text.contains("timestamp_seconds{account=\"acme\"} 0\n"));
    assert!(text.contains("jelou_up{account=\"acme\"} 0\n"));
    for family in FAMILIES {
        let (help, samples) =
            (text.contains(&format!("# HELP {} ", family.name)), text.contains(&format!("\n{}", family.name)));
        assert_eq!(help, samples, "{}", family.name);
    }
}

#[test]
fn any_label_value_comes_back_as_it_was() {
    let torture = sample::torture();
    let text = whole(sample::with_pairs(torture.iter().map(|value| sample::pair(value, "t"))));
    let mut found = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("jelou_conversations_active{")) {
        let (labels, value) = parse(line);
        assert_eq!(value, "4");
        assert_eq!((&*labels["account"], &*labels["team"]), ("acme", "t"));
        found.push(labels["bot"].clone());
    }
    assert_eq!(found, torture);
}

#[test]
fn help_is_one_line_each() {
    // HELP escapes backslash and newline; the catalog needs neither, so what is shown is what is written there.
    for family in FAMILIES {
        assert!(!family.help.contains(['\\', '\n']), "{}", family.name);
    }
}

#[test]
fn a_registry_takes_every_family() {
    let registry = prometheus::Registry::new();
    let snapshot = Arc::new(sample::with_pairs([sample::pair("b", "t")]));
    let live = Arc::new(LiveStats::new(true).live());
    for family in FAMILIES {
        let collector = FamilyCollector::new(family, Arc::clone(&snapshot), Arc::clone(&live)).unwrap();
        registry.register(Box::new(collector)).unwrap();
    }
    assert!(registry.gather().len() > 40);
}

#[test]
fn process_metrics_are_there() {
    let text = process(&ProcessCollector::for_self()).unwrap();
    for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds"] {
        assert!(text.contains(&format!("\n{name} ")), "{name} in {text}");
    }
}

/// Reads one sample line by the grammar of text format 0.0.4.
fn parse(line: &str) -> (BTreeMap<String, String>, &str) {
    let mut rest = line.split_once('{').unwrap().1;
    let mut labels = BTreeMap::new();
    loop {
        let (name, after) = rest.split_once("=\"").unwrap();
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().unwrap() {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next().unwrap().1 {
                    'n' => '\n',
                    escaped @ ('"' | '\\') => escaped,
                    other => panic!("\\{other} is no escape"),
                }),
                (_, plain) => value.push(plain),
            }
        };
        assert!(labels.insert(name.to_owned(), value).is_none());
        rest = &after[end + 1..];
        if let Some(value) = rest.strip_prefix("} ") {
            return (labels, value);
        }
        rest = rest.strip_prefix(',').unwrap();
    }
}
