//! Rotel, a receiver of OTLP that prints every point it gets.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::eventually;
use super::exposition::{Labels, Series};
use super::program::Program;
use super::scratch::Scratch;

/// Begins every export: none of the tests is so large that it must be split.
const FIRST: &str = "ResourceMetrics #0\n";

/// A point, as it was printed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Point {
    pub(crate) kind: String,
    /// As Prometheus translates names: dots, unit, `_total`.
    pub(crate) name: String,
    pub(crate) labels: Labels,
    /// Nanoseconds; 0 when it has none.
    pub(crate) start: u64,
    value: String,
    count: String,
    sum: String,
    bounds: Vec<String>,
    counts: Vec<u64>,
    /// Exponential buckets: above, up to, how many.
    pub(crate) buckets: Vec<(f64, f64, u64)>,
}

impl Point {
    /// The series that Prometheus text has for it; of an exponential histogram all but the buckets.
    pub(crate) fn series(&self) -> Vec<(Series, String)> {
        let one = |suffix: &str, value: &str| {
            let name = format!("{}{suffix}", self.name);
            (Series { name, labels: self.labels.clone() }, value.to_owned())
        };
        // The end of what was printed so far may lie in the middle of a point.
        let is_told = |series: &(Series, String)| !series.1.is_empty();
        if self.count.is_empty() {
            return Some(one("", &self.value)).filter(is_told).into_iter().collect();
        }
        let mut series = vec![one("_count", &self.count), one("_sum", &self.sum)];
        let mut below = 0;
        let infinite = (!self.bounds.is_empty()).then(|| "+Inf".to_owned());
        for (bound, count) in self.bounds.iter().cloned().chain(infinite).zip(&self.counts) {
            below += count;
            let (mut bucket, value) = one("_bucket", &below.to_string());
            bucket.labels.insert("le".to_owned(), bound);
            series.push((bucket, value));
        }
        series.retain(is_told);
        series
    }
}

/// A running receiver.
pub(crate) struct Rotel {
    program: Program,
    pub(crate) http: String,
    pub(crate) grpc: String,
    _files: Scratch,
}

impl Rotel {
    #[track_caller]
    pub(crate) fn start(binary: &Path) -> Self {
        let files = Scratch::new();
        // It does not tell which port it was given, so free ones are looked for: again, if somebody was quicker.
        let (program, http, grpc) = eventually(|| {
            let [http, grpc] = [free_address(), free_address()];
            let mut command = Command::new(binary);
            command.args(["start", "--otlp-http-endpoint", &http, "--otlp-grpc-endpoint", &grpc]);
            command.args(["--debug-log", "metrics", "--debug-log-verbosity", "detailed", "--exporter", "blackhole"]);
            command.arg("--pid-file").arg(files.0.join("pid")).arg("--log-file").arg(files.0.join("log"));
            let program = Program::start(&mut command);
            if [&http, &grpc].into_iter().all(|address| is_listened_to(address)) {
                Ok((program, http, grpc))
            } else {
                Err(program.stdout() + &program.stderr())
            }
        });
        Self { program, http, grpc, _files: files }
    }

    /// How many exports have begun to come.
    pub(crate) fn exports(&self) -> usize {
        self.program.stdout().matches(FIRST).count()
    }

    /// The series of all exports added up, to thousandths; of those that are no counts the last.
    pub(crate) fn added_up(&self) -> BTreeMap<Series, String> {
        let (said, mut sums) = (self.program.stdout(), BTreeMap::<Series, f64>::new());
        for export in said.split(FIRST).skip(1) {
            for point in points(export) {
                for (series, value) in point.series() {
                    let Ok(value) = value.parse::<f64>() else { continue };
                    let sum = sums.entry(series).or_default();
                    *sum = if point.kind == "Gauge" { value } else { ((*sum + value) * 1000.0).round() / 1000.0 };
                }
            }
        }
        sums.into_iter().map(|(series, sum)| (series, sum.to_string())).collect()
    }

    /// The points of the last export, as far as it has come.
    pub(crate) fn last_export(&self) -> Vec<Point> {
        let said = self.program.stdout();
        said.rfind(FIRST).map_or_else(Vec::new, |at| points(&said[at..]))
    }
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap().to_string()
}

fn is_listened_to(address: &str) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        if TcpStream::connect(address).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn points(said: &str) -> Vec<Point> {
    let (mut points, mut metric, mut unit) = (Vec::<Point>::new(), Point::default(), "");
    for line in said.lines() {
        if let Some(name) = line.strip_prefix("     -> Name: ") {
            metric = Point { name: name.replace('.', "_"), ..Point::default() };
        } else if let Some(told) = line.strip_prefix("     -> Unit: ") {
            unit = told;
        } else if let Some(kind) = line.strip_prefix("     -> DataType: ") {
            kind.clone_into(&mut metric.kind);
            metric.name += if unit == "s" { "_seconds" } else { "" };
            metric.name += if kind == "Sum" { "_total" } else { "" };
        } else if line == "Data point attributes:" {
            points.push(metric.clone());
        } else if let Some(point) = points.last_mut() {
            detail(point, line);
        }
    }
    points
}

fn detail(point: &mut Point, line: &str) {
    if let Some((key, value)) = line.strip_prefix("     -> ").and_then(|line| line.split_once(": Str(")) {
        point.labels.insert(key.to_owned(), value.strip_suffix(')').expect(line).to_owned());
    } else if let Some((_, bound)) = line.strip_prefix("ExplicitBounds #").and_then(|line| line.split_once(": ")) {
        point.bounds.push(bound.to_owned());
    } else if let Some((_, count)) = line.strip_prefix("Buckets #").and_then(|line| line.split_once(", Count: ")) {
        point.counts.push(count.parse().expect(line));
    } else if let Some((range, count)) = line.strip_prefix("Bucket (").and_then(|line| line.split_once("], Count: ")) {
        let (above, up_to) = range.split_once(", ").expect(line);
        point.buckets.push((above.parse().unwrap(), up_to.parse().unwrap(), count.parse().expect(line)));
    } else if let Some((key, value)) = line.split_once(": ") {
        match key {
            "StartTimestamp" => point.start = value.parse().expect(line),
            "Value" => value.clone_into(&mut point.value),
            "Count" => value.clone_into(&mut point.count),
            "Sum" => value.clone_into(&mut point.sum),
            _ => {}
        }
    }
}
