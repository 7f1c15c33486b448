//! No colour without a meaning, and none that is taken for another.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::parser::{VectorSelector, parse};
use promql_parser::util::{ExprVisitor, walk_expr};
use serde_json::Value;

use super::expressions::{SHOWN, choices, substitute};
use super::files::{self, Dashboard};
use super::vocabulary::FREE;

/// Grafana's colours on dark ground, by hue: super-light, light, plain, semi-dark, dark.
const HUES: [(&str, [u32; 5]); 6] = [
    ("red", [0xFF_A6B0, 0xFF_7383, 0xF2_495C, 0xE0_2F44, 0xC4_162A]),
    ("orange", [0xFF_CB7D, 0xFF_B357, 0xFF_9830, 0xFF_780A, 0xFA_6400]),
    ("yellow", [0xFF_F899, 0xFF_EE52, 0xFA_DE2A, 0xF2_CC0C, 0xE0_B400]),
    ("green", [0xC8_F2C2, 0x96_D98D, 0x73_BF69, 0x56_A64B, 0x37_872D]),
    ("blue", [0xC0_D8FF, 0x8A_B8FF, 0x57_94F2, 0x32_74D9, 0x1F_60C4]),
    ("purple", [0xDE_B6F2, 0xCA_95E5, 0xB8_77D9, 0xA3_52CC, 0x8F_3BB8]),
];
const TEXT: u32 = 0xCC_CCDC;

/// What may be green.
const GOOD: [&str; 4] = ["met", "success", "ok", "complete"];

/// What may be yellow, orange or red.
const BAD: [&str; 21] = [
    "missed",
    "failure",
    "failures",
    "failed",
    "error",
    "warn",
    "expired",
    "unanswered",
    "rejected",
    "incomplete",
    "repeated",
    "partial",
    "waiting",
    "longest wait",
    "unauthorized",
    "rate_limited",
    "server_error",
    "timeout",
    "connect",
    "bad_body",
    "invalid_request",
];

/// How far apart two colours of a panel are at least (CIE 1976): neighbours in one hue are some 15 apart.
const APART: f64 = 20.0;

/// The hue by name, if it has one, and the colour.
fn read(colour: &str) -> Option<(&'static str, u32)> {
    if let Some(hex) = colour.strip_prefix('#') {
        return Some(("", u32::from_str_radix(hex, 16).ok()?));
    }
    if colour == "text" {
        return Some(("", TEXT));
    }
    HUES.iter().find_map(|(hue, shades)| {
        let at = match colour.strip_suffix(hue)? {
            "super-light-" => 0,
            "light-" => 1,
            "" => 2,
            "semi-dark-" => 3,
            "dark-" => 4,
            _ => return None,
        };
        Some((*hue, shades[at]))
    })
}

/// Lightness and the two oppositions of colours, by which what looks alike lies near.
fn lab(colour: u32) -> [f64; 3] {
    let light = |shift: u32| {
        let part = f64::from((colour >> shift) & 0xFF) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    };
    let (red, green, blue) = (light(16), light(8), light(0));
    let root = |part: f64| if part > 0.008_856 { part.cbrt() } else { 7.787 * part + 16.0 / 116.0 };
    let x = root((0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047);
    let y = root(0.2126 * red + 0.7152 * green + 0.0722 * blue);
    let z = root((0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883);
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

fn distance(one: u32, other: u32) -> f64 {
    lab(one).iter().zip(lab(other)).map(|(one, other)| (one - other).powi(2)).sum::<f64>().sqrt()
}

/// The values of a label that the selectors of an expression let through; none if they are the user's.
struct Values<'a> {
    label: &'a str,
    found: BTreeSet<String>,
}

impl ExprVisitor for Values<'_> {
    type Error = String;

    fn pre_visit(&mut self, expr: &promql_parser::parser::Expr) -> Result<bool, String> {
        let selector: Option<&VectorSelector> = match expr {
            promql_parser::parser::Expr::VectorSelector(selector) => Some(selector),
            promql_parser::parser::Expr::MatrixSelector(matrix) => Some(&matrix.vs),
            _ => None,
        };
        let name = selector.and_then(|selector| selector.name.as_ref());
        if let (Some(selector), Some(name)) = (selector, name) {
            let known = SHOWN.series.get(name).and_then(|labels| labels.get(self.label));
            let matchers = || selector.matchers.matchers.iter().filter(|matcher| matcher.name == self.label);
            let let_through = |value: &&String| matchers().all(|matcher| matcher.is_match(value));
            self.found.extend(known.into_iter().flatten().filter(let_through).cloned());
        }
        Ok(true)
    }
}

/// The series of a panel by name, as far as they are known, and whether there are more.
fn series(dashboard: &Dashboard, panel: &Value) -> (BTreeSet<String>, bool) {
    let values = choices(dashboard.variables()).pop().unwrap();
    let (mut names, mut open) = (BTreeSet::new(), false);
    for (_, target) in files::queries(dashboard).filter(|(of, _)| of["id"] == panel["id"]) {
        let legend = target["legendFormat"].as_str().unwrap();
        let Some(label) = legend.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")) else {
            names.insert(legend.to_owned());
            continue;
        };
        let expression = parse(&substitute(target["expr"].as_str().unwrap(), &values).unwrap()).unwrap();
        let mut found = Values { label, found: BTreeSet::new() };
        walk_expr(&mut found, &expression).unwrap();
        // Of status codes this world shows only some.
        open |= FREE.contains(&label) || label == "code";
        names.extend(found.found);
    }
    (names, open)
}

fn faults(dashboard: &Dashboard, panel: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut complain = |what: String| wrong.push(format!("{}: {}: {what}", dashboard.name, panel["title"]));
    let config = &panel["fieldConfig"];
    let mode = config["defaults"]["color"]["mode"].as_str().unwrap_or_default();
    if !["thresholds", "fixed", "shades"].contains(&mode) {
        complain(format!("{mode} gives colours that mean nothing"));
    }
    let description = panel["description"].as_str().unwrap().to_lowercase();
    let mut coloured: BTreeMap<&str, &str> = BTreeMap::new();
    for different in config["overrides"].as_array().unwrap() {
        let properties = different["properties"].as_array().unwrap();
        let property = |id: &str| properties.iter().find(|property| property["id"] == id).map(|one| &one["value"]);
        let of = different["matcher"]["options"].as_str().unwrap();
        let Some(colour) = property("color").and_then(|color| color["fixedColor"].as_str()) else { continue };
        let Some((hue, _)) = read(colour) else {
            complain(format!("{colour} is no colour"));
            continue;
        };
        let told = description.contains(&format!("{hue}: "));
        let fits = match hue {
            "green" => GOOD.contains(&of),
            "yellow" | "orange" | "red" => BAD.contains(&of),
            _ => true,
        };
        if !fits && !told {
            complain(format!("{of} is {colour}, and neither good nor bad"));
        }
        // Dashes tell these apart.
        if property("custom.lineStyle").is_none() {
            coloured.insert(of, colour);
        }
        if let Some((other, alike)) = coloured.iter().find(|(other, alike)| {
            **other != of
                && coloured.contains_key(of)
                && distance(read(alike).unwrap().1, read(colour).unwrap().1) < APART
        }) {
            complain(format!("{of} is {colour}, which looks like the {alike} of {other}"));
        }
    }
    if panel["type"] == "timeseries" {
        let (names, open) = series(dashboard, panel);
        let named: BTreeSet<_> = config["overrides"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|one| one["matcher"]["options"].as_str())
            .collect();
        let by_itself = mode == "thresholds" || open;
        for name in names.iter().filter(|name| !by_itself && !named.contains(name.as_str())) {
            complain(format!("{name} has no colour of its own"));
        }
        for name in named.iter().filter(|name| !open && !names.contains(**name)) {
            complain(format!("no series is called {name}"));
        }
    }
    wrong
}

fn all_faults(dashboards: &[Dashboard]) -> Vec<String> {
    dashboards.iter().flat_map(|one| one.panels().flat_map(move |panel| faults(one, panel))).collect()
}

#[test]
fn every_colour_means_something_and_is_told_from_the_others() {
    let wrong = all_faults(&files::dashboards());
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn faults_of_colours_are_named() {
    type Damage = (&'static str, fn(&mut Value));
    let damages: [Damage; 6] = [
        ("palette-classic gives colours", |panel| {
            panel["fieldConfig"]["defaults"]["color"]["mode"] = "palette-classic".into()
        }),
        ("organic is red, and neither", |panel| colour(panel, "organic", "red")),
        ("organic is green, and neither", |panel| colour(panel, "organic", "green")),
        ("looks like the blue of organic", |panel| colour(panel, "ticket", "semi-dark-blue")),
        ("bluish is no colour", |panel| colour(panel, "organic", "bluish")),
        ("no series is called carrier pigeon", |panel| rename(panel, "organic", "carrier pigeon")),
    ];
    for (what, damage) in damages {
        let mut dashboards = files::dashboards();
        let panels = dashboards.iter_mut().flat_map(|one| one.json["panels"].as_array_mut().unwrap());
        let mut by_origin = panels.filter(|panel| panel["title"] == "Conversations started, by origin");
        damage(by_origin.next().unwrap());
        let wrong = all_faults(&dashboards).join("\n");
        assert!(wrong.contains(what), "{what}: {wrong}");
    }
}

fn of<'a>(panel: &'a mut Value, name: &str) -> &'a mut Value {
    let overrides = panel["fieldConfig"]["overrides"].as_array_mut().unwrap();
    overrides.iter_mut().find(|one| one["matcher"]["options"] == name).unwrap()
}

fn colour(panel: &mut Value, name: &str, colour: &str) {
    of(panel, name)["properties"][0]["value"]["fixedColor"] = colour.into();
}

fn rename(panel: &mut Value, name: &str, to: &str) {
    of(panel, name)["matcher"]["options"] = to.into();
}
