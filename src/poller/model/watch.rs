//! What has to be true of every publication, through all lives of the process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch::Receiver;

use super::book::{Book, Memory};
use super::compare;
use super::history::History;
use super::moments;
use super::series;
use super::settings::Settings;
use super::times::same;
use crate::domain::label::{AmendedField, PollResult};
use crate::domain::pair::Pair;
use crate::domain::reading::{Page, Row};
use crate::domain::snapshot::Snapshot;
use crate::domain::time::{Range, UnixMillis};
use crate::jelou::ApiError;

pub(super) struct Watch {
    pub(super) history: Arc<History>,
    snapshots: Option<Receiver<Arc<Snapshot>>>,
    settings: Settings,
    /// What was committed. Where a process died in a commit and what is shown does not tell whether it was done, these
    /// are all that it may have been.
    books: Vec<Book>,
    /// Walks that are not known to be committed, each with its poll; the last one may be under way.
    walks: Vec<(u64, Vec<(Range, Page)>)>,
    /// Whether the last of these walks is over.
    between_walks: bool,
    /// A range whose first page failed as it does when the range is too wide, and whether a minute of it was answered.
    failed_first: Option<(Range, bool)>,
    /// When the process that lives was first answered.
    answered_first: Option<i64>,
    poll: u64,
    last: Option<Arc<Snapshot>>,
    /// When the last commit was that succeeded, if one failed after it and none is known to have succeeded since.
    uneven: Option<Option<UnixMillis>>,
    /// Nothing has been published by this process yet.
    fresh: bool,
    /// Whether anything was ever said to be committed.
    ever_committed: bool,
    /// Pairs as they were shown last, by any process.
    shown: BTreeMap<(String, String), Arc<Pair>>,
    /// Vanished, aged out: of these only that they never go down.
    left: (u64, u64),
    /// When there were publications.
    published_at: BTreeSet<UnixMillis>,
    /// Since when everything is read: by the local clock when the state was made, or by the upstream's when it first
    /// answered, if that was behind.
    pub(super) reading_since: i64,
    /// The same by the local clock alone.
    made_since: i64,
    /// Reading begins no earlier: what was found out of the upstream's clock may have been lost in a crash, or not.
    reading_since_at_least: i64,
    /// Ranges in which records went away under a walk: such a walk may be taken for a complete one.
    shaky: Vec<Range>,
    /// Up to which start records may have been given up or forgotten.
    forgotten: i64,
    /// No range was ever forgotten that reached further.
    horizon: i64,
    complaint: Option<String>,
    trace: Option<Vec<String>>,
}

impl Watch {
    pub(super) fn new(history: Arc<History>, traced: bool) -> Self {
        let settings = history.lives[0].settings.clone();
        Self {
            history,
            snapshots: None,
            books: vec![Book::new(settings.clone())],
            settings,
            walks: Vec::new(),
            between_walks: true,
            failed_first: None,
            answered_first: None,
            poll: 0,
            last: None,
            uneven: None,
            fresh: true,
            ever_committed: false,
            shown: BTreeMap::new(),
            left: (0, 0),
            published_at: BTreeSet::new(),
            reading_since: 0,
            made_since: 0,
            reading_since_at_least: 0,
            shaky: Vec::new(),
            forgotten: i64::MIN,
            horizon: i64::MIN,
            complaint: None,
            trace: traced.then(Vec::new),
        }
    }

    pub(super) fn complaint(&self) -> Option<&String> {
        self.complaint.as_ref()
    }

    pub(super) fn trace(&self) -> &[String] {
        self.trace.as_deref().unwrap_or_default()
    }

    pub(super) fn books(&self) -> &[Book] {
        &self.books
    }

    pub(super) fn last(&self) -> Option<&Arc<Snapshot>> {
        self.last.as_ref()
    }

    pub(super) fn note(&mut self, now: i64, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let since = now - super::history::BEGIN;
            trace.push(format!("{:>9.3} {}", since as f64 / 1000.0, what()));
        }
    }

    pub(super) fn complain(&mut self, now: i64, what: String) {
        self.note(now, || format!("WRONG: {what}"));
        self.complaint.get_or_insert(what);
    }

    /// A process begins, with or without a state to go on from.
    pub(super) fn begin_life(&mut self, now: i64, settings: &Settings, restored: bool, local: UnixMillis) {
        self.note(now, || format!("a process begins, {} {settings:?}", if restored { "restored," } else { "anew," }));
        self.settings = settings.clone();
        if restored {
            self.books = self.possible_books();
            self.books.iter_mut().for_each(|book| book.go_on(settings));
            if self.shown.is_empty() {
                self.reading_since = self.made_since;
            }
        } else {
            if self.ever_committed {
                self.complain(now, "what was committed is gone".to_owned());
            }
            self.books = vec![Book::new(settings.clone())];
            self.made_since = local.seconds() - i64::try_from(settings.lookback).unwrap();
            (self.reading_since, self.reading_since_at_least) = (self.made_since, self.made_since);
        }
        self.walks.clear();
        self.answered_first = None;
        (self.between_walks, self.uneven, self.failed_first, self.fresh) = (true, None, None, true);
        self.last = None;
    }

    pub(super) fn end_life(&mut self) {
        self.snapshots = None;
    }

    /// No range that began later can have been given up or forgotten.
    pub(super) fn floor_at_most(&self) -> i64 {
        self.forgotten.max(self.horizon)
    }

    /// Whether the company is known for certain, also after a crash.
    pub(super) fn knows_the_company(&self) -> bool {
        self.books.iter().all(|book| book.company.is_some())
    }

    /// From now on publications appear here.
    pub(super) fn listen(&mut self, snapshots: Receiver<Arc<Snapshot>>) {
        self.snapshots = Some(snapshots);
    }

    pub(super) fn answered(&mut self, now: i64, range: Range, page: u32, answer: &Result<Page, ApiError>) {
        self.note(now, || {
            let what = answer.as_ref().map_or_else(|error| format!("{error:?}"), told);
            format!("{range} page {page}: {what}")
        });
        if answer.is_ok() {
            self.answered_first.get_or_insert(now);
        }
        match answer {
            Err(error) => {
                let may_be_too_wide = matches!(
                    error,
                    ApiError::InvalidRequest { status: 422, .. }
                        | ApiError::ServerError { status: 500, .. }
                        | ApiError::Timeout { .. }
                );
                let known = self.failed_first.filter(|(wide, _)| range == *wide || is_minute_of(range, *wide));
                self.failed_first =
                    known.or((page == 1 && may_be_too_wide && range.width() > 60).then_some((range, false)));
            }
            Ok(answer) => match self.failed_first {
                // Only a probe, whose rows are not looked at.
                Some((wide, false)) if page == 1 && is_minute_of(range, wide) => self.failed_first = Some((wide, true)),
                _ => {
                    self.failed_first = None;
                    self.note_shifts(now, range);
                    if std::mem::replace(&mut self.between_walks, false) {
                        self.walks.push((self.poll, Vec::new()));
                    }
                    self.walks.last_mut().unwrap().1.push((range, answer.clone()));
                }
            },
        }
    }

    /// Notes when a record that the walk has shown is not listed any more.
    fn note_shifts(&mut self, now: i64, range: Range) {
        let walk = if self.between_walks { &[] } else { self.walks.last().map_or(&[][..], |(_, pages)| pages) };
        let shown = |id: &str| {
            let mut rows = walk.iter().flat_map(|(_, page)| &page.rows);
            rows.any(|row| match row {
                Row::Conversation(reading) => reading.id.to_string() == id,
                Row::Rejected(rejected) => rejected.identity.to_string() == id,
            })
        };
        let gone =
            |record: &super::stories::Record| record.at(now).is_none() && record.id().is_some_and(|id| shown(&id));
        if self.history.records.iter().any(gone) {
            self.shaky.push(range);
        }
    }

    /// Looks at what was published since the last look.
    pub(super) fn look(&mut self, now: i64) {
        let Some(snapshots) = self.snapshots.as_mut() else { return };
        if self.complaint.is_some() || !(self.fresh || snapshots.has_changed().unwrap_or(false)) {
            return;
        }
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        if let Err(what) = self.published(now, &snapshot) {
            self.complain(now, what);
        }
        self.fresh = false;
        self.published_at.insert(snapshot.taken_at);
        self.last = Some(snapshot);
    }

    fn published(&mut self, now: i64, snapshot: &Arc<Snapshot>) -> Result<(), String> {
        let last = self.last.take();
        if last.as_ref().is_none_or(|last| last.own.last_poll != snapshot.own.last_poll) {
            self.poll += 1;
        }
        if !self.walks.is_empty() && last.as_ref().is_none_or(|last| last.conversations.is_none()) {
            self.note_begin(now);
        }
        let failures = |snapshot: &Snapshot| snapshot.own.checkpoint.map_or(0, |checkpoint| checkpoint.failures);
        let failed = failures(snapshot) > last.as_ref().map_or(0, |last| failures(last));
        self.note(now, || {
            let own = &snapshot.own;
            format!(
                "published at {}: up {}, polls {}+{}, complete {:?}, unsettled {}, {}{}",
                snapshot.taken_at.0,
                own.up,
                own.polls.get(PollResult::Success),
                own.polls.get(PollResult::Failure),
                own.data_complete.map(UnixMillis::seconds),
                own.unsettled,
                if snapshot.conversations.is_some() { "counting" } else { "not counting yet" },
                if failed { ", NOT COMMITTED" } else { "" },
            )
        });
        self.ever_committed |= snapshot.own.checkpoint.is_some_and(|checkpoint| checkpoint.last_success.is_some());
        let even = self.uneven.is_none();
        self.check_counts(snapshot, failed)?;
        self.between_walks = true;
        self.check_series(snapshot, last.as_deref(), even, now)?;
        self.check_moments(snapshot, last.as_deref(), even)?;
        self.check_complete(snapshot, last.as_deref(), now)
    }

    /// The upstream has answered before counting began, at the latest now and since the publication before at the earliest.
    fn note_begin(&mut self, now: i64) {
        if !self.history.listing.dated {
            return;
        }
        let lookback = i64::try_from(self.settings.lookback).unwrap();
        // By the local clock, if that is behind.
        let furthest_behind = self.history.clock.iter().map(|(_, off)| *off).min().unwrap_or(0).min(0);
        let first = self.answered_first.unwrap_or(now) + furthest_behind;
        self.reading_since_at_least = self.reading_since_at_least.min(first / 1000 - 1 - lookback);
        self.reading_since = self.reading_since.min(now / 1000 + 1 - lookback);
    }

    /// What may be on the disk: what was committed, and the walks since, up to any of them.
    fn possible_books(&self) -> Vec<Book> {
        let mut books = self.books.clone();
        for many in 1..=self.walks.len() {
            books.extend(self.books.iter().map(|book| self.read_on(book, many)));
        }
        either_way(books)
    }

    fn read_on(&self, book: &Book, many: usize) -> Book {
        let mut book = book.clone();
        self.walks[..many].iter().for_each(|(poll, pages)| book.read(pages, *poll));
        book
    }

    /// What is shown is what was read and committed, no more and no less.
    fn check_counts(&mut self, snapshot: &Snapshot, failed: bool) -> Result<(), String> {
        let kept = snapshot.own.checkpoint.and_then(|checkpoint| checkpoint.last_success);
        if failed {
            self.uneven = Some(kept);
        } else if self.uneven.is_some_and(|before| before != kept) {
            self.uneven = None;
        }
        if self.uneven.is_some() {
            let without = fitting(&mut self.books.clone(), snapshot);
            let all = self.books.iter().map(|book| self.read_on(book, self.walks.len())).collect();
            match (without, fitting(&mut { all }, snapshot)) {
                (Ok(books), _) => self.books = books,
                (Err(what), _) if failed => return Err(format!("shown though it could not be committed: {what}")),
                (Err(_), Ok(books)) => {
                    self.books = books;
                    self.walks.clear();
                    self.uneven = None;
                }
                (Err(without), Err(with)) => {
                    return Err(format!("neither what was committed ({without}) nor what was read ({with})"));
                }
            }
            return Ok(());
        }
        if !self.walks.is_empty() {
            self.books = self.books.iter().map(|book| self.read_on(book, self.walks.len())).collect();
            self.walks.clear();
        }
        fitting(&mut self.books, snapshot).map(|books| self.books = books)
    }

    /// No counter goes down, no start time moves, and new ones are what they have to be.
    fn check_series(
        &mut self,
        snapshot: &Snapshot,
        last: Option<&Snapshot>,
        even: bool,
        now: i64,
    ) -> Result<(), String> {
        let tallies = &snapshot.tallies;
        let left = (tallies.vanished, tallies.aged_out);
        if left.0 < self.left.0 || left.1 < self.left.1 {
            return Err(format!("vanished and aged out went from {:?} to {left:?}", self.left));
        }
        self.left = left;
        let old = |book: &Book| book.memory.values().filter(|memory| memory.reach.start < self.floor_at_most()).count();
        if self.books.iter().all(|book| (old(book) as u64) < left.1) {
            return Err(format!("{} aged out, but so many have not passed the horizon", left.1));
        }
        let times_left: u64 = self.history.records.iter().map(|record| record.times_left(now)).sum();
        if self.history.is_honest() && self.shaky.is_empty() && left.0 > times_left {
            return Err(format!("{} vanished, but only {times_left} did", left.0));
        }
        let Some(conversations) = &snapshot.conversations else {
            return if self.shown.is_empty() { Ok(()) } else { Err("the conversation families are gone".to_owned()) };
        };
        // The start of a new series, where it can be told to the millisecond.
        let first = self.shown.is_empty() && last.is_none_or(|last| last.conversations.is_none());
        let start = match last {
            Some(_) if first && self.settings.count_initial => {
                Some(self.reading_since_at_least * 1000..=self.reading_since * 1000)
            }
            Some(_) if first && even => Some(snapshot.taken_at.0..=snapshot.taken_at.0),
            Some(last) if even => Some(last.taken_at.0..=last.taken_at.0),
            _ => None,
        };
        for pair in &conversations.pairs {
            let labels = (pair.labels.bot.to_string(), pair.labels.team.to_string());
            let before = self.shown.get(&labels);
            if before.is_some_and(|before| Arc::ptr_eq(before, pair)) {
                continue;
            }
            series::check(before.map(|pair| &**pair), pair, |at| {
                start.as_ref().map_or_else(|| first || self.published_at.contains(&at), |start| start.contains(&at.0))
            })
            .map_err(|what| format!("{labels:?} {what}"))?;
            self.shown.insert(labels, Arc::clone(pair));
        }
        if conversations.pairs.len() != self.shown.len() {
            return Err("a pair is gone".to_owned());
        }
        Ok(())
    }

    /// Facts of the moment are those of the last successful poll, and of no other process (rule **stale**).
    fn check_moments(&self, snapshot: &Snapshot, last: Option<&Snapshot>, even: bool) -> Result<(), String> {
        let Some(conversations) = &snapshot.conversations else { return Ok(()) };
        let success = snapshot.own.last_success;
        let Some(at) = success else {
            return if conversations.moments.is_none() { Ok(()) } else { Err("moments of another process".to_owned()) };
        };
        if !even || self.uneven.is_some() || last.is_some_and(|last| last.own.last_success == success) {
            return Ok(());
        }
        self.check_remembered(snapshot)?;
        let stale_after = i64::try_from(self.settings.stale_after).unwrap() * 1000;
        same("moments until", conversations.moments_until, at + stale_after)?;
        let floor = self.floor_at_most();
        let wrong = |book: &Book| moments::check(book, snapshot, at, floor).err();
        let wrongs: Vec<String> = self.books.iter().filter_map(wrong).collect();
        if wrongs.len() < self.books.len() { Ok(()) } else { Err(wrongs.concat()) }
    }

    /// What is remembered and what is asked for again: all of it, but for what has passed the horizon.
    fn check_remembered(&self, snapshot: &Snapshot) -> Result<(), String> {
        let floor = self.floor_at_most();
        let own = &snapshot.own;
        let fits = |book: &Book| {
            let many = |of: &dyn Fn(&&Memory) -> bool| book.memory.values().filter(of).count() as u64;
            let (all, kept) = (many(&|_| true), many(&|memory| memory.reach.start > floor));
            let unsettled = many(&|memory| !memory.settled);
            let kept_unsettled = many(&|memory| !memory.settled && memory.reach.start > floor);
            (kept..=all).contains(&own.ledger_entries) && (kept_unsettled..=unsettled).contains(&own.unsettled)
        };
        if self.books.iter().any(fits) {
            return Ok(());
        }
        let (entries, unsettled) = (own.ledger_entries, own.unsettled);
        Err(format!("{entries} are remembered and {unsettled} asked for again: more or fewer than there are"))
    }

    /// Nothing that began before the data were complete, and was listed by then, is missing.
    fn check_complete(&mut self, snapshot: &Snapshot, last: Option<&Snapshot>, now: i64) -> Result<(), String> {
        let own = &snapshot.own;
        // Ids are forgotten only while the clocks agree within five minutes.
        let furthest = (now / 1000 + 300).min(snapshot.taken_at.seconds());
        self.horizon = self.horizon.max(furthest - i64::try_from(self.settings.horizon).unwrap());
        let abandoned = |snapshot: &Snapshot| snapshot.own.abandoned;
        let horizon = i64::try_from(self.settings.horizon).unwrap();
        // What passes the horizon before counting begins is given up without a word.
        let was_counting = last.is_none_or(|last| last.conversations.is_some());
        if own.abandoned > last.map_or(0, abandoned) || !was_counting {
            self.forgotten = self.forgotten.max(snapshot.taken_at.seconds() - horizon);
        }
        let Some(complete) = own.data_complete else { return Ok(()) };
        if !self.history.is_honest() || last.is_some_and(|last| last.own.data_complete == own.data_complete) {
            return Ok(());
        }
        // A lead of the local clock by less than two seconds cannot be told by a header that is cut to the second: by so much
        // the claim may come early. What it does not hold yet lies in the newest stretch of the next poll.
        let known_for_sure = complete.seconds() - if self.history.clock.is_empty() { 0 } else { 2 };
        for record in &self.history.records {
            let second = UnixMillis(record.start).seconds();
            // What is listed late may have been listed after its range was read.
            let listed = record.readable_since(now).is_some_and(|since| since < (second + 1) * 1000);
            let excused = second < self.reading_since
                || second <= self.forgotten
                || self.shaky.iter().any(|range| range.contains(UnixMillis(record.start)));
            let Some(id) = record.id() else { continue };
            if second < known_for_sure
                && listed
                && !excused
                && self.books.iter().all(|book| !book.memory.contains_key(&id))
            {
                return Err(format!("complete until {} without {id} of {}", complete.0, record.start));
            }
        }
        Ok(())
    }
}

/// Those of the books that are what is shown, or what is wrong with the first one.
fn fitting(books: &mut Vec<Book>, snapshot: &Snapshot) -> Result<Vec<Book>, String> {
    let mut wrong = None;
    let mut fits = |mut book: Book| {
        if snapshot.conversations.is_some() && !book.counting {
            book.draw_zero_line();
        }
        compare::counts(&mut book, snapshot).map_err(|what| wrong.get_or_insert(what).clone()).ok().map(|()| book)
    };
    let books = either_way(std::mem::take(books));
    let mut fitting: Vec<Book> = books.into_iter().filter_map(&mut fits).collect();
    fitting.dedup();
    if fitting.is_empty() { Err(wrong.unwrap_or_default()) } else { Ok(fitting) }
}

/// The books as they are, and as they will be when the poll is over: which publication is its last is not to be seen.
fn either_way(mut books: Vec<Book>) -> Vec<Book> {
    let undecided: Vec<Book> = books.iter().filter(|book| book.is_undecided()).cloned().collect();
    books.extend(undecided.into_iter().map(|mut book| {
        book.reopen_before(u64::MAX);
        book
    }));
    books
}

fn is_minute_of(range: Range, wide: Range) -> bool {
    range.start == wide.start && range.width() == 60 && range != wide
}

fn told(page: &Page) -> String {
    let rows = page.rows.iter().map(|row| match row {
        Row::Rejected(rejected) => rejected.identity.to_string(),
        Row::Conversation(reading) => {
            let reply = reading.reply.map_or_else(String::new, |reply| format!(" replied {reply}"));
            format!("{} {}{reply}", reading.id, reading.state.as_str())
        }
    });
    format!("{} of {:?}", rows.collect::<Vec<_>>().join(", "), page.total)
}

/// Reply time, duration, labels, decision, as the book has them.
pub(super) fn amendments(snapshot: &Snapshot) -> [u64; 4] {
    [AmendedField::ReplyTime, AmendedField::Duration, AmendedField::Labels, AmendedField::Decision]
        .map(|field| snapshot.tallies.amendments.get(field))
}
