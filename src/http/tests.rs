use std::future::Future;
use std::io::Read as _;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Method, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::limits::Limits;
use super::server::serve_within;
use super::*;
use crate::clock::ManualClock;
use crate::render::sample;

mod access;
mod floods;
mod reread;

/// A server on a free port of the loopback.
struct Server {
    address: SocketAddr,
    publish: watch::Sender<Arc<Snapshot>>,
    clock: Arc<ManualClock>,
    live: Arc<LiveStats>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(snapshot: Snapshot, limits: Limits) -> Self {
        Self::guarded(snapshot, limits, Access::open()).await
    }

    async fn guarded(snapshot: Snapshot, limits: Limits, access: Access) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (publish, snapshots) = watch::channel(Arc::new(snapshot));
        let clock = Arc::new(ManualClock::new(sample::NOW));
        let live = Arc::new(LiveStats::new(false));
        let state = HttpState::new(
            snapshots,
            Arc::clone(&clock) as Arc<dyn Clock>,
            Arc::clone(&live),
            "/metrics",
            Options::default(),
        );
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve_within(limits, vec![listener], state, access, async move {
            stopped.await.ok();
        }));
        Self { address, publish, clock, live, stop, task }
    }

    async fn ask(&self, method: Method, path: &str) -> Response {
        client().request(method, format!("http://{}{path}", self.address)).send().await.unwrap()
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let response = self.ask(Method::GET, path).await;
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

fn client() -> reqwest::Client {
    builder().build().unwrap()
}

/// Asks for no packing and would not undo any.
fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder().tls_backend_preconfigured(crate::tls::client_config(&[])).no_proxy().no_gzip()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
}

#[tokio::test]
async fn every_path_has_its_answer() {
    let server = Server::start(sample::empty(), Limits::default()).await;
    let response = server.ask(Method::GET, "/metrics?x=1").await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = response.text().await.unwrap();
    assert!(text.contains("\njelou_up{account=\"acme\"} 0\n"));
    assert!(text.contains("\njelou_exporter_http_requests_total{code=\"200\"} 0\n"));
    assert!(text.contains("\nprocess_resident_memory_bytes "));
    assert!(!text.contains("jelou_conversations_"));

    let page = server.ask(Method::GET, "/").await;
    let policy = header(&page, "content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(header(&page, "referrer-policy"), "no-referrer");
    assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8");
    assert_eq!(server.get("/-/healthy").await, (200, "Healthy.\n".to_owned()));
    let (code, why) = server.get("/-/ready").await;
    assert_eq!((code, &*why), (503, "Not ready: no poll of the Jelou API has ended yet.\n"));
    server.publish.send_replace(Arc::new(sample::with_pairs([sample::pair("b", "t")])));
    assert_eq!(server.get("/-/ready").await.0, 200);

    assert_eq!(server.get("/metrics/").await.0, 404);
    let refused = server.ask(Method::POST, "/metrics").await;
    assert_eq!((refused.status().as_u16(), header(&refused, "allow")), (405, "GET, HEAD"));
    assert_eq!(server.ask(Method::DELETE, "/nowhere").await.status(), 404);
    assert_eq!(server.live.live().http_requests, [(200, 4), (404, 2), (405, 1), (503, 1)]);
}

#[tokio::test]
async fn head_tells_the_length_and_sends_nothing() {
    let server = Server::start(sample::empty(), Limits::default()).await;
    for client in [client(), builder().http2_prior_knowledge().build().unwrap()] {
        for path in ["/-/healthy", "/-/ready", "/", "/nowhere"] {
            let url = format!("http://{}{path}", server.address);
            let whole = client.get(&url).send().await.unwrap();
            let head = client.head(&url).send().await.unwrap();
            assert_eq!(head.status(), whole.status());
            assert_eq!(header(&head, "content-length"), header(&whole, "content-length"));
            assert!(head.bytes().await.unwrap().is_empty());
            assert!(!whole.bytes().await.unwrap().is_empty());
        }
    }
    let head = server.ask(Method::HEAD, "/metrics").await;
    assert!(header(&head, "content-length").parse::<usize>().unwrap() > 1000);
}

/// The answer's body, unpacked.
async fn unpacked(response: Response) -> Vec<u8> {
    let coding = response.headers().get("content-encoding").map(|coding| coding.to_str().unwrap().to_owned());
    let (bytes, mut out) = (response.bytes().await.unwrap(), Vec::new());
    match coding.as_deref() {
        None => return bytes.to_vec(),
        Some("gzip") => flate2::bufread::GzDecoder::new(&*bytes).read_to_end(&mut out).unwrap(),
        Some("zstd") => zstd::Decoder::new(&*bytes).unwrap().read_to_end(&mut out).unwrap(),
        Some(other) => panic!("{other}"),
    };
    out
}

#[tokio::test]
async fn a_scraper_gets_the_format_and_packing_that_it_asks_for() {
    let server = Server::start(sample::with_pairs([sample::pair("b", "t")]), Limits::default()).await;
    let url = format!("http://{}/metrics", server.address);
    let openmetrics = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8";
    let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    for (accept, content_type, mark) in [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", &b"process_resident_memory_bytes "[..]),
        (
            openmetrics,
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            &b"\n# EOF\n"[..],
        ),
        (
            protobuf,
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
            &b"process_resident_memory_bytes"[..],
        ),
    ] {
        for coding in [None, Some("gzip"), Some("zstd")] {
            // The first answer makes what the second one shares.
            for method in [Method::GET, Method::GET, Method::HEAD] {
                let request = client().request(method.clone(), &url).header("accept", accept);
                let response = request.header("accept-encoding", coding.unwrap_or("identity")).send().await.unwrap();
                assert_eq!(response.status(), 200);
                assert_eq!(header(&response, "content-type"), content_type);
                assert_eq!(header(&response, "vary"), "Accept, Accept-Encoding");
                let told = response.headers().get("content-encoding").map(|coding| coding.to_str().unwrap());
                assert_eq!(told, coding);
                let length: usize = header(&response, "content-length").parse().unwrap();
                if method == Method::HEAD {
                    assert!(length > 1000 && response.bytes().await.unwrap().is_empty());
                } else {
                    let body = unpacked(response).await;
                    assert!(coding.is_some() || body.len() == length);
                    assert!(body.windows(mark.len()).any(|window| window == mark), "{accept} {coding:?}");
                }
            }
        }
    }
    let refused = client().get(&url).header("accept-encoding", "identity;q=0").send().await.unwrap();
    assert_eq!((refused.status().as_u16(), header(&refused, "vary")), (406, "Accept, Accept-Encoding"));
    assert!(refused.text().await.unwrap().contains("gzip"));
}

#[tokio::test]
async fn http2_without_tls_is_understood() {
    let server = Server::start(sample::with_pairs([sample::pair("b", "t")]), Limits::default()).await;
    let client = builder().http2_prior_knowledge().build().unwrap();
    let response = client.get(format!("http://{}/metrics", server.address)).send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert!(response.text().await.unwrap().contains("jelou_conversations_active{"));
}

#[tokio::test]
async fn facts_of_the_moment_leave_with_time() {
    let server = Server::start(sample::with_pairs([sample::pair("b", "t")]), Limits::default()).await;
    assert!(server.get("/metrics").await.1.contains("jelou_conversations_active{"));
    server.clock.advance(60_000);
    let text = server.get("/metrics").await.1;
    assert!(!text.contains("jelou_conversations_active{"));
    assert!(text.contains("jelou_conversations_started_total{"));
}

#[tokio::test]
async fn the_page_is_of_the_newest_snapshot_and_of_this_second() {
    let server = Server::start(sample::with_pairs([sample::pair("b", "t")]), Limits::default()).await;
    let first = server.get("/").await.1;
    assert!(first.contains("The last poll succeeded 1 s ago."));
    server.clock.advance(999);
    assert_eq!(server.get("/").await.1, first);
    server.clock.advance(1);
    assert!(server.get("/").await.1.contains("The last poll succeeded 2 s ago."));
    server.publish.send_replace(Arc::new(sample::empty()));
    assert!(!server.get("/").await.1.contains("The last poll succeeded"));
}

#[tokio::test]
async fn large_answers_arrive_whole_also_side_by_side() {
    let pairs = (0..500).map(|n| sample::pair(&format!("bot {n}"), "team"));
    let server = Server::start(sample::with_pairs(pairs), Limits::default()).await;
    let (one, two, three) = tokio::join!(server.get("/metrics"), server.get("/metrics"), server.get("/metrics"));
    for (code, text) in [one, two, three] {
        assert_eq!(code, 200);
        assert!(text.ends_with('\n') && text.contains("bot=\"bot 499\""));
        assert_eq!(text.matches("\njelou_conversations_active{").count(), 500);
    }
}

/// Whatever is published meanwhile, an answer is of one snapshot, whole, in what was asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scrapes_while_snapshots_come_and_go_are_each_of_one() {
    let numbered = |number: u32| {
        let mut snapshot = sample::with_pairs([sample::pair("b", "t"), sample::pair("c", "t")]);
        snapshot.account = format!("account {number}.").into();
        snapshot
    };
    let server = Server::start(numbered(0), Limits::default()).await;
    let (url, client) = (format!("http://{}/metrics", server.address), client());
    let mut scrapes = tokio::task::JoinSet::new();
    for scraper in 0..12 {
        let (url, client) = (url.clone(), client.clone());
        let format = Format::ALL[scraper % 3];
        let coding = ["identity", "gzip", "zstd"][scraper / 3 % 3];
        scrapes.spawn(async move {
            let mut seen = std::collections::BTreeSet::new();
            while !seen.contains("account 20.") {
                let request =
                    client.get(&url).header("accept", format.content_type()).header("accept-encoding", coding);
                let body = unpacked(request.send().await.unwrap()).await;
                let text = String::from_utf8_lossy(&body);
                let starts = text.match_indices("account ").map(|(at, _)| &text[at..]);
                let mut accounts: Vec<_> =
                    starts.filter_map(|rest| rest.split_inclusive('.').next()).filter(|name| name.len() < 13).collect();
                accounts.dedup();
                assert_eq!(accounts.len(), 1, "{accounts:?}");
                assert!(text.contains("process_resident_memory_bytes"));
                seen.insert(accounts[0].to_owned());
            }
        });
    }
    for number in 1..=20 {
        server.publish.send_replace(Arc::new(numbered(number)));
        server.get("/metrics").await;
    }
    while let Some(scrape) = in_time(scrapes.join_next()).await {
        scrape.unwrap();
    }
}

/// Waits far longer than anything takes: only a failure lasts so long.
async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(100), what).await.expect("it does not take so long")
}

/// Waits for the peer to close, without reading anything.
async fn closed(stream: &TcpStream) {
    let ends = async {
        loop {
            stream.readable().await.unwrap();
            match stream.try_read(&mut [0; 64]) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    };
    in_time(ends).await;
}

#[tokio::test]
async fn a_peer_that_asks_nothing_loses_its_slot() {
    let limits = Limits { connections: 1, head: Duration::from_millis(50), ..Limits::default() };
    let server = Server::start(sample::empty(), limits).await;
    // "PRI" could still become HTTP/1 or HTTP/2; "GET" is HTTP/1 that never ends.
    for sent in ["", "PRI", "GET / HTTP/1.1\r\nHost: x\r\n"] {
        let stream = TcpStream::connect(server.address).await.unwrap();
        stream.writable().await.unwrap();
        assert_eq!(stream.try_write(sent.as_bytes()).unwrap(), sent.len());
        closed(&stream).await;
    }
    // On a machine that is busy the one that asks may be too slow as well.
    let url = format!("http://{}/-/healthy", server.address);
    let answered = async { while client().get(&url).send().await.is_err() {} };
    in_time(answered).await;
}

#[tokio::test]
async fn stopping_ends_idle_connections_at_once() {
    let limits = Limits { drain: Duration::from_secs(1000), ..Limits::default() };
    let server = Server::start(sample::empty(), limits).await;
    let client = client();
    let url = format!("http://{}/-/healthy", server.address);
    client.get(&url).send().await.unwrap().bytes().await.unwrap();
    server.stop.send(()).unwrap();
    in_time(server.task).await.unwrap();
    assert!(client.get(&url).send().await.is_err());
}

#[tokio::test]
async fn stopping_ends_connections_that_are_not_through_at_the_deadline() {
    let limits = Limits { drain: Duration::from_millis(50), ..Limits::default() };
    let server = Server::start(sample::empty(), limits).await;
    let halfway = TcpStream::connect(server.address).await.unwrap();
    halfway.writable().await.unwrap();
    halfway.try_write(b"GET / HTTP/1.1\r\n").unwrap();
    server.stop.send(()).unwrap();
    in_time(server.task).await.unwrap();
    closed(&halfway).await;
}
