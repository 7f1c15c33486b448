//! A receiver of deltas that adds them up, and that is as unreliable as it is told to be.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex};

use fastrand::Rng;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::lasting::is_lasting;
use super::otlp::{self, Counts};
use super::world::RUNTIME;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Take,
    /// Takes it, and breaks the connection.
    DropAnswer,
    /// Takes it, and never answers.
    Hang,
    /// Is busy.
    Refuse,
    /// Is busy in a way that is not to be tried again at once.
    Deny,
}

#[derive(Debug)]
struct State {
    dice: Rng,
    reliable: bool,
    /// What every request that was taken for the first time adds up to.
    counts: Counts,
    /// Requests that were taken.
    seen: BTreeSet<u64>,
    /// Those that were taken before.
    repeated: u64,
    /// Answers that were not given to requests that were taken.
    withheld: u64,
    wrong: Vec<String>,
}

pub(crate) struct Adder {
    /// What `otlp.endpoint` is to be set to.
    pub(crate) endpoint: String,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

impl Adder {
    pub(crate) fn start(seed: u64) -> Self {
        let state = Arc::new(Mutex::new(State {
            dice: Rng::with_seed(seed),
            reliable: false,
            counts: Counts::new(),
            seen: BTreeSet::new(),
            repeated: 0,
            withheld: 0,
            wrong: Vec::new(),
        }));
        RUNTIME.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let endpoint = format!("http://{}", listener.local_addr().unwrap());
            let server = tokio::spawn(serve(listener, Arc::clone(&state)));
            Self { endpoint, state, server }
        })
    }

    /// Takes and answers everything from now on.
    pub(crate) fn be_reliable(&self) {
        self.state.lock().unwrap().reliable = true;
    }

    /// How many different requests were taken.
    pub(crate) fn taken(&self) -> usize {
        self.state.lock().unwrap().seen.len()
    }

    /// What they add up to.
    pub(crate) fn counts(&self) -> Counts {
        self.state.lock().unwrap().counts.clone()
    }

    /// Everything could be read, and nothing came twice but where its answer was lost, or may have been in `kills`.
    #[track_caller]
    pub(crate) fn is_content(&self, kills: u64) {
        let state = self.state.lock().unwrap();
        assert!(state.wrong.is_empty(), "{}", state.wrong.join("\n"));
        let State { repeated, withheld, .. } = *state;
        assert!(withheld > 0, "every answer was given");
        assert!(
            repeated <= withheld + kills,
            "{repeated} came again, of {withheld} without an answer and {kills} kills"
        );
    }
}

impl Drop for Adder {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    loop {
        // A failed accept concerns that client alone.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(|request| respond(request, &state));
            // The exporter is killed at any moment, so connections break.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn respond(request: Request<Incoming>, state: &Mutex<State>) -> Result<Response<Full<Bytes>>, String> {
    // Killed in the middle of a message: it was not taken.
    let body = request.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    let manner = state.lock().unwrap().receive(&body);
    let answer = |status: u16| Ok(Response::builder().status(status).body(Full::default()).unwrap());
    match manner {
        Manner::Take => answer(200),
        Manner::Refuse => answer(503),
        Manner::Deny => answer(403),
        Manner::Hang => std::future::pending::<Result<_, Infallible>>().await.map_err(|never| match never {}),
        Manner::DropAnswer => Err("as it was meant".to_owned()),
    }
}

impl State {
    fn receive(&mut self, body: &[u8]) -> Manner {
        let choice = self.dice.u8(0..10);
        let manner = match choice {
            _ if self.reliable => Manner::Take,
            0 | 1 => Manner::DropAnswer,
            2 => Manner::Hang,
            3 => Manner::Refuse,
            4 => Manner::Deny,
            _ => Manner::Take,
        };
        if !matches!(manner, Manner::Refuse | Manner::Deny) {
            self.take(body);
            self.withheld += u64::from(manner != Manner::Take);
        }
        manner
    }

    fn take(&mut self, body: &[u8]) {
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        if !self.seen.insert(hasher.finish()) {
            self.repeated += 1;
            return;
        }
        let read = ExportMetricsServiceRequest::decode(body).map_err(|error| error.to_string());
        let added =
            read.and_then(|request| otlp::add(&mut self.counts, &request, AggregationTemporality::Delta, &is_lasting));
        self.wrong.extend(added.err());
    }
}
