//! A large account: pairs of bot and team whose every conversation was answered and has ended.

use std::sync::Arc;

use jelou_exporter::domain::conversation::{Conversation, Origin, Reason, State};
use jelou_exporter::domain::distribution::Layout;
use jelou_exporter::domain::ledger::{Ledger, LedgerSettings, Walked};
use jelou_exporter::domain::pair::{Pair, PairLabels};
use jelou_exporter::domain::reading::{Page, Row};
use jelou_exporter::domain::snapshot::{Conversations, Moment, Own, Snapshot, Tallies};
use jelou_exporter::domain::time::{Range, UnixMillis};

/// The present.
pub(crate) const NOW: UnixMillis = UnixMillis::from_seconds(1_767_225_600);
/// The default bounds, milliseconds.
const REPLY: [u64; 15] = {
    const M: u64 = 60_000;
    [5_000, 10_000, 15_000, 30_000, M, 2 * M, 3 * M, 5 * M, 10 * M, 15 * M, 30 * M, 60 * M, 120 * M, 240 * M, 480 * M]
};
const DURATION: [u64; 12] = {
    const M: u64 = 60_000;
    [M, 2 * M, 5 * M, 10 * M, 15 * M, 30 * M, 60 * M, 120 * M, 240 * M, 480 * M, 720 * M, 1440 * M]
};
const SCHEMA: i8 = 3;
const ORIGINS: [Origin; 4] = [Origin::Organic, Origin::Ticket, Origin::InducedBySystem, Origin::None];
const ENDS: [(State, Reason); 4] = [
    (State::Closed, Reason::ClosedByOperator),
    (State::Expired, Reason::Expired),
    (State::Resolved, Reason::None),
    (State::Transferred, Reason::Transferred),
];

/// Milliseconds from 1 s to 8 h, log-normal: both ends lie three standard deviations from the median.
pub(crate) fn time(dice: &mut fastrand::Rng) -> u64 {
    let (least, most) = (1_000f64.ln(), 28_800_000f64.ln());
    let normal = (-2.0 * (1.0 - dice.f64()).ln()).sqrt() * (std::f64::consts::TAU * dice.f64()).cos();
    ((least + most) / 2.0 + normal * (most - least) / 6.0).clamp(least, most).exp().round() as u64
}

fn labels(number: usize) -> PairLabels {
    PairLabels { bot: format!("Bot {}", number / 20).into(), team: format!("Equipo {number} de atención").into() }
}

/// 24 characters, as the upstream's are.
fn id(number: usize) -> String {
    format!("65a0c0ffee{number:014x}")
}

/// A snapshot of so many pairs, each with so many replies and as many durations.
pub(crate) fn snapshot(pairs: usize, conversations: usize) -> Snapshot {
    let dice = &mut fastrand::Rng::with_seed(7);
    let layouts = [&REPLY[..], &DURATION[..]].map(|bounds| Arc::new(Layout::new(bounds.iter().copied(), SCHEMA)));
    let made = (0..pairs).map(|number| {
        let mut pair = Pair::new(labels(number), NOW - 86_400_000, Arc::clone(&layouts[0]), Arc::clone(&layouts[1]));
        for at in 0..conversations {
            let id = id(number * conversations + at).as_str().into();
            let start = NOW - (conversations - at) as i64 * 60_000;
            pair.reply.record_conversation(time(dice), &id, start, NOW);
            pair.duration.record_conversation(time(dice), &id, start, NOW);
            pair.started_mut(ORIGINS[at % ORIGINS.len()], NOW).value += 1;
            pair.ended_mut(ENDS[at % ENDS.len()], NOW).value += 1;
        }
        pair.met = conversations as u64;
        Arc::new(pair)
    });
    let pairs: Vec<Arc<Pair>> = made.collect();
    let moment = |number: u64| Moment {
        active: number % 17,
        waiting: number % 3,
        oldest_waiting_start: Some(NOW - 1_500),
        reply_recent: [31_000, 240_500, 600_000, 1_800_000].map(|millis| Some(millis + number)),
        duration_recent: [90_000, 900_000, 3_600_000, 7_200_000].map(|millis| Some(millis + number)),
    };
    Snapshot {
        taken_at: NOW,
        account: "default".into(),
        conversations: Some(Conversations {
            moments: Some((0..pairs.len() as u64).map(moment).collect()),
            moments_until: NOW + 900_000,
            pairs,
        }),
        tallies: Tallies::default(),
        own: Own::new(NOW - 86_400_000, "bench", 300_000, 60_000),
    }
}

/// A ledger that has folded as many, to be folded into.
pub(crate) struct World {
    pub(crate) ledger: Ledger,
    pairs: usize,
    next: usize,
    dice: fastrand::Rng,
}

impl World {
    pub(crate) fn new(pairs: usize, conversations: usize) -> Self {
        let settings = LedgerSettings {
            reply: Arc::new(Layout::new(REPLY, SCHEMA)),
            duration: Arc::new(Layout::new(DURATION, SCHEMA)),
            reply_target: 300_000,
            excluded_origins: vec![Origin::Broadcast],
            recent_window: 3_600_000,
            max_label_sets: pairs + 1,
            stale_after: 900_000,
            count_initial: true,
        };
        let ledger = Ledger::new(settings, NOW, NOW - 86_400_000);
        let mut world = Self { ledger, pairs, next: 0, dice: fastrand::Rng::with_seed(7) };
        for _ in 0..conversations {
            let walked = world.walk(pairs);
            // Read again in a later poll they are settled, as nearly all are that a ledger knows.
            for _ in 0..2 {
                world.ledger.begin_poll();
                world.fold(&walked);
            }
        }
        world.ledger.draw_zero_line(NOW);
        world.ledger.succeed(NOW);
        world
    }

    /// A walk that brings so many conversations, all of them new.
    pub(crate) fn walk(&mut self, records: usize) -> Walked {
        let rows = (self.next..self.next + records).map(|number| {
            let labels = labels(number % self.pairs);
            let (reply, duration) = (time(&mut self.dice), time(&mut self.dice));
            let start = NOW - 86_400_000;
            let (state, reason) = ENDS[number / self.pairs % ENDS.len()];
            Row::Conversation(Conversation {
                id: id(number).as_str().into(),
                start,
                end: Some(start + duration as i64),
                state,
                reason,
                origin: ORIGINS[number / self.pairs % ORIGINS.len()],
                bot: labels.bot,
                team: labels.team,
                company: None,
                reply: Some(reply),
                stated_duration: Some(duration),
            })
        });
        let page = Page { rows: rows.collect(), total: None, sent_at: NOW, server_date: None };
        self.next += records;
        let range = Range::new(NOW.seconds() - 86_400, NOW.seconds());
        Walked { range, narrow: false, complete: true, pages: vec![page] }
    }

    pub(crate) fn fold(&mut self, walked: &Walked) {
        self.ledger.fold(walked).expect("there is one company");
    }

    /// What is shown after it.
    pub(crate) fn show(&mut self) -> Snapshot {
        Snapshot { conversations: self.ledger.show(NOW), ..snapshot(0, 0) }
    }
}
