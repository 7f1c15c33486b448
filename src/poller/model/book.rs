//! The oracle: the rules under "What is counted", reckoned over again in the plainest way from what the upstream showed.
//!
//! It shares no code with the ledger, keeps every value for ever and adds up by going through all of them.

use std::collections::{BTreeMap, BTreeSet};

use super::settings::Settings;
use super::sums::Sums;
use crate::domain::conversation::{Conversation, Reason, State};
use crate::domain::reading::{Page, Row};
use crate::domain::time::{Range, UnixMillis};

/// What was read and what that amounts to.
#[derive(Clone, PartialEq)]
pub(super) struct Book {
    pub(super) settings: Settings,
    pub(super) counting: bool,
    pub(super) memory: BTreeMap<String, Memory>,
    pub(super) pairs: Vec<Sums>,
    /// Reply time, duration, labels, decision.
    pub(super) amendments: [u64; 4],
    pub(super) outside: u64,
    pub(super) overflowed: u64,
    pub(super) company: Option<String>,
}

/// One conversation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Memory {
    /// The ranges that ever listed it reach from the first to the last of these seconds.
    pub(super) reach: Range,
    pub(super) latest: Conversation,
    /// Whether it is active by the latest reading that has a say in that.
    pub(super) active: bool,
    pub(super) pair: usize,
    overflown: bool,
    /// Dated outside the range that listed it, by the date that it bears.
    pub(super) outside: bool,
    /// Whether any reading ever was.
    was_outside: bool,
    /// The poll that read it last.
    read_in: u64,
    /// The poll that saw it end, since it was seen active.
    ended_in: Option<u64>,
    /// Ended, and read again in a later poll.
    pub(super) settled: bool,
    /// Ended, and seen active and not ended by a poll that may not be over.
    doubtful: Option<Doubtful>,
    /// The duration that the latest ended reading told.
    pub(super) duration: Option<u64>,
    /// When it was over, by that reading.
    pub(super) end: Option<UnixMillis>,
    /// What the latest reading that decides anything decided.
    met: Option<bool>,
    /// What has happened to it; true if it was counted.
    happened: BTreeMap<Event, bool>,
}

/// What a poll saw of an ended conversation that it has not seen ended.
#[derive(Clone, Debug, PartialEq)]
struct Doubtful {
    poll: u64,
    reading: Conversation,
    range: Range,
    asked: i64,
    /// Whether it is to be counted.
    counts: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Started,
    Ended,
    Reopened,
    Replied,
    Lasted,
    Decided,
}

impl Book {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            counting: false,
            memory: BTreeMap::new(),
            pairs: Vec::new(),
            amendments: [0; 4],
            outside: 0,
            overflowed: 0,
            company: None,
        }
    }

    /// A new process counts on by these settings.
    pub(super) fn go_on(&mut self, settings: &Settings) {
        self.settings = settings.clone();
        // What a poll saw active is known to that process alone; the next one sees it again.
        self.memory.values_mut().for_each(|memory| memory.doubtful = None);
        let (replies, durations) = (settings.reply_bounds(), settings.duration_bounds.clone());
        for pair in &mut self.pairs {
            pair.replies.bound_by(&replies);
            pair.durations.bound_by(&durations);
        }
    }

    /// The initial range has been read (rule **zero-line**).
    pub(super) fn draw_zero_line(&mut self) {
        self.counting = true;
        if self.settings.count_initial {
            return;
        }
        for pair in &mut self.pairs {
            pair.started.values_mut().for_each(|value| *value = 0);
            pair.ended.values_mut().for_each(|value| *value = 0);
            (pair.unanswered, pair.met, pair.missed, pair.reopened) = (0, 0, 0, 0);
            pair.replies.clear();
            pair.durations.clear();
        }
    }

    /// Whether a poll is not over that may find something reopened.
    pub(super) fn is_undecided(&self) -> bool {
        self.memory.values().any(|memory| memory.doubtful.is_some())
    }

    /// All polls before this one are over: what they saw active and not ended is reopened, and is what they saw.
    pub(super) fn reopen_before(&mut self, poll: u64) {
        let over = |memory: &&mut Memory| memory.doubtful.as_ref().is_some_and(|doubtful| doubtful.poll < poll);
        let doubtful: Vec<Doubtful> =
            self.memory.values_mut().filter(over).filter_map(|memory| memory.doubtful.take()).collect();
        for Doubtful { poll, reading, range, asked, counts } in doubtful {
            let id = reading.id.to_string();
            self.memory.get_mut(&id).unwrap().ended_in = None;
            self.take(&reading, range, asked, poll, counts);
            let memory = self.memory.get_mut(&id).unwrap();
            if memory.happens(Event::Reopened, counts) {
                self.pairs[memory.pair].reopened += 1;
            }
        }
    }

    /// Takes in the pages of one walk, each with the range that was asked for (rule **account**: all of them or none).
    pub(super) fn read(&mut self, walk: &[(Range, Page)], poll: u64) {
        self.reopen_before(poll);
        let rows = || walk.iter().flat_map(|(range, page)| page.rows.iter().map(move |row| (*range, page, row)));
        let readings = || {
            rows().filter_map(|(range, page, row)| match row {
                Row::Conversation(reading) => Some((range, page, reading)),
                Row::Rejected(_) => None,
            })
        };
        let named = readings().filter_map(|(.., reading)| reading.company.as_deref());
        let companies: BTreeSet<&str> = self.company.as_deref().into_iter().chain(named).collect();
        if companies.len() > 1 {
            return;
        }
        self.company = companies.first().map(|company| (*company).to_owned());
        for (range, page, reading) in readings() {
            // By whichever clock is behind; the header is cut to the second.
            let asked = page.server_date.map_or(page.sent_at.0, |date| page.sent_at.0.min(date.0 + 999));
            let counts = self.counting || self.settings.count_initial;
            match self.memory.get(&reading.id.to_string()) {
                Some(memory) if memory.ended_in.is_some() && !is_ended(reading) => {
                    self.doubt(Doubtful { poll, reading: reading.clone(), range, asked, counts });
                }
                _ => self.take(reading, range, asked, poll, counts),
            }
        }
    }

    /// "Within one poll an ended sighting beats an active one": whatever an active one says of what had ended waits for
    /// the end of the poll. Only what happens once per `_id`, at the first reading that tells it, is not to be lost: that
    /// it is dated outside the range, and the reply.
    fn doubt(&mut self, doubtful: Doubtful) {
        let Doubtful { poll, ref reading, range, asked, counts } = doubtful;
        let id = reading.id.to_string();
        let mut memory = self.memory[&id].clone();
        memory.reach = union(memory.reach, range);
        if is_outside(reading, range) && !std::mem::replace(&mut memory.was_outside, true) {
            self.outside += 1;
        }
        if reading.reply.is_some() && !memory.happened.contains_key(&Event::Replied) {
            memory.latest.reply = reading.reply;
            let ended = memory.latest.clone();
            self.take_reply(&mut memory, None, &ended, counts);
            self.decide(&mut memory, &ended, asked, true, counts);
        }
        let seen_ended = memory.read_in == poll && memory.doubtful.is_none();
        memory.read_in = poll;
        if !seen_ended {
            memory.settled = false;
            memory.doubtful = Some(doubtful);
        }
        self.memory.insert(id, memory);
    }

    fn take(&mut self, reading: &Conversation, range: Range, asked: i64, poll: u64, counts: bool) {
        let id = reading.id.to_string();
        let known = self.memory.get(&id).cloned();
        let overflown = known.as_ref().is_some_and(|memory| memory.overflown);
        let (pair, overflown) = self.pair(&reading.bot, &reading.team, overflown);
        if known.is_none() && overflown {
            self.overflowed += 1;
        }
        let mut memory = known.unwrap_or_else(|| Memory {
            reach: range,
            latest: reading.clone(),
            active: true,
            pair,
            overflown,
            outside: false,
            was_outside: false,
            read_in: 0,
            ended_in: None,
            settled: false,
            doubtful: None,
            duration: None,
            end: None,
            met: None,
            happened: BTreeMap::new(),
        });
        let before = std::mem::replace(&mut memory.latest, reading.clone());
        memory.read_in = poll;
        memory.overflown = overflown;
        memory.reach = union(memory.reach, range);
        let was = memory.outside;
        // A date that a range shows only because it is wide is no better for that: another date may be.
        memory.outside = is_outside(reading, range) || (was && before.start == reading.start);
        if memory.outside && !std::mem::replace(&mut memory.was_outside, true) {
            self.outside += 1;
        }
        if memory.pair != pair && memory.counted(Event::Started) {
            self.amendments[2] += 1;
        }
        memory.pair = pair;
        self.show_origin(pair, reading.origin);
        if memory.happens(Event::Started, counts) {
            *self.pairs[pair].started.entry(reading.origin).or_default() += 1;
        }
        self.take_reply(&mut memory, before.reply, reading, counts);
        memory.active = !is_ended(reading);
        if is_ended(reading) {
            self.take_end(&mut memory, reading, counts);
            memory.settled |= memory.ended_in.is_some_and(|ended_in| ended_in != poll);
            memory.ended_in = memory.ended_in.or(Some(poll));
            memory.doubtful = None;
        }
        let anew = was != memory.outside || decided_by(&before) != decided_by(reading);
        self.decide(&mut memory, reading, asked, anew, counts);
        self.memory.insert(id, memory);
    }

    fn take_reply(&mut self, memory: &mut Memory, before: Option<u64>, reading: &Conversation, counts: bool) {
        match reading.reply {
            Some(reply) if !memory.happened.contains_key(&Event::Replied) => {
                if memory.happens(Event::Replied, counts) {
                    self.pairs[memory.pair].replies.add(reply);
                }
            }
            now => {
                if before.is_some() && now != before && memory.counted(Event::Replied) {
                    self.amendments[0] += 1;
                }
            }
        }
    }

    fn take_end(&mut self, memory: &mut Memory, reading: &Conversation, counts: bool) {
        let how = (reading.state, reading.reason);
        self.show_end(memory.pair, how);
        if memory.happens(Event::Ended, counts) {
            *self.pairs[memory.pair].ended.entry(how).or_default() += 1;
            if reading.reply.is_none() && self.is_eligible(reading) {
                self.pairs[memory.pair].unanswered += 1;
            }
        }
        let duration = duration(reading);
        let before = std::mem::replace(&mut memory.duration, duration);
        memory.end = reading.end;
        match duration {
            Some(duration) if !memory.happened.contains_key(&Event::Lasted) => {
                if memory.happens(Event::Lasted, counts) {
                    self.pairs[memory.pair].durations.add(duration);
                }
            }
            now => {
                if before.is_some() && now != before && memory.counted(Event::Lasted) {
                    self.amendments[1] += 1;
                }
            }
        }
    }

    /// `anew` when something has changed that it hangs on, other than the target.
    fn decide(&mut self, memory: &mut Memory, reading: &Conversation, asked: i64, anew: bool, counts: bool) {
        let target = self.settings.target * 1000;
        if !self.is_eligible(reading) {
            return;
        }
        let late = reading.start.0 + i64::try_from(target).unwrap() + 60_000;
        let met = match reading.reply {
            Some(reply) => reply <= target,
            None if is_ended(reading) || (asked >= late && !memory.outside) => false,
            None => return,
        };
        let before = memory.met.replace(met);
        if memory.happens(Event::Decided, counts) {
            let pair = &mut self.pairs[memory.pair];
            if met { pair.met += 1 } else { pair.missed += 1 }
        } else if anew && memory.counted(Event::Decided) && before.is_some_and(|before| before != met) {
            self.amendments[3] += 1;
        }
    }

    fn is_eligible(&self, reading: &Conversation) -> bool {
        let transferred = matches!(reading.state, State::Transferred | State::AutoTransfer)
            || matches!(reading.reason, Reason::Transferred | Reason::ClosedByAutoTransfer);
        let handed_on = transferred
            && is_ended(reading)
            && reading.reply.is_none()
            && duration(reading).is_some_and(|duration| duration < self.settings.target * 1000);
        !handed_on && !self.settings.excluded.contains(&reading.origin)
    }

    /// Whether a customer waits in it.
    pub(super) fn waits(&self, memory: &Memory) -> bool {
        memory.active && memory.latest.reply.is_none() && !self.settings.excluded.contains(&memory.latest.origin)
    }

    /// The earliest start of the waiting ones that can be told from a wrong zone.
    pub(super) fn oldest<'a>(&self, waiting: impl Iterator<Item = &'a Memory>) -> Option<UnixMillis> {
        waiting.filter(|memory| !memory.outside).map(|memory| memory.latest.start).min()
    }
}

impl Memory {
    /// Whether this happens for the first time and counts.
    fn happens(&mut self, event: Event, counts: bool) -> bool {
        if self.happened.contains_key(&event) {
            return false;
        }
        self.happened.insert(event, counts);
        counts
    }

    fn counted(&self, event: Event) -> bool {
        self.happened.get(&event) == Some(&true)
    }
}

/// What a decision hangs on, but for the target and the clock.
fn decided_by(reading: &Conversation) -> impl PartialEq + use<> {
    let lasted = is_ended(reading).then(|| duration(reading));
    (reading.reply, lasted, reading.state, reading.reason, reading.origin, reading.start)
}

/// A date that is rounded to the second may lie a second outside.
fn is_outside(reading: &Conversation, range: Range) -> bool {
    !(range.start * 1000 - 1000..=range.end * 1000 + 1000).contains(&reading.start.0)
}

fn union(one: Range, other: Range) -> Range {
    Range::new(one.start.min(other.start), one.end.max(other.end))
}

fn is_ended(reading: &Conversation) -> bool {
    match reading.state {
        State::Active => false,
        State::Other => reading.end.is_some(),
        _ => true,
    }
}

fn duration(reading: &Conversation) -> Option<u64> {
    let by_dates = reading.end.and_then(|end| u64::try_from(end.0 - reading.start.0).ok());
    reading.stated_duration.or(by_dates)
}
