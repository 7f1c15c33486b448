//! A history: what happens upstream, to the network, the clock and the process. All of it follows from a number.

use fastrand::Rng;

use super::disk::{Death, Trouble};
use super::settings::Settings;
use super::stories::{Record, stories};

/// When histories begin, milliseconds since 1970.
pub(super) const BEGIN: i64 = 1_700_000_000_000;
pub(super) const SECOND: i64 = 1000;
pub(super) const MINUTE: i64 = 60 * SECOND;

/// One of these, each as likely as the others.
pub(super) fn one_of<T: Clone>(rng: &mut Rng, these: &[T]) -> T {
    these[rng.usize(..these.len())].clone()
}

pub(super) struct History {
    pub(super) seed: u64,
    pub(super) records: Vec<Record>,
    pub(super) listing: Listing,
    pub(super) faults: Vec<Fault>,
    /// From when on the local clock is off by how much.
    pub(super) clock: Vec<(i64, i64)>,
    pub(super) lives: Vec<Life>,
    /// From then on nothing happens any more, upstream or on the way.
    pub(super) calm: i64,
}

/// How the upstream lists.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    pub(super) newest_first: bool,
    /// No page has more rows, whatever is asked for.
    pub(super) most_rows: u32,
    pub(super) total: Total,
    /// A page past the end shows the last one again.
    pub(super) repeats_last_page: bool,
    /// Chance that a page shows a row twice.
    pub(super) repeats_row: f64,
    /// Until the calm, answers may come from a replica that is so far behind.
    pub(super) lag: i64,
    /// Whether answers carry a date.
    pub(super) dated: bool,
}

/// What `pagination.total` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Total {
    Exact,
    Missing,
    /// So many more than are listed.
    More(u64),
    /// Until the calm, now and then one more or one less.
    Lying,
}

/// Something that goes wrong for a while.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) from: i64,
    pub(super) until: i64,
    /// Of the requests in that time.
    pub(super) chance: f64,
    pub(super) kind: FaultKind,
}

#[derive(Clone, Debug)]
pub(super) enum FaultKind {
    Unauthorized,
    RateLimited {
        after: Option<u64>,
    },
    ServerError {
        status: u16,
        after: Option<u64>,
    },
    Timeout,
    Connect,
    BadBody,
    NotFound,
    /// Ranges wider than so many seconds are answered by an error.
    TooWide {
        seconds: i64,
        status: u16,
    },
    /// This page is always bad.
    BadPage(u32),
    /// Answers take this long, milliseconds.
    Slow(u64),
    /// Some rows are those of another company: all of them, or one.
    Foreign {
        all: bool,
    },
}

/// One process, from start to end.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) settings: Settings,
    pub(super) end: End,
    pub(super) trouble: Trouble,
    /// How long nobody starts it again, milliseconds.
    pub(super) down: i64,
}

/// How a life ends, if the disk does not end it.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// It is told to stop.
    Stopped { after: i64 },
    /// It dies some time after its begin.
    Dies { after: i64, death: Death },
    /// It dies while it waits for the answer to this request.
    DiesAsking { request: u64, death: Death },
    /// It lives to the end of the history.
    Lives,
}

impl History {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        // Every third one is free of whatever makes the truth a matter of opinion.
        let honest = !seed.is_multiple_of(3);
        let first = Settings::new(&mut rng);
        let span = rng.i64(15..50) * MINUTE;
        let calm = BEGIN + span + rng.i64(0..10) * MINUTE;
        let mut records = stories(&mut rng, &first, span, calm);
        if !honest && rng.u32(..4) == 0 {
            let hours = rng.i64(-6..7);
            records.iter_mut().for_each(|record| record.misdate(hours * 60 * MINUTE));
        }
        let listing = Listing {
            newest_first: rng.bool(),
            most_rows: rng.u32(2..8),
            total: match rng.u32(..10) {
                0..6 => Total::Exact,
                6 | 7 => Total::Missing,
                8 => Total::More(rng.u64(1..4)),
                _ if honest => Total::Exact,
                _ => Total::Lying,
            },
            repeats_last_page: rng.u32(..5) == 0,
            repeats_row: one_of(&mut rng, &[0.0, 0.0, 0.1]),
            lag: if honest || rng.bool() { 0 } else { rng.i64(1..90) * SECOND },
            dated: rng.u32(..6) > 0,
        };
        let faults = faults(&mut rng, calm);
        let clock = if listing.dated { steps(&mut rng, calm) } else { Vec::new() };
        let lives = lives(&mut rng, first, calm - BEGIN);
        Self { seed, records, listing, faults, clock, lives, calm }
    }

    /// Whether what the upstream says is true, if late.
    pub(super) fn is_honest(&self) -> bool {
        self.listing.lag == 0 && self.listing.total != Total::Lying
    }

    /// How far the local clock is off.
    pub(super) fn off(&self, now: i64) -> i64 {
        self.clock.iter().rev().find(|(from, _)| *from <= now).map_or(0, |(_, off)| *off)
    }
}

fn faults(rng: &mut Rng, calm: i64) -> Vec<Fault> {
    let many = one_of(rng, &[0, 1, 2, 4]);
    let mut faults = Vec::new();
    for _ in 0..many {
        let (from, longest) = (rng.i64(BEGIN..calm), one_of(rng, &[60, 600, 1800]));
        let until = calm.min(from + rng.i64(1..longest) * SECOND);
        let chance = one_of(rng, &[0.1, 0.5, 1.0]);
        let kind = match rng.u32(..15) {
            0 => FaultKind::Unauthorized,
            1 | 2 => FaultKind::RateLimited { after: rng.bool().then(|| rng.u64(0..300)) },
            3 | 4 => FaultKind::ServerError {
                status: one_of(rng, &[500, 502, 503]),
                after: (rng.u32(..4) == 0).then(|| rng.u64(0..120)),
            },
            5 => FaultKind::Timeout,
            6 => FaultKind::Connect,
            7 => FaultKind::BadBody,
            8 => FaultKind::NotFound,
            9 | 10 => FaultKind::TooWide {
                seconds: one_of(rng, &[59, 61, 90, 200, 400, 1000]),
                status: one_of(rng, &[422, 500, 0]),
            },
            11 | 12 => FaultKind::BadPage(rng.u32(1..4)),
            13 => FaultKind::Foreign { all: rng.bool() },
            _ => FaultKind::Slow(rng.u64(1000..20_000)),
        };
        faults.push(Fault { from, until, chance, kind });
    }
    faults
}

/// The local clock is set off, and later put right.
fn steps(rng: &mut Rng, calm: i64) -> Vec<(i64, i64)> {
    let mut steps = Vec::new();
    if rng.u32(..4) == 0 {
        let widest = one_of(rng, &[3, 100, 600, 10_000, 100_000]) * SECOND;
        let mut at = BEGIN + 1;
        for _ in 0..rng.u32(1..4) {
            at = rng.i64(at..calm);
            steps.push((at, rng.i64(-widest..widest)));
        }
        steps.push((calm, 0));
    }
    steps
}

fn lives(rng: &mut Rng, first: Settings, span: i64) -> Vec<Life> {
    let mut lives = Vec::new();
    let mut settings = first;
    let mut left = span;
    for _ in 0..one_of(rng, &[0, 1, 2, 4, 7]) {
        let death = if rng.bool() { Death::Kill } else { Death::PowerCut };
        let after = rng.i64(0..left.max(2) / 2);
        let mut trouble = Trouble::default();
        let end = match rng.u32(..10) {
            0 => End::Stopped { after },
            1 | 2 => End::Dies { after, death },
            3 | 4 => {
                let within = one_of(rng, &[5, 50, 500]);
                End::DiesAsking { request: rng.u64(1..within), death }
            }
            _ => {
                let within = one_of(rng, &[10, 60, 400, 1500]);
                trouble.death_at = Some((rng.u64(1..within), death));
                End::Stopped { after }
            }
        };
        if rng.u32(..4) == 0 {
            let (begin, most) = (rng.u64(1..500), one_of(rng, &[4, 60]));
            let few = rng.u64(1..most);
            trouble.refused = begin..begin + few;
        }
        let longest = one_of(rng, &[20, 400, 2000]);
        let down = rng.i64(0..longest) * SECOND;
        left = (left - after - down).max(0);
        lives.push(Life { settings: settings.clone(), end, trouble, down });
        if rng.bool() {
            settings.change(rng);
        }
    }
    lives.push(Life { settings, end: End::Lives, trouble: Trouble::default(), down: 0 });
    lives
}
