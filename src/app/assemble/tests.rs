use std::collections::BTreeMap;

use super::*;
use crate::config::{Profile, Sources};
use crate::store::elsewhere::Memory;

const NOW: UnixMillis = UnixMillis::from_seconds(1_767_225_600);
const DAY: i64 = 86_400_000;

/// With these flags besides the credentials; pairs are forgotten after 30 days.
fn config(flags: &[(&'static str, &str)]) -> Config {
    let mut given = BTreeMap::from([("api.client_id", "me".to_owned())]);
    given.extend(flags.iter().map(|(key, value)| (*key, (*value).to_owned())));
    let env = BTreeMap::from([("JELOU_EXPORTER_API_CLIENT_SECRET".to_owned(), "secret".to_owned())]);
    let read_file = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
    Config::read(Sources { flags: given, env: &env, file: None, read_file: &read_file, profile: Profile::RUN }).unwrap()
}

/// Of deltas that were told `ago` for the last time.
fn owes(config: &Config, ago: Option<i64>) -> bool {
    let disk = Memory::default();
    Store::make_on(disk.clone()).unwrap();
    let (store, _) = Store::open_on(move || disk.clone(), "acme").unwrap();
    let until = ago.map(|ago| NOW - ago);
    let nothing = crate::store::outbox::Export { until, tallies: None, pairs: &[], gone: &[], requests: &[] };
    store.outbox().put(&nothing).unwrap();
    told(config, &store.outbox(), NOW).unwrap().is_some()
}

#[test]
fn forgetting_pairs_does_not_wait_for_ever_for_deltas_that_are_not_sent_any_more() {
    let off = config(&[]);
    assert!(owes(&off, Some(29 * DAY)), "they may be sent again tomorrow");
    assert!(!owes(&off, Some(31 * DAY)));
    assert!(!owes(&off, None), "none was ever told");

    let deltas = config(&[("otlp.endpoint", "http://collector:4318"), ("otlp.temporality", "delta")]);
    assert!(owes(&deltas, Some(31 * DAY)), "a receiver that is away is waited for");
    assert!(owes(&deltas, None));
    let totals = config(&[("otlp.endpoint", "http://collector:4318")]);
    assert!(!owes(&totals, Some(DAY)));
}
