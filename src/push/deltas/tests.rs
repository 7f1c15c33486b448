use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use proptest::prelude::*;

use super::*;
use crate::domain::conversation::Origin;
use crate::domain::label::AmendedField;
use crate::live::LiveStats;
use crate::render::otlp::HistogramKind;
use crate::render::sample;
use crate::store::Store;
use crate::store::elsewhere::Memory;

const NOW: UnixMillis = sample::NOW;

/// What becomes of an export.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Taken,
    /// The receiver cannot be reached.
    Unreached,
    /// It takes it, and its answer does not arrive.
    AnswerLost,
    /// The process is killed before it can send.
    KilledBefore,
    /// It is killed when the receiver has taken it, before the answer is kept.
    KilledAfter,
    /// The disk is full.
    NotKept,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Something is counted in this pair.
    Count(usize, u64),
    Export(Fate),
    Killed,
}

/// The counts, which outlive the process, and who tells them.
struct World {
    disk: Memory,
    snapshot: Snapshot,
    live: Live,
    now: UnixMillis,
    /// Its store has to stay open as long.
    deltas: Option<(Deltas, Store)>,
    options: otlp::Options,
    taken: Vec<ExportMetricsServiceRequest>,
    answers_lost: usize,
}

impl World {
    fn new(histograms: HistogramKind) -> Self {
        let disk = Memory::default();
        Store::make_on(disk.clone()).unwrap();
        let mut world = Self {
            disk,
            snapshot: sample::with_pairs([sample::pair("a", "t"), sample::pair("b", "t")]),
            live: LiveStats::new(true).live(),
            now: NOW,
            deltas: None,
            options: otlp::Options { histograms, ..otlp::Options::default() },
            taken: Vec::new(),
            answers_lost: 0,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        self.deltas = None;
        let disk = self.disk.clone();
        let (store, _) = Store::open_on(move || disk.clone(), "acme").unwrap();
        self.deltas = Some((Deltas::open(Some(store.outbox()), &self.snapshot, self.now).unwrap(), store));
        // From the second time on there is a checkpoint.
        self.snapshot.own.restored = true;
    }

    fn deltas(&self) -> &Deltas {
        &self.deltas.as_ref().unwrap().0
    }

    fn count(&mut self, pair: usize, millis: u64) {
        let shown = self.snapshot.conversations.as_mut().unwrap();
        let pair = Arc::make_mut(&mut shown.pairs[pair]);
        pair.started_mut(Origin::Ticket, NOW).value += 1;
        pair.reply.record(millis);
        self.snapshot.tallies.amendments.count(AmendedField::Labels);
    }

    fn make(&self) -> Result<(), StoreError> {
        self.deltas().make(&self.snapshot, &self.live, &[], &self.options, self.now)
    }

    fn export(&mut self, fate: Fate) {
        self.now = self.now + 60_000;
        self.disk.fill(matches!(fate, Fate::NotKept));
        if self.deltas().next().unwrap().is_none() && self.make().is_err() {
            assert!(matches!(fate, Fate::NotKept));
        }
        self.disk.fill(false);
        while let Some((place, request)) = self.deltas().next().unwrap() {
            match fate {
                Fate::Unreached | Fate::NotKept => return,
                Fate::KilledBefore => return self.start(),
                Fate::Taken => {}
                Fate::AnswerLost | Fate::KilledAfter => self.answers_lost += 1,
            }
            self.taken.push(request);
            match fate {
                Fate::AnswerLost => return,
                Fate::KilledAfter => return self.start(),
                _ => self.deltas().answered(place).unwrap(),
            }
        }
    }

    /// What the receiver has when it adds up what it took, repetitions left out.
    fn sums(&self) -> BTreeMap<String, Vec<i128>> {
        let mut distinct: Vec<&ExportMetricsServiceRequest> = Vec::new();
        for request in &self.taken {
            if !distinct.iter().any(|other| other.encode_to_vec() == request.encode_to_vec()) {
                distinct.push(request);
            }
        }
        let repetitions = self.taken.len() - distinct.len();
        assert!(repetitions <= self.answers_lost, "{repetitions} repetitions, {} answers lost", self.answers_lost);
        let mut sums = BTreeMap::new();
        distinct.into_iter().for_each(|request| add(&mut sums, request));
        sums
    }

    /// The same of the counters as they are.
    fn counters(&self) -> BTreeMap<String, Vec<i128>> {
        let temporality = Temporality::Cumulative;
        let export = otlp::Export { snapshot: &self.snapshot, live: &self.live, gone: &[], temporality, at: self.now };
        let mut counters = BTreeMap::new();
        otlp::requests(&export, &self.options).iter().for_each(|request| add(&mut counters, request));
        counters
    }
}

/// Adds the counters and histograms of the conversations, and what is kept with them. Times are in milliseconds.
fn add(sums: &mut BTreeMap<String, Vec<i128>>, request: &ExportMetricsServiceRequest) {
    let mut add = |name: &str, attributes: &[KeyValue], held: Vec<i128>| {
        let sum = sums.entry(format!("{name} {attributes:?}")).or_default();
        sum.resize(sum.len().max(held.len()), 0);
        sum.iter_mut().zip(held).for_each(|(sum, held)| *sum += held);
    };
    let millis = |seconds: Option<f64>| (seconds.unwrap_or_default() * 1000.0).round() as i128;
    let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    for metric in scopes.flat_map(|scope| &scope.metrics) {
        if metric.name.starts_with("jelou.exporter.") && metric.name != "jelou.exporter.amendments" {
            continue;
        }
        match metric.data.as_ref().unwrap() {
            Data::Gauge(_) | Data::Summary(_) => {}
            Data::Sum(sum) => {
                for point in &sum.data_points {
                    let Some(Value::AsInt(value)) = point.value else { panic!("{point:?}") };
                    add(&metric.name, &point.attributes, vec![value.into()]);
                }
            }
            Data::Histogram(histogram) => {
                for point in &histogram.data_points {
                    let buckets = point.bucket_counts.iter().map(|count| i128::from(*count));
                    let held = [point.count.into(), millis(point.sum)].into_iter().chain(buckets).collect();
                    add(&metric.name, &point.attributes, held);
                }
            }
            Data::ExponentialHistogram(histogram) => {
                for point in &histogram.data_points {
                    let positive = point.positive.as_ref().unwrap();
                    let buckets = positive.bucket_counts.iter().zip(positive.offset..);
                    for (count, index) in buckets.filter(|(count, _)| **count > 0) {
                        add(&format!("{} {index}", metric.name), &point.attributes, vec![i128::from(*count)]);
                    }
                    let held = vec![point.count.into(), millis(point.sum), point.zero_count.into()];
                    add(&metric.name, &point.attributes, held);
                }
            }
        }
    }
}

/// Start and end of the window, by a series that is always there.
fn window(request: &ExportMetricsServiceRequest) -> (u64, u64) {
    let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let mut metrics = scopes.flat_map(|scope| &scope.metrics);
    let started = metrics.find(|metric| metric.name == "jelou.conversations.unanswered").unwrap();
    let Some(Data::Sum(sum)) = &started.data else { panic!("a sum") };
    assert_eq!(sum.aggregation_temporality, AggregationTemporality::Delta as i32);
    (sum.data_points[0].start_time_unix_nano, sum.data_points[0].time_unix_nano)
}

fn step() -> impl Strategy<Value = Step> {
    let fates = [Fate::Taken, Fate::Unreached, Fate::AnswerLost, Fate::KilledBefore, Fate::KilledAfter, Fate::NotKept];
    prop_oneof![
        4 => (0..2usize, 200..4_000_000u64).prop_map(|(pair, millis)| Step::Count(pair, millis)),
        5 => prop::sample::select(fates.to_vec()).prop_map(Step::Export),
        1 => Just(Step::Killed),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever becomes of exports, answers, disk and process.
    #[test]
    fn deltas_add_up_to_the_counters(steps in prop::collection::vec(step(), 1..30), exponential in any::<bool>()) {
        let histograms = if exponential { HistogramKind::Exponential } else { HistogramKind::Explicit };
        let mut world = World::new(histograms);
        for step in steps {
            match step {
                Step::Count(pair, millis) => world.count(pair, millis),
                Step::Export(fate) => world.export(fate),
                Step::Killed => world.start(),
            }
        }
        world.export(Fate::Taken);
        world.export(Fate::Taken);
        prop_assert_eq!(world.sums(), world.counters());
        // One window ends where the next begins.
        let mut windows: Vec<(u64, u64)> = world.taken.iter().map(window).collect();
        windows.dedup();
        prop_assert_eq!(windows[0].0, sample::START.as_nanos());
        prop_assert!(windows.windows(2).all(|pair| pair[0].1 == pair[1].0), "{:?}", windows);
    }
}

#[test]
fn an_export_that_nobody_answered_is_sent_as_it_was() {
    let mut world = World::new(HistogramKind::Explicit);
    world.export(Fate::Unreached);
    // NaN is not equal to itself.
    let waiting = |world: &World| world.deltas().next().unwrap().unwrap().1.encode_to_vec();
    let first = waiting(&world);
    world.count(0, 5);
    world.export(Fate::Unreached);
    assert!(waiting(&world) == first);
    world.start();
    // Other settings make no other export of it.
    world.options.histograms = HistogramKind::Exponential;
    world.export(Fate::Unreached);
    assert!(waiting(&world) == first);
}

#[test]
fn an_endpoint_that_is_down_for_long_costs_one_export() {
    let mut world = World::new(HistogramKind::Explicit);
    world.export(Fate::Unreached);
    let waiting = |world: &World| world.deltas().lock().unsent.iter().map(Vec::len).sum::<usize>();
    let first = waiting(&world);
    for minute in 0..50 {
        world.count(0, minute);
        world.export(Fate::Unreached);
    }
    assert_eq!(waiting(&world), first);
}

#[test]
fn who_changes_to_deltas_is_not_told_a_history_all_at_once() {
    let mut world = World::new(HistogramKind::Explicit);
    // As if cumulative values had been pushed so far, by a process that counted.
    let (_, store) = world.deltas.take().unwrap();
    store.outbox().clear().unwrap();
    drop(store);
    world.now = NOW + 1000;
    world.start();
    let before = world.counters();
    world.count(0, 5);
    world.count(1, 7);
    // It is killed before it exports: what it counted is told later.
    world.start();
    world.export(Fate::Taken);
    let mut sums = world.sums();
    for (series, held) in before {
        let sum = sums.get_mut(&series).unwrap();
        sum.iter_mut().zip(held).for_each(|(sum, held)| *sum += held);
    }
    assert_eq!(sums, world.counters());
    assert_eq!(window(&world.taken[0]).0, (NOW + 1000).as_nanos());
}

#[test]
fn without_a_checkpoint_they_live_as_long_as_the_process() {
    let (snapshot, live) = (sample::with_pairs([sample::pair("b", "t")]), LiveStats::new(true).live());
    let deltas = Deltas::open(None, &sample::empty(), NOW).unwrap();
    let make = |now| deltas.make(&snapshot, &live, &[], &otlp::Options::default(), now).unwrap();
    make(NOW + 1);
    let (place, first) = deltas.next().unwrap().unwrap();
    assert_eq!(window(&first), (sample::START.as_nanos(), (NOW + 1).as_nanos()));
    deltas.answered(place).unwrap();
    assert_eq!(deltas.next().unwrap(), None);
    make(NOW + 2);
    assert_eq!(window(&deltas.next().unwrap().unwrap().1), ((NOW + 1).as_nanos(), (NOW + 2).as_nanos()));
}

/// Whoever is stopped does not know how far the work has come that goes on beside it, and does it again.
#[test]
fn work_that_is_done_twice_loses_nothing_and_repeats_nothing() {
    let mut world = World::new(HistogramKind::Explicit);
    world.count(0, 5);
    world.make().unwrap();
    world.count(1, 7);
    world.now = world.now + 1;
    world.make().unwrap();
    let (place, request) = world.deltas().next().unwrap().unwrap();
    assert_eq!(window(&request).0, sample::START.as_nanos(), "what was made first still waits");
    world.taken.push(request);
    world.deltas().answered(place).unwrap();
    world.deltas().answered(place).unwrap();
    world.make().unwrap();
    // An answer to the export before is none to this one.
    world.deltas().answered(place).unwrap();
    world.export(Fate::Taken);
    assert_eq!(world.sums(), world.counters());
    assert!(world.deltas().next().unwrap().is_none());
}
