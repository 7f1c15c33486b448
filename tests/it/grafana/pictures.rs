//! The pictures in `docs/images` show the dashboards as they are now.

use std::fmt::Write as _;
use std::path::PathBuf;

use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::files;

/// What `grafana/render/render.mjs` writes down of each picture: the hash of the dashboard that it drew.
fn drawn() -> Value {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/images/drawn.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The hash of a dashboard without its descriptions, which no picture shows. `render.mjs` leaves out the same lines.
fn hash(dashboard: &str) -> String {
    let shown: Vec<_> = dashboard.lines().filter(|line| !line.trim_start().starts_with("\"description\":")).collect();
    digest(&SHA256, shown.join("\n").as_bytes()).as_ref().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[test]
fn pictures_show_the_dashboards_as_they_are() {
    let drawn = drawn();
    for dashboard in files::dashboards() {
        let picture = dashboard.name.replace("grafana/dashboards/jelou-", "").replace(".json", ".png");
        let text = std::fs::read_to_string(format!("{}/{}", env!("CARGO_MANIFEST_DIR"), dashboard.name)).unwrap();
        assert_eq!(
            drawn[&picture],
            *hash(&text),
            "docs/images/{picture} was drawn from another {}; draw it again as grafana/README.md tells, look at it, and keep \
             drawn.json beside it",
            dashboard.name
        );
    }
    assert_eq!(drawn.as_object().unwrap().len(), files::dashboards().len());
}

#[test]
fn what_a_picture_shows_changes_its_hash() {
    let text = "{\n  \"description\": \"a\",\n  \"title\": \"b\"\n}\n";
    assert_eq!(hash(text), hash(&text.replace("\"a\"", "\"c\"")));
    assert_ne!(hash(text), hash(&text.replace("\"b\"", "\"c\"")));
}
