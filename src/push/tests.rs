use std::sync::Mutex;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::answer::Answer;
use super::delivery::{Delivery, Report};
use super::*;
use crate::clock::ManualClock;
use crate::config::Secret;
use crate::domain::label::ExportResult;
use crate::domain::snapshot::Exports;
use crate::render::otlp::HistogramKind;
use crate::render::sample;
use crate::tls::TlsFiles;

mod deltas;
mod gone;
mod receiver;
mod swapped;
mod tls;
mod traces;

use receiver::{Received, Say, Script, receiver};

/// A receiver on a free port of the loopback, and a task that pushes to it.
struct Push {
    received: mpsc::UnboundedReceiver<Received>,
    publish: watch::Sender<Arc<Snapshot>>,
    live: Arc<LiveStats>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), PushError>>,
}

pub(super) fn options(url: String, protocol: Protocol) -> PushOptions {
    PushOptions {
        url,
        protocol,
        exact_url: false,
        headers: vec![("X-Key".into(), Secret::new("secret".into()))],
        gzip: false,
        tls: TlsFiles::default(),
        interval: Duration::from_secs(3600),
        timeout: Duration::from_secs(10),
        export_timeout: None,
        histograms: HistogramKind::Explicit,
        resource: vec![("service.instance.id".into(), "7".into())],
    }
}

impl Push {
    async fn start(protocol: Protocol, answers: &[Say], change: impl FnOnce(&mut PushOptions)) -> Self {
        let (received_in, received) = mpsc::unbounded_channel();
        let answers = Arc::new(Mutex::new(answers.iter().copied().collect()));
        let mut options = options(receiver(protocol, Script { answers, received: received_in }).await, protocol);
        change(&mut options);
        Self::to(options, received)
    }

    fn to(options: PushOptions, received: mpsc::UnboundedReceiver<Received>) -> Self {
        Self::going_on(Past::default(), options, received)
    }

    /// To a receiver that takes nothing: its end is not waited for.
    fn hurried(options: PushOptions, received: mpsc::UnboundedReceiver<Received>) -> Self {
        Self::at(Duration::from_millis(500), Past::default(), options, received)
    }

    fn going_on(past: Past, options: PushOptions, received: mpsc::UnboundedReceiver<Received>) -> Self {
        Self::at(Duration::from_secs(10), past, options, received)
    }

    fn at(flush: Duration, past: Past, options: PushOptions, received: mpsc::UnboundedReceiver<Received>) -> Self {
        let (publish, snapshots) = watch::channel(Arc::new(sample::empty()));
        let live = Arc::new(LiveStats::new(true));
        let clock = Arc::new(ManualClock::new(sample::NOW));
        let (stop, stopped) = oneshot::channel();
        let pace = Pace { first_retry: Duration::from_millis(2), flush };
        let shutdown = async move {
            stopped.await.ok();
        };
        let task = tokio::spawn(run_at(pace, options, past, snapshots, Arc::clone(&live), clock, shutdown));
        Self { received, publish, live, stop, task }
    }

    fn publish(&self, bot: &str) {
        self.publish.send_replace(Arc::new(sample::with_pairs([sample::pair(bot, "t")])));
    }

    async fn next(&mut self) -> Received {
        within_patience("a request", self.received.recv()).await.unwrap()
    }

    /// Lets everything else run until the counts are as wanted.
    async fn until(&self, wanted: impl Fn(&Exports) -> bool) -> Exports {
        let counted = async {
            loop {
                let now = self.live.live().exports.unwrap();
                if wanted(&now) {
                    return now;
                }
                tokio::task::yield_now().await;
            }
        };
        within_patience("the counts", counted).await
    }

    /// Lets everything else run until so many exports have ended.
    async fn exported(&self, exports: u64) -> Exports {
        self.until(|now| counts(now).iter().sum::<u64>() >= exports).await
    }

    /// Stops the task; gives what was still received, and the counts.
    async fn stop(mut self) -> (Vec<Received>, [u64; 3]) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
        let mut late = Vec::new();
        while let Ok(received) = self.received.try_recv() {
            late.push(received);
        }
        (late, counts(&self.live.live().exports.unwrap()))
    }
}

/// Far more than anything takes; only a failure lasts so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is waited for, or a failure that names it: a test that waits for ever tells nobody what is missing.
async fn within_patience<T>(what: &str, waited_for: impl Future<Output = T>) -> T {
    timeout(PATIENCE, waited_for).await.unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain for {what}"))
}

/// Successes, partial successes, failures.
fn counts(exports: &Exports) -> [u64; 3] {
    [ExportResult::Success, ExportResult::Partial, ExportResult::Failure].map(|result| exports.results.get(result))
}

const ALL: [Protocol; 3] = [Protocol::HttpProtobuf, Protocol::HttpJson, Protocol::Grpc];

/// Between exports that are counted one by one: far more than one of them takes.
const INTERVAL: Duration = Duration::from_secs(3);

/// By every protocol at once, where most of the time is an interval's.
async fn by_all(test: impl AsyncFn(Protocol)) {
    let [one, two, three] = ALL;
    tokio::join!(test(one), test(two), test(three));
}

#[tokio::test]
async fn the_first_publication_is_pushed_at_once_and_the_newest_at_the_end() {
    for protocol in ALL {
        let mut push = Push::start(protocol, &[], |_| {}).await;
        push.publish("first");
        let (place, headers, message) = push.next().await;
        assert_eq!(place, if protocol == Protocol::Grpc { "gRPC" } else { "/v1/metrics" });
        assert_eq!(headers["x-key"], "secret");
        assert!(headers["user-agent"].to_str().unwrap().starts_with("jelou-exporter/"));
        assert!(format!("{message:?}").contains("\"first\""));
        let exports = push.exported(1).await;
        assert_eq!((counts(&exports), exports.last_success), ([1, 0, 0], Some(sample::NOW)));
        push.publish("last");
        let (late, counts) = push.stop().await;
        assert_eq!((late.len(), counts), (1, [2, 0, 0]));
        assert!(format!("{:?}", late[0].2).contains("\"last\""));
    }
}

#[tokio::test]
async fn nothing_is_pushed_before_the_first_poll_has_been_published() {
    let push = Push::start(Protocol::HttpProtobuf, &[], |_| {}).await;
    let (late, counts) = push.stop().await;
    assert_eq!((late.len(), counts), (0, [0, 0, 0]));
}

#[tokio::test]
async fn a_busy_receiver_is_asked_again() {
    for protocol in ALL {
        let mut push = Push::start(protocol, &[Say::Busy, Say::Busy, Say::Yes], |_| {}).await;
        push.publish("b");
        let (first, second, third) = (push.next().await.2, push.next().await.2, push.next().await.2);
        assert!(format!("{first:?}") == format!("{second:?}") && format!("{first:?}") == format!("{third:?}"));
        assert_eq!(counts(&push.exported(1).await), [1, 0, 0]);
    }
}

#[tokio::test]
async fn a_receiver_that_wants_rest_gets_it() {
    // The rest reaches beyond the next export: this one is given up, the next is put off, and only the end sends again.
    by_all(async |protocol| {
        let change = |options: &mut PushOptions| options.interval = INTERVAL;
        let mut push = Push::start(protocol, &[Say::BusyFor(600)], change).await;
        push.publish("b");
        push.next().await;
        assert_eq!(counts(&push.exported(1).await), [0, 0, 1]);
        assert!(timeout(2 * INTERVAL, push.next()).await.is_err());
        let (late, counts) = push.stop().await;
        assert_eq!((late.len(), counts), (1, [1, 0, 1]));
    })
    .await;
}

#[tokio::test]
async fn a_refusal_is_final_and_a_part_is_a_part() {
    by_all(async |protocol| {
        let change = |options: &mut PushOptions| options.interval = INTERVAL;
        let push = Push::start(protocol, &[Say::No, Say::Partly, Say::Yes], change).await;
        push.publish("b");
        assert_eq!(counts(&push.exported(1).await), [0, 0, 1]);
        let exports = push.exported(2).await;
        assert_eq!((counts(&exports), exports.last_success), ([0, 1, 1], None));
        let exports = push.exported(3).await;
        assert_eq!((counts(&exports), exports.last_success), ([1, 1, 1], Some(sample::NOW)));
    })
    .await;
}

#[tokio::test]
async fn what_is_sent_is_compressed_if_that_is_wanted() {
    for protocol in ALL {
        let encoding = if protocol == Protocol::Grpc { "grpc-encoding" } else { "content-encoding" };
        for gzip in [false, true] {
            let mut push = Push::start(protocol, &[], |options| options.gzip = gzip).await;
            push.publish("b");
            let (_, headers, message) = push.next().await;
            assert_eq!(headers.get(encoding).map(|value| value.to_str().unwrap()), gzip.then_some("gzip"));
            assert!(format!("{message:?}").contains("jelou.operator.reply_time"));
            assert_eq!(counts(&push.exported(1).await), [1, 0, 0]);
        }
    }
}

#[tokio::test]
async fn headers_cannot_change_what_is_said_of_the_body() {
    let change = |options: &mut PushOptions| {
        options.headers = [("content-type", "text/plain"), ("content-encoding", "br")]
            .map(|(n, v)| (n.into(), Secret::new(v.into())))
            .into();
    };
    let mut push = Push::start(Protocol::HttpProtobuf, &[], change).await;
    push.publish("b");
    let headers = push.next().await.1;
    assert_eq!(headers["content-type"], "application/x-protobuf");
    assert!(!headers.contains_key("content-encoding"));
}

#[tokio::test]
async fn whoever_is_not_let_in_does_not_knock_again() {
    for protocol in ALL {
        let mut push = Push::start(protocol, &[Say::Denied], |_| {}).await;
        push.publish("b");
        push.next().await;
        assert_eq!(counts(&push.exported(1).await), [0, 0, 1]);
        let (late, counts) = push.stop().await;
        assert_eq!((late.len(), counts), (1, [1, 0, 1]));
    }
}

#[tokio::test]
async fn an_export_ends_when_its_time_is_up() {
    let change = |options: &mut PushOptions| options.export_timeout = Some(Duration::from_millis(50));
    let push = Push::start(Protocol::HttpProtobuf, &[Say::Busy; 100], change).await;
    push.publish("b");
    assert_eq!(counts(&push.exported(1).await), [0, 0, 1]);
}

#[tokio::test]
async fn what_has_no_time_left_is_not_sent() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(sample::NOW));
    for protocol in ALL {
        let (received_in, mut received) = mpsc::unbounded_channel();
        let script = Script { answers: Arc::default(), received: received_in };
        let options = options(receiver(protocol, script).await, protocol);
        let mut sender = Sender::new(&options, &clock).unwrap();
        let payload = Packing::new(&options).pack(ExportMetricsServiceRequest::default());
        let (_running, stopping) = watch::channel(false);
        let (deadline, timeout, first_retry) = (Instant::now(), options.timeout, PACE.first_retry);
        let mut delivery = Delivery { deadline, timeout, first_retry, stopping };
        let answer = delivery.send(&mut sender, &payload, &mut Report::default()).await;
        assert_eq!(answer, Answer::Later("no time was left to send it".to_owned(), None));
        assert!(received.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_receiver_that_never_answers_holds_nothing_up() {
    by_all(async |protocol| {
        let change = |options: &mut PushOptions| {
            (options.interval, options.timeout) = (INTERVAL, INTERVAL / 2);
        };
        let push = Push::start(protocol, &[Say::Nothing, Say::Nothing], change).await;
        push.publish("b");
        push.until(|exports| counts(exports)[2] > 0).await;
        push.until(|exports| counts(exports)[0] > 0).await;
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_a_failure_and_no_more() {
    for protocol in ALL {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let mut options = options(closed, protocol);
        options.interval = Duration::from_millis(10);
        let push = Push::hurried(options, mpsc::unbounded_channel().1);
        push.publish("b");
        assert!(counts(&push.exported(2).await)[2] >= 2);
        let (late, counts) = push.stop().await;
        assert_eq!((late.len(), counts[0]), (0, 0));
    }
}

#[tokio::test]
async fn without_a_publication_the_first_export_comes_after_an_interval() {
    let change = |options: &mut PushOptions| options.interval = Duration::from_millis(500);
    let mut push = Push::start(Protocol::HttpProtobuf, &[], change).await;
    let message = push.next().await.2;
    assert!(format!("{message:?}").contains("\"jelou.up\""));
}

#[tokio::test]
async fn every_request_of_a_large_export_is_sent() {
    let mut push = Push::start(Protocol::Grpc, &[], |_| {}).await;
    push.publish.send_replace(Arc::new(sample::with_pairs((0..2500).map(|n| sample::pair(&n.to_string(), "t")))));
    let (first, second) = (push.next().await.2, push.next().await.2);
    assert!(first.encoded_len() > 2 << 20 && second.encoded_len() > 1 << 20);
    assert_eq!(counts(&push.exported(1).await), [1, 0, 0]);
}

#[tokio::test]
async fn unusable_options_are_an_error_at_once() {
    let (_publish, snapshots) = watch::channel(Arc::new(sample::empty()));
    for (protocol, url) in [(Protocol::Grpc, "collector:4317"), (Protocol::HttpProtobuf, "ftp://x")] {
        let live = Arc::new(LiveStats::new(true));
        let clock = Arc::new(ManualClock::new(sample::NOW));
        let ended =
            run(options(url.into(), protocol), Past::default(), snapshots.clone(), live, clock, std::future::pending())
                .await;
        assert!(matches!(ended, Err(PushError::Endpoint(_))));
    }
}

#[tokio::test]
async fn tls_can_be_set_up_for_all() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(sample::NOW));
    for protocol in ALL {
        assert!(Sender::new(&options("https://collector.example".into(), protocol), &clock).is_ok());
    }
}
