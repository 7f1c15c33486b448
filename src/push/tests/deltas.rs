//! Deltas on their way.

use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;

use super::*;

/// A task that pushes deltas, kept in memory.
async fn start(protocol: Protocol, answers: &[Say], interval: u64) -> Push {
    let (received_in, received) = mpsc::unbounded_channel();
    let answers = Arc::new(Mutex::new(answers.iter().copied().collect()));
    let mut options = options(receiver(protocol, Script { answers, received: received_in }).await, protocol);
    options.interval = Duration::from_millis(interval);
    let deltas = Deltas::open(None, &sample::empty(), sample::NOW).unwrap();
    Push::going_on(Past { deltas: Some(deltas), ..Past::default() }, options, received)
}

/// One pair in which so many replies met the target.
fn publish(push: &Push, met: u64) {
    let mut pair = sample::pair("b", "t");
    pair.met = met;
    push.publish.send_replace(Arc::new(sample::with_pairs([pair])));
}

/// Start, end and count of the replies that met the target.
fn met((_, _, message): &Received) -> (u64, u64, i64) {
    let scopes = message.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let mut metrics = scopes.flat_map(|scope| &scope.metrics);
    let decided = metrics.find(|metric| metric.name == "jelou.operator.reply.decided").unwrap();
    let Some(Data::Sum(sum)) = &decided.data else { panic!("a sum") };
    assert_eq!(sum.aggregation_temporality, AggregationTemporality::Delta as i32);
    let point = &sum.data_points[0];
    let Some(Value::AsInt(value)) = point.value else { panic!("a number") };
    (point.start_time_unix_nano, point.time_unix_nano, value)
}

/// The next message that is not the one before once more: a receiver that is slow to answer gets one again.
async fn other_than(push: &mut Push, before: &Received) -> Received {
    loop {
        let next = push.next().await;
        if !is_same(&next, before) {
            return next;
        }
    }
}

/// Whether both are the same bytes. NaN is not equal to itself.
fn is_same(one: &Received, other: &Received) -> bool {
    one.2.encode_to_vec() == other.2.encode_to_vec()
}

#[tokio::test]
async fn each_export_tells_what_was_counted_since_the_last() {
    for protocol in ALL {
        let mut push = start(protocol, &[], 1_000).await;
        publish(&push, 3);
        let mut last = push.next().await;
        assert_eq!(met(&last), (sample::START.as_nanos(), sample::NOW.as_nanos(), 3));
        publish(&push, 10);
        let mut sum = 3;
        while sum < 10 {
            let next = other_than(&mut push, &last).await;
            assert_eq!(met(&next).0, met(&last).1);
            sum += met(&next).2;
            last = next;
        }
        assert_eq!(sum, 10);
    }
}

#[tokio::test]
async fn what_was_not_answered_goes_again_as_it_was_before_anything_newer() {
    for protocol in ALL {
        // Busy, and not let in: that export is given up, this one not.
        let answers = [Say::Busy, Say::Denied, Say::Denied, Say::Yes];
        let mut push = start(protocol, &answers, 1_000).await;
        publish(&push, 3);
        let first = push.next().await;
        publish(&push, 4);
        for _ in 0..3 {
            assert!(is_same(&push.next().await, &first));
        }
        let next = met(&other_than(&mut push, &first).await);
        assert_eq!((next.0, next.2), (met(&first).1, 1));
        let exports = push.until(|exports| counts(exports)[0] >= 2).await;
        assert!(counts(&exports)[2] >= 2);
    }
}

#[tokio::test]
async fn what_is_refused_for_good_is_not_sent_again() {
    by_all(async |protocol| {
        let mut push = start(protocol, &[Say::No, Say::Partly, Say::Yes], 3_000).await;
        publish(&push, 3);
        let refused = push.next().await;
        assert_eq!(met(&refused).2, 3);
        assert_eq!(counts(&push.exported(1).await), [0, 0, 1]);
        publish(&push, 5);
        let next = met(&push.next().await);
        assert_eq!((next.0, next.2), (met(&refused).1, 2));
        let exports = push.until(|exports| counts(exports)[0] >= 1).await;
        assert_eq!(counts(&exports)[1..], [1, 1]);
    })
    .await;
}

#[tokio::test]
async fn requests_of_one_export_are_answered_one_by_one() {
    let mut push = start(Protocol::HttpProtobuf, &[Say::Yes, Say::Denied], 3_600_000).await;
    push.publish.send_replace(Arc::new(sample::with_pairs((0..700).map(|n| sample::pair(&n.to_string(), "t")))));
    let (first, second) = (push.next().await, push.next().await);
    assert!(!is_same(&first, &second));
    push.exported(1).await;
    // What was taken is not sent again, what was not is.
    let (late, _) = push.stop().await;
    assert!(is_same(&late[0], &second));
}

#[tokio::test]
async fn the_end_sends_what_is_left_and_what_is_new() {
    let mut push = start(Protocol::Grpc, &[Say::Denied], 3_600_000).await;
    publish(&push, 3);
    let first = push.next().await;
    push.exported(1).await;
    publish(&push, 5);
    let (late, counts) = push.stop().await;
    assert_eq!((late.len(), counts), (2, [2, 0, 1]));
    assert!(is_same(&late[0], &first));
    assert_eq!(met(&late[1]).2, 2);
}
