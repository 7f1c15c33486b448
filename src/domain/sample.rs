//! Hand-made snapshots for the tests of whoever shows them.

use std::sync::Arc;

use crate::domain::conversation::{Origin, Reason, State};
use crate::domain::distribution::{Distribution, Layout};
use crate::domain::pair::{Pair, PairLabels};
use crate::domain::snapshot::{Conversations, Exports, Live, Moment, Own, Snapshot, Tallies};
use crate::domain::time::UnixMillis;

/// When the samples were published: 2026-01-01T00:00:00Z.
pub(crate) const NOW: UnixMillis = UnixMillis::from_seconds(1_767_225_600);
/// When their counting began, an hour before.
pub(crate) const START: UnixMillis = UnixMillis::from_seconds(1_767_222_000);

/// A process that has polled nothing yet.
pub(crate) fn empty() -> Snapshot {
    let layout = Arc::new(Layout::new([250, 1000], 3));
    Snapshot {
        taken_at: NOW,
        account: "acme".into(),
        conversations: None,
        tallies: Tallies { start: START, ..Tallies::default() },
        own: Own {
            poll_duration: Distribution::new(Arc::clone(&layout), START),
            api_request_duration: Distribution::new(layout, START),
            ..Own::new(START, "abc1234", 300_000, 60_000)
        },
    }
}

/// What moves between snapshots, of a process that pushes and has done nothing yet.
pub(crate) fn live() -> Live {
    Live { http_requests: vec![(200, 0)], exports: Some(Exports::default()), ..Live::default() }
}

/// A pair with replies of 0 s, 0.2 s, 299.5 s and 4000 s and a few ends.
pub(crate) fn pair(bot: &str, team: &str) -> Pair {
    let layout = Arc::new(Layout::new([250, 60_000, 300_000], 3));
    let labels = PairLabels { bot: bot.into(), team: team.into() };
    let mut pair = Pair::new(labels, START, Arc::clone(&layout), layout);
    for (millis, id) in [(0, "6590a1"), (200, "6590a2"), (299_500, "6590a3"), (4_000_000, "6590a4")] {
        pair.reply.record_conversation(millis, &id.into(), START, NOW - 30_250);
    }
    [61_500, 600_000].into_iter().for_each(|millis| pair.duration.record(millis));
    pair.started_mut(Origin::None, START).value = 6;
    pair.ended_mut((State::Closed, Reason::ClosedByOperator), START).value = 2;
    (pair.met, pair.missed, pair.unanswered) = (3, 2, 1);
    pair
}

/// A snapshot after one successful poll that shows these pairs; facts of the moment last for a minute.
pub(crate) fn with_pairs(pairs: impl IntoIterator<Item = Pair>) -> Snapshot {
    let mut snapshot = empty();
    let pairs: Vec<Arc<Pair>> = pairs.into_iter().map(Arc::new).collect();
    let moment = Moment {
        active: 4,
        waiting: 1,
        oldest_waiting_start: Some(START + 1500),
        reply_recent: [Some(200), Some(299_500), None, None],
        duration_recent: [None; 4],
    };
    snapshot.own.up = true;
    snapshot.own.company = Some("Acme S.A.".into());
    snapshot.own.last_poll = Some(NOW - 2250);
    snapshot.own.last_success = Some(NOW - 1000);
    snapshot.own.poll_duration.record(1250);
    snapshot.own.budget_wait = 1500;
    snapshot.own.label_sets = pairs.len() as u64;
    snapshot.conversations = Some(Conversations {
        moments: Some(pairs.iter().map(|_| moment).collect()),
        moments_until: NOW + 60_000,
        pairs,
    });
    snapshot
}

/// Label values that break careless encoders.
pub(crate) fn torture() -> Vec<String> {
    let mut values: Vec<String> = [
        "",
        " ",
        "\"",
        "\\",
        "\n",
        "\\n",
        "\\\"\n\\",
        "a\"b\\c\nd",
        "}",
        "{le=\"1\"} 5",
        "#",
        "\r\t\0",
        "🤖 Ñandú 客服",
    ]
    .map(str::to_owned)
    .into();
    values.push("x".repeat(10_000));
    values.push("🤖\\\"\n".repeat(2_500));
    values
}
