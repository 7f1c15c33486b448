//! Scrapes at fixed times, however long the ones before take.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use jelou_exporter::tls::{self, TlsTexts};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::PATIENCE;
use super::target::Exporter;

const EVERY: Duration = Duration::from_millis(100);
/// As Prometheus 3 asks.
const ACCEPT: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
    application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
    text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

/// How long scrapes took, in ascending order, from when they were due.
pub(crate) struct Times {
    taken: Vec<Duration>,
    pub(crate) failed: usize,
}

impl Times {
    /// Of all scrapes, not of those that came through: one that failed took for ever, and where so many failed there is none.
    pub(crate) fn percentile(&self, percentile: usize) -> Option<Duration> {
        let rank = ((self.taken.len() + self.failed) * percentile).div_ceil(100);
        self.taken.get(rank.checked_sub(1)?).copied()
    }
}

/// A Prometheus that keeps no connection.
pub(crate) struct Scraper {
    /// One thread: what is measured is the server.
    runtime: Runtime,
    from: IpAddr,
}

impl Scraper {
    /// One at this address.
    pub(crate) fn at(from: impl Into<IpAddr>) -> Self {
        let from = from.into();
        Self { from, runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime") }
    }

    pub(crate) fn scrapes(&self, exporter: &Exporter, scrapes: usize) -> Times {
        let client = self.client(exporter);
        let mut taken = Vec::new();
        let mut failed = 0;
        self.runtime.block_on(async {
            let mut due = interval(EVERY);
            due.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut running = JoinSet::new();
            for _ in 0..scrapes {
                let due = due.tick().await.into_std();
                let request = request(&client, exporter);
                running.spawn(async move { scrape(request).await.map(|_| due.elapsed()) });
            }
            while let Some(ended) = running.join_next().await {
                match ended.expect("a scrape does not panic") {
                    Ok(time) => taken.push(time),
                    Err(why) => {
                        failed += 1;
                        if failed == 1 {
                            println!("    first failure: {why}");
                        }
                    }
                }
            }
        });
        taken.sort_unstable();
        Times { taken, failed }
    }

    fn client(&self, exporter: &Exporter) -> reqwest::Client {
        let trusted = TlsTexts { authorities: exporter.authority.clone(), identity: None };
        let config = tls::config_with(&trusted, &[b"h2", b"http/1.1"]).expect("the certificate is our own");
        let builder = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(PATIENCE);
        builder.local_address(self.from).tls_backend_preconfigured(config).build().expect("a client")
    }

    /// Requests that were answered so far, and connections that were cut off.
    pub(crate) fn answers(&self, exporter: &Exporter) -> (f64, f64) {
        let began = Instant::now();
        loop {
            match self.runtime.block_on(scrape(request(&self.client(exporter), exporter))) {
                Ok(text) => {
                    let answered = sum(&text, "jelou_exporter_http_requests_total{")
                        + sum(&text, "promhttp_metric_handler_requests_total{");
                    return (answered, sum(&text, "jelou_exporter_http_connections_dropped_total{"));
                }
                Err(why) => assert!(began.elapsed() < PATIENCE, "{why}"),
            }
        }
    }
}

fn request(client: &reqwest::Client, exporter: &Exporter) -> reqwest::RequestBuilder {
    let request =
        client.get(exporter.url("/metrics")).header("accept", ACCEPT).header("user-agent", "Prometheus/3.16.0");
    request.basic_auth("ada", Some("one"))
}

/// The body, if it is whole.
async fn scrape(request: reqwest::RequestBuilder) -> Result<String, String> {
    let response = request.send().await.map_err(|error| format!("{error:?}"))?;
    let (status, version) = (response.status(), response.version());
    let text = response.text().await.map_err(|error| format!("{error:?}"))?;
    // The peer, of Debian, speaks no OpenMetrics unless asked to.
    let ends = text.ends_with("# EOF\n") || text.contains("promhttp_metric_handler_requests_total");
    if status == 200 && ends { Ok(text) } else { Err(format!("{status} by {version:?}, {} bytes", text.len())) }
}

fn sum(text: &str, family: &str) -> f64 {
    let lines = text.lines().filter(|line| line.starts_with(family));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}
