//! Alertmanager with our example, and a receiver of its webhooks in this process.

use std::convert::Infallible;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::exposition::Labels;
use super::peer::listens;
use super::program::Program;
use super::scratch::Scratch;
use super::web;
use super::world::RUNTIME;

/// A running Alertmanager.
pub(crate) struct Alertmanager {
    pub(crate) address: String,
    _program: Program,
    _data: Scratch,
}

impl Alertmanager {
    #[track_caller]
    pub(crate) fn start(binary: PathBuf, configuration: &Value) -> Self {
        let data = Scratch::new();
        let config = data.0.join("alertmanager.yml");
        // JSON is YAML.
        std::fs::write(&config, configuration.to_string()).unwrap();
        let mut command = Command::new(binary);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.path={}", data.0.join("data").display()));
        command.args(["--web.listen-address=127.0.0.1:0", "--cluster.listen-address="]);
        let program = Program::start(&mut command);
        Self { address: listens(&program), _program: program, _data: data }
    }

    /// Reports alerts as Prometheus does; each is told by its labels.
    #[track_caller]
    pub(crate) fn report(&self, alerts: &[Value]) {
        let alerts: Vec<_> = alerts.iter().map(|labels| json!({ "labels": labels })).collect();
        let body = Value::from(alerts).to_string();
        let headers = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        let answer = web::send(&self.address, "POST", "/api/v2/alerts", &headers, body.as_bytes()).unwrap();
        let answer: web::Answer = answer.try_into().unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// A number that it shows of itself; 0 as long as it does not show it.
    #[track_caller]
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let answer = web::get(&self.address, "/metrics").unwrap();
        let value = answer.body.lines().find_map(|line| line.strip_prefix(series));
        value.map_or(0.0, |value| value.trim().parse().unwrap())
    }

    /// The alerts that it holds, as its API tells them.
    #[track_caller]
    pub(crate) fn alerts(&self) -> Vec<Value> {
        let answer = web::get(&self.address, "/api/v2/alerts").unwrap();
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Those that it does not tell, because others inhibit them; each by its labels.
    #[track_caller]
    pub(crate) fn inhibited(&self) -> Vec<Labels> {
        let inhibited = |alert: &&Value| !alert["status"]["inhibitedBy"].as_array().unwrap().is_empty();
        self.alerts().iter().filter(inhibited).map(|alert| labels(&alert["labels"])).collect()
    }
}

fn labels(value: &Value) -> Labels {
    serde_json::from_value(value.clone()).unwrap()
}

/// What a receiver was told about one alert.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    pub(crate) receiver: String,
    pub(crate) is_firing: bool,
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
}

impl Notice {
    pub(crate) fn is(&self, alert: &str, account: &str) -> bool {
        self.labels["alertname"] == alert && self.labels.get("account").is_some_and(|known| known == account)
    }
}

/// Takes what Alertmanager tells.
pub(crate) struct Webhook {
    pub(crate) address: String,
    notices: Arc<Mutex<Vec<Notice>>>,
    server: JoinHandle<()>,
}

impl Webhook {
    pub(crate) fn start() -> Self {
        let notices = Arc::new(Mutex::new(Vec::new()));
        RUNTIME.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let server = tokio::spawn(serve(listener, Arc::clone(&notices)));
            Self { address, notices, server }
        })
    }

    /// What has been told so far, in the order in which it came.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        self.notices.lock().unwrap().clone()
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, notices: Arc<Mutex<Vec<Notice>>>) {
    loop {
        // A failed accept concerns that client alone.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let notices = Arc::clone(&notices);
        tokio::spawn(async move {
            let service = service_fn(|request| take(request, &notices));
            // Alertmanager is stopped at any moment, so connections break.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn take(request: Request<Incoming>, notices: &Mutex<Vec<Notice>>) -> Result<Response<Full<Bytes>>, Infallible> {
    // Stopped in the middle of a message: there is nothing to be taken.
    let Ok(body) = request.into_body().collect().await else { return Ok(Response::default()) };
    let message: Value = serde_json::from_slice(&body.to_bytes()).expect("a webhook is JSON");
    let receiver = message["receiver"].as_str().expect("it names its receiver");
    let told = message["alerts"].as_array().expect("it has alerts").iter().map(|alert| Notice {
        receiver: receiver.to_owned(),
        is_firing: alert["status"] == "firing",
        labels: labels(&alert["labels"]),
        annotations: labels(&alert["annotations"]),
    });
    notices.lock().unwrap().extend(told);
    Ok(Response::default())
}
