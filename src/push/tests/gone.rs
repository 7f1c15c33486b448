//! Series that leave.

use opentelemetry_proto::tonic::metrics::v1::metric::Data;

use super::*;
use crate::domain::gone::Roster;

/// Names of the gauges whose series are told to have left.
fn gone((_, _, message): &Received) -> Vec<String> {
    let scopes = message.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let mut gone = Vec::new();
    for metric in scopes.flat_map(|scope| &scope.metrics) {
        let Some(Data::Gauge(gauge)) = &metric.data else { continue };
        gone.extend(gauge.data_points.iter().filter(|point| point.flags == 1).map(|_| metric.name.clone()));
    }
    gone
}

#[tokio::test]
async fn a_series_that_leaves_is_told_to_have_left_once_somebody_took_that() {
    by_all(async |protocol| {
        let change = |options: &mut PushOptions| options.interval = INTERVAL;
        let answers = [Say::Yes, Say::Denied, Say::Yes];
        let mut push = Push::start(protocol, &answers, change).await;
        let shown = sample::with_pairs([sample::pair("b", "t")]);
        let mut stale = shown.clone();
        stale.conversations.as_mut().unwrap().moments = None;
        push.publish.send_replace(Arc::new(shown));
        assert!(gone(&push.next().await).is_empty());
        push.exported(1).await;
        push.publish.send_replace(Arc::new(stale));
        let (refused, taken, after) = (push.next().await, push.next().await, push.next().await);
        assert_eq!((gone(&refused).len(), gone(&taken).len(), gone(&after).len()), (11, 11, 0));
        assert!(gone(&taken).contains(&"jelou.conversations.waiting".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn a_delta_tells_so_too() {
    let (received_in, received) = mpsc::unbounded_channel();
    let script = Script { answers: Arc::default(), received: received_in };
    let options = options(receiver(Protocol::HttpProtobuf, script).await, Protocol::HttpProtobuf);
    let mut first = sample::with_pairs([sample::pair("b", "t")]);
    first.conversations.as_mut().unwrap().moments = None;
    let deltas = Some(Deltas::open(None, &first, sample::NOW).unwrap());
    let mut push = Push::going_on(Past { deltas, roster: Roster::new(&first) }, options, received);
    push.publish.send_replace(Arc::new(first));
    // After a restart, before anything is known of the present.
    assert_eq!(gone(&push.next().await).len(), 11);
}
