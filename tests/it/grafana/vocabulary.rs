//! What the exporter shows: every series by name, with its labels and their values.

use std::collections::{BTreeMap, BTreeSet};

use jelou_exporter::domain::catalog::{FAMILIES, Kind};
use jelou_exporter::domain::conversation::{Origin, Reason, State};
use jelou_exporter::domain::label::LabelValue;
use jelou_exporter::simulator::{Simulator, SimulatorOptions};

use super::files;
use crate::support::exporter::Exporter;
use crate::support::exposition::Scrape;
use crate::support::scratch::Scratch;
use crate::support::until;
use crate::support::world::frozen;

/// Labels by name, each with the values that are known.
pub(super) type Known = BTreeMap<String, BTreeSet<String>>;

/// Labels whose values are the user's.
pub(super) const FREE: [&str; 10] =
    ["job", "instance", "account", "bot", "team", "company", "version", "revision", "severity", "alertname"];

/// The names that may be asked for.
#[derive(Clone)]
pub(super) struct Vocabulary {
    pub(super) series: BTreeMap<String, Known>,
}

/// What the real exporter shows of a lifelike world, with everything switched on that shows more.
pub(super) fn shown() -> Vocabulary {
    let (simulator, _): (Simulator, _) = frozen(SimulatorOptions { per_hour: 200.0, ..SimulatorOptions::demo() });
    let state = Scratch::new();
    let path = state.state();
    let settings = [
        ("state.path", path.as_str()),
        // Nobody takes what is pushed there, but it is counted.
        ("otlp.endpoint", "http://127.0.0.1:1"),
        ("poll.initial_lookback", "6h"),
        ("poll.horizon", "6h"),
        ("poll.sweep_interval", "2s"),
    ];
    let exporter = Exporter::start(&simulator.base_url(), &settings);
    assert_eq!(exporter.get("/nowhere").status, 404);
    until("it is ready", || exporter.get("/-/ready").status == 200);
    // Its own requests are counted when they have been answered.
    let scrape = exporter.scraped("a sweep and a scrape", |scrape| {
        let shown = |name, labels: &[(&str, &str)]| scrape.sum(name, labels).is_some();
        shown("jelou_exporter_last_sweep_timestamp_seconds", &[])
            && shown("jelou_exporter_http_requests_total", &[("code", "200")])
    });
    Vocabulary::of(&scrape)
}

impl Vocabulary {
    fn of(scrape: &Scrape) -> Self {
        let mut series: BTreeMap<String, Known> = BTreeMap::new();
        for shown in scrape.series.keys() {
            let known = series.entry(shown.name.clone()).or_default();
            for (label, value) in &shown.labels {
                let values = known.entry(label.clone()).or_default();
                values.insert(value.clone());
                // Prometheus 3 stores `300` as `300.0`.
                if label == "le" && value != "+Inf" && !value.contains('.') {
                    values.insert(format!("{value}.0"));
                }
            }
        }
        let mut vocabulary = Self { series };
        vocabulary.add_native_histograms();
        vocabulary.add_values::<Origin>("origin");
        vocabulary.add_values::<Reason>("reason");
        vocabulary.add_values::<State>("state");
        // It is never a value: active conversations have not ended.
        for known in vocabulary.series.values_mut() {
            known.get_mut("state").map(|values| values.remove(State::Active.as_str()));
        }
        // That no receiver has taken anything yet leaves this one out.
        let account = BTreeMap::from([("account".to_owned(), BTreeSet::new())]);
        vocabulary.series.insert("jelou_exporter_otlp_last_success_timestamp_seconds".to_owned(), account);
        vocabulary.add_of_prometheus();
        vocabulary
    }

    /// They bear the name of the family.
    fn add_native_histograms(&mut self) {
        for family in FAMILIES.iter().filter(|family| family.kind == Kind::Histogram) {
            let counts = self.series.get(&format!("{}_count", family.name));
            let known = counts.unwrap_or_else(|| panic!("{} is not shown", family.name)).clone();
            self.series.insert(family.name.to_owned(), known);
        }
    }

    /// Values that this world happens to lack.
    fn add_values<V: LabelValue>(&mut self, label: &str) {
        for values in self.series.values_mut().filter_map(|known| known.get_mut(label)) {
            values.extend(V::ALL.iter().map(|value| value.text().to_owned()));
        }
    }

    /// What Prometheus adds by itself.
    fn add_of_prometheus(&mut self) {
        let text = |word: &str| word.to_owned();
        let mut alerts: Known = FREE.iter().map(|label| (text(label), BTreeSet::new())).collect();
        alerts.insert(text("alertstate"), [text("pending"), text("firing")].into());
        for (label, value) in files::rules().into_iter().filter(|rule| rule.alert).flat_map(|rule| rule.labels) {
            alerts.entry(label).or_default().insert(value);
        }
        self.series.insert(text("ALERTS"), alerts);
        self.series.insert(text("up"), Known::new());
        for known in self.series.values_mut() {
            for label in ["job", "instance"] {
                known.entry(text(label)).or_default();
            }
        }
    }

    /// The families that it knows, as the catalog names them.
    pub(super) fn families(&self) -> impl Iterator<Item = &str> {
        FAMILIES.iter().map(|family| family.name).filter(|name| self.series.contains_key(*name))
    }

    /// The same, as if a family were called otherwise in the catalog.
    pub(super) fn renamed(&self, family: &str, to: &str) -> Self {
        let rename = |name: &String| name.strip_prefix(family).map_or_else(|| name.clone(), |end| format!("{to}{end}"));
        Self { series: self.series.iter().map(|(name, known)| (rename(name), known.clone())).collect() }
    }

    /// Adds the series that recording rules make.
    pub(super) fn add_recorded(&mut self, names: impl Iterator<Item = String>) {
        let labels = self.series.values().flat_map(BTreeMap::keys).filter(|label| *label != "le").cloned();
        let known: Known = labels.map(|label| (label, BTreeSet::new())).collect();
        self.series.extend(names.map(|name| (name, known.clone())));
    }
}
