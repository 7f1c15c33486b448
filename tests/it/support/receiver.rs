//! A receiver of OTLP in this process: it needs nobody's program, so start times are judged wherever the tests run.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric, metric, number_data_point};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::exposition::Series;
use super::lasting::Starts;
use super::otlp::labels;
use super::world::RUNTIME;

/// A counter, or how many times a histogram holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counted {
    /// Since when it counts, nanoseconds.
    pub(crate) start: u64,
    pub(crate) value: f64,
}

/// One export, under the names that Prometheus text has for the series; a histogram is its `_count`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Export {
    /// When it was sent, nanoseconds.
    pub(crate) sent: u64,
    pub(crate) counted: BTreeMap<Series, Counted>,
    pub(crate) gauges: BTreeMap<Series, f64>,
    /// `service.instance.id`.
    pub(crate) instance: String,
}

#[derive(Debug, Default)]
struct Received {
    exports: u64,
    newest: Export,
    /// The newest export as it came.
    body: Bytes,
    starts: Starts,
    wrong: Vec<String>,
}

/// Takes every export and holds it against all before.
pub(crate) struct Receiver {
    /// What `otlp.endpoint` is to be set to.
    pub(crate) endpoint: String,
    received: Arc<Mutex<Received>>,
    server: JoinHandle<()>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let received = Arc::new(Mutex::new(Received::default()));
        RUNTIME.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let endpoint = format!("http://{}", listener.local_addr().unwrap());
            let server = tokio::spawn(serve(listener, Arc::clone(&received)));
            Self { endpoint, received, server }
        })
    }

    /// How many exports have come.
    pub(crate) fn exports(&self) -> u64 {
        self.received.lock().unwrap().exports
    }

    /// The newest export.
    pub(crate) fn newest(&self) -> Export {
        self.received.lock().unwrap().newest.clone()
    }

    /// The newest export as it came.
    pub(crate) fn body(&self) -> Bytes {
        self.received.lock().unwrap().body.clone()
    }

    /// So far nothing lasting went down, left or moved its start.
    #[track_caller]
    pub(crate) fn is_content(&self) {
        let wrong = self.received.lock().unwrap().wrong.join("\n");
        assert!(wrong.is_empty(), "{wrong}");
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, received: Arc<Mutex<Received>>) {
    loop {
        // A failed accept concerns that client alone.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let received = Arc::clone(&received);
        tokio::spawn(async move {
            let service = service_fn(|request| respond(request, &received));
            // The exporter is killed at any moment, so connections break.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn respond(request: Request<Incoming>, received: &Mutex<Received>) -> Result<Response<Full<Bytes>>, Infallible> {
    // Killed in the middle of a message: there is nothing to be judged.
    let Ok(body) = request.into_body().collect().await else { return Ok(Response::default()) };
    let body = body.to_bytes();
    let read = ExportMetricsServiceRequest::decode(body.clone()).map_err(|error| error.to_string());
    let mut received = received.lock().unwrap();
    match read.and_then(|message| Export::read(&message)) {
        Ok(export) => {
            let wrong = received.starts.see(&export);
            // The first few tell what is wrong.
            let room = 20_usize.saturating_sub(received.wrong.len());
            received.wrong.extend(wrong.into_iter().take(room));
            received.exports += 1;
            if export.sent >= received.newest.sent {
                (received.newest, received.body) = (export, body);
            }
        }
        Err(why) => received.wrong.push(why),
    }
    Ok(Response::default())
}

impl Export {
    fn read(message: &ExportMetricsServiceRequest) -> Result<Self, String> {
        let mut export = Self::default();
        for resource in &message.resource_metrics {
            let attributes = resource.resource.as_ref().map_or(&[][..], |resource| &resource.attributes[..]);
            export.instance = labels(attributes).remove("service.instance.id").unwrap_or_default();
            for metric in resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
                export.metric(metric)?;
            }
        }
        Ok(export)
    }

    fn metric(&mut self, metric: &Metric) -> Result<(), String> {
        let mut name = metric.name.replace('.', "_");
        name += if metric.unit == "s" { "_seconds" } else { "" };
        let cumulative = AggregationTemporality::Cumulative as i32;
        // A point of a series that has left has a flag, and no value.
        match &metric.data {
            Some(metric::Data::Gauge(gauge)) => {
                for point in gauge.data_points.iter().filter(|point| point.flags == 0) {
                    let series = Series { name: name.clone(), labels: labels(&point.attributes) };
                    self.gauges.insert(series, number(point.value));
                }
            }
            Some(metric::Data::Sum(sum)) if sum.is_monotonic && sum.aggregation_temporality == cumulative => {
                for point in sum.data_points.iter().filter(|point| point.flags == 0) {
                    let value = number(point.value);
                    let (start, sent) = (point.start_time_unix_nano, point.time_unix_nano);
                    self.count(&format!("{name}_total"), &point.attributes, start, sent, value)?;
                }
            }
            Some(metric::Data::Histogram(histogram)) if histogram.aggregation_temporality == cumulative => {
                for point in histogram.data_points.iter().filter(|point| point.flags == 0) {
                    let (start, sent) = (point.start_time_unix_nano, point.time_unix_nano);
                    self.count(&format!("{name}_count"), &point.attributes, start, sent, point.count as f64)?;
                }
            }
            other => return Err(format!("{name} is not expected: {other:?}")),
        }
        Ok(())
    }

    fn count(&mut self, name: &str, attributes: &[KeyValue], start: u64, sent: u64, value: f64) -> Result<(), String> {
        let series = Series { name: name.to_owned(), labels: labels(attributes) };
        self.sent = self.sent.max(sent);
        match self.counted.insert(series.clone(), Counted { start, value }) {
            None => Ok(()),
            Some(_) => Err(format!("{series} came twice")),
        }
    }
}

fn number(value: Option<number_data_point::Value>) -> f64 {
    match value {
        Some(number_data_point::Value::AsDouble(value)) => value,
        Some(number_data_point::Value::AsInt(value)) => value as f64,
        None => f64::NAN,
    }
}
