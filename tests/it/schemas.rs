//! Checkpoints of every schema that was ever written still open, and say what they said.
//!
//! Each fixture is a file with two accounts, and what the version that wrote it served of each after a restart.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use flate2::read::GzDecoder;
use uuid::Uuid;

use crate::support::exporter::Exporter;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

fn unpacked(name: &str) -> Vec<u8> {
    let packed = fs::read(Path::new(FIXTURES).join(name)).expect("the fixture is there");
    let mut bytes = Vec::new();
    GzDecoder::new(&packed[..]).read_to_end(&mut bytes).expect("gzip");
    bytes
}

/// The numbers of `/metrics`, by series.
fn numbers(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let series = lines.map(|line| line.rsplit_once(' ').unwrap());
    series.map(|(series, value)| (series, value.parse().unwrap())).collect()
}

#[test]
fn a_checkpoint_of_schema_1_says_what_it_said() {
    says_what_it_said(1);
}

#[test]
fn a_checkpoint_of_schema_2_says_what_it_said() {
    says_what_it_said(2);
}

/// With what deltas of the first account had told.
#[test]
fn a_checkpoint_of_schema_3_says_what_it_said() {
    says_what_it_said(3);
}

fn says_what_it_said(schema: u32) {
    let path = std::env::temp_dir().join(format!("jelou-exporter-schema-{schema}-{}.db", Uuid::new_v4()));
    fs::write(&path, unpacked(&format!("schema-{schema}.db.gz"))).unwrap();
    for account in ["one", "two"] {
        let text = String::from_utf8(unpacked(&format!("schema-{schema}.{account}.prom.gz"))).unwrap();
        let said = numbers(&text);
        assert!(said.values().sum::<f64>() > 1000.0, "the fixture holds something");
        // Nothing listens there: what is served is what was kept. The fixture grows older, its pairs must not.
        let settings = [
            ("api.account", account),
            ("state.path", path.to_str().unwrap()),
            ("metrics.forget_pairs_after", "36500d"),
        ];
        let mut exporter = Exporter::start("http://127.0.0.1:1", &settings);
        // It is told of with the first poll, which fails.
        exporter.scraped("the company", |scrape| scrape.total("jelou_account_info", &[]) == 1.0);
        let body = exporter.get("/metrics").body;
        let says = numbers(&body);
        for (series, was) in &said {
            assert_eq!(says.get(series), Some(was), "{series}");
        }
        let conversations = |name: &&&str| name.starts_with("jelou_conversation") || name.starts_with("jelou_operator");
        let added: Vec<_> = says.keys().filter(conversations).filter(|series| !said.contains_key(*series)).collect();
        assert!(added.is_empty(), "{added:?}");
        exporter.program.signal("TERM");
        exporter.program.ended_within(Duration::from_secs(5));
    }
    fs::remove_file(&path).unwrap();
}
