//! Whether all is well, and if not, why and what to do.

use crate::domain::history::{History, PollRecord};
use crate::domain::label::{ExportResult, PollResult};
use crate::domain::snapshot::Snapshot;
use crate::domain::time::UnixMillis;

use super::View;
use super::words;

/// Apart by more than this, the clocks cannot be relied on (rule **floor**), milliseconds.
const CLOCKS_AGREE: u64 = 5 * 60 * 1000;
/// A poll begins once an interval, or every ten minutes while it is refused; this much later something hangs.
const SILENCE: u64 = 20 * 60 * 1000;
/// For so long pushes may fail before that is said, milliseconds.
const UNPUSHED: u64 = 5 * 60 * 1000;

/// How things are, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// All is well.
    Healthy,
    /// It works, and something is to be looked at.
    Notice,
    /// Nothing is known yet, as is to be expected.
    Starting,
    /// It does not work.
    Failing,
}

impl State {
    /// Its name as a class.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Healthy => "good",
            Self::Notice => "notice",
            Self::Starting => "starting",
            Self::Failing => "bad",
        }
    }

    /// A sign that does without colour.
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Healthy => "✓",
            Self::Notice => "!",
            Self::Starting => "…",
            Self::Failing => "✕",
        }
    }
}

/// Something that is to be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// What is the matter.
    pub(super) what: String,
    /// What that means, or what to do.
    pub(super) advice: String,
}

/// The answer to "is it healthy".
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) state: State,
    pub(super) headline: String,
    /// How fresh what is shown is.
    pub(super) freshness: Option<String>,
    /// What matters most comes first.
    pub(super) findings: Vec<Finding>,
}

/// Why the conversation families are not served yet; `None` when they are.
pub fn not_ready(snapshot: &Snapshot) -> Option<&'static str> {
    if snapshot.is_ready() {
        None
    } else if snapshot.own.polls.total() == 0 {
        Some("no poll of the Jelou API has ended yet")
    } else if snapshot.conversations.is_some() {
        Some("what came from the checkpoint is served, and no poll of the Jelou API has confirmed it yet")
    } else if snapshot.own.up {
        Some("the initial range of conversations has not been read completely yet")
    } else {
        Some("the last poll of the Jelou API failed, and the initial range has not been read completely yet")
    }
}

/// The verdict on all that is known.
pub(super) fn verdict(view: &View<'_>) -> Verdict {
    let own = &view.snapshot.own;
    let mut findings = Vec::new();
    let (mut state, headline) = if own.polls.total() == 0 {
        findings.push(first_poll(view));
        (State::Starting, "Starting".to_owned())
    } else if !own.up {
        failing(view, &mut findings);
        (State::Failing, "Not healthy: the last poll failed".to_owned())
    } else if view.snapshot.conversations.is_none() {
        (State::Starting, "Reading what was before".to_owned())
    } else {
        (State::Healthy, "Healthy".to_owned())
    };
    if let Some(silence) = silence(view) {
        findings.insert(0, silence);
        state = State::Failing;
    }
    let reading = reading(view);
    let notices =
        [clocks(view), too_slow(view), often_failing(view), overflow(view), unpushed(view), settings(view), web(view)];
    let notices: Vec<Finding> = notices.into_iter().flatten().collect();
    if state == State::Healthy && !(notices.is_empty() && reading.is_none()) {
        state = State::Notice;
    }
    findings.extend(reading.into_iter().chain(notices));
    let headline = match state {
        State::Notice => "Healthy, with something to look at".to_owned(),
        State::Failing if own.up || own.polls.total() == 0 => "Not healthy: polling has stopped".to_owned(),
        _ => headline,
    };
    Verdict { state, headline, freshness: freshness(view), findings }
}

/// For as long as it is worth saying; a failure says it itself.
fn freshness(view: &View<'_>) -> Option<String> {
    let own = &view.snapshot.own;
    let last = own.last_success.filter(|_| own.up)?;
    let read = match own.data_complete {
        Some(at) => {
            format!(" Every conversation that started before {} UTC has been read.", words::instant(at, view.now))
        }
        None => String::new(),
    };
    Some(format!("The last poll succeeded {}.{read}", words::ago(last, view.now)))
}

fn finding(what: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { what: what.into(), advice: advice.into() }
}

fn first_poll(view: &View<'_>) -> Finding {
    let what = match view.snapshot.own.last_poll {
        Some(began) => format!("The first poll is under way; it began {}.", words::ago(began, view.now)),
        None => "No poll has begun yet.".to_owned(),
    };
    let restored = view.snapshot.conversations.is_some();
    let advice = if restored {
        "Counters and histograms come from the checkpoint; who is active and who waits is known after the first poll."
    } else {
        "Numbers appear when it has ended."
    };
    finding(what, advice)
}

fn failing(view: &View<'_>, findings: &mut Vec<Finding>) {
    let (snapshot, history) = (view.snapshot, &view.snapshot.own.history);
    if let Some((many, first)) = history.failing() {
        findings.push(finding(streak(many, first, view.now), why(history)));
        if history.last().and_then(|poll| poll.failure.as_ref()).is_some_and(|failure| failure.refused) {
            findings.push(finding(
                "The API refuses what it is asked.",
                "After five polls in a row that it refused, it is asked only every 10 minutes, or as soon as the file of \
                 api.client_secret_file changes.",
            ));
        }
    }
    let last = snapshot.own.last_success.map(|at| words::ago(at, view.now));
    findings.push(match (&snapshot.conversations, last) {
        (Some(shown), last) => finding(
            match last {
                Some(last) => format!("The last poll that succeeded ended {last}; nothing newer is known."),
                None => "No poll has succeeded since the start; what is shown comes from the checkpoint.".to_owned(),
            },
            match &shown.moments {
                Some(_) => format!(
                    "Counters stand still meanwhile and miss nothing that the API still lists later. Who is active and who \
                     waits is shown until {} UTC, unless a poll succeeds.",
                    words::instant(shown.moments_until, view.now)
                ),
                None => "Counters stand still meanwhile and miss nothing that the API still lists later. Who is active and \
                         who waits is not known."
                    .to_owned(),
            },
        ),
        (None, _) => finding(
            "No conversation metrics are served yet.",
            "They appear when the initial range (poll.initial_lookback) has been read completely.",
        ),
    });
}

fn streak(many: usize, first: &PollRecord, now: UnixMillis) -> String {
    let since = words::ago(first.began, now);
    match many {
        1 => format!("The poll that began {since} failed."),
        _ => format!("The last {many} polls failed; the first of them began {since}."),
    }
}

fn why(history: &History) -> String {
    let failure = history.last().and_then(|poll| poll.failure.as_ref());
    let why = failure.map_or("", |failure| &*failure.why);
    // The log's own style begins in lower case.
    let mut chars = why.chars();
    let why: String = chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default();
    format!("{why}.")
}

/// No poll has begun for far longer than is planned.
fn silence(view: &View<'_>) -> Option<Finding> {
    let own = &view.snapshot.own;
    let began = own.last_poll.unwrap_or(own.process_start);
    let passed = words::since(began, view.now);
    (passed > own.poll_interval.saturating_mul(2).saturating_add(SILENCE)).then(|| {
        finding(
            format!("No poll has begun for {}.", words::duration(passed)),
            "One is due every poll.interval. If the machine has not slept, this is a fault of the exporter: restart it, \
             and report it with its log.",
        )
    })
}

/// Something before the newest stretch is still to be read.
fn reading(view: &View<'_>) -> Option<Finding> {
    let own = &view.snapshot.own;
    let to_read = own.to_read;
    if to_read.unread == 0 {
        return None;
    }
    let unread = words::duration(to_read.unread.saturating_mul(1000));
    Some(if view.snapshot.conversations.is_none() {
        let read = words::percent(to_read.whole.saturating_sub(to_read.unread), to_read.whole).unwrap_or_default();
        finding(
            format!(
                "{read} of the initial range has been read, {} so far; {unread} of history are left.",
                words::many(own.ledger_entries, "conversation")
            ),
            "Conversation metrics appear all at once when it is complete. How fast that goes, api.requests_per_second says.",
        )
    } else {
        finding(
            format!("Conversations that started in {unread} of the past have not been read yet."),
            "Polling was interrupted; the gap is closed bit by bit between the polls, and nothing is to be done.",
        )
    })
}

fn clocks(view: &View<'_>) -> Option<Finding> {
    let offset = view.snapshot.own.clock_offset?;
    let apart = offset.unsigned_abs();
    (apart > CLOCKS_AGREE).then(|| {
        finding(
            format!(
                "This machine's clock is {} {} that of the API.",
                words::duration(apart),
                if offset > 0 { "behind" } else { "ahead of" }
            ),
            "Set it right (NTP). Counting stays exact, but waiting times are off, and no old conversation is forgotten.",
        )
    })
}

fn too_slow(view: &View<'_>) -> Option<Finding> {
    let own = &view.snapshot.own;
    let last = own.history.last().filter(|poll| poll.failure.is_none() && poll.took > own.poll_interval)?;
    Some(finding(
        format!(
            "The last poll took {}, longer than the interval of {}.",
            words::duration(last.took),
            words::duration(own.poll_interval)
        ),
        "Raise api.requests_per_second if Jelou allows it, or poll.interval.",
    ))
}

fn often_failing(view: &View<'_>) -> Option<Finding> {
    let own = &view.snapshot.own;
    let polls = own.history.recent().len();
    let failed = own.history.recent().filter(|poll| poll.failure.is_some()).count();
    (own.up && polls >= 10 && failed * 10 >= polls).then(|| {
        finding(
            format!("{failed} of the last {polls} polls failed, though the last one did not."),
            "Nothing is lost; each below says why it failed.",
        )
    })
}

fn overflow(view: &View<'_>) -> Option<Finding> {
    let overflowed = view.snapshot.tallies.overflowed;
    (overflowed > 0).then(|| {
        finding(
            format!("{} stand under bot and team __overflow__.", words::many(overflowed, "conversation")),
            "There are more pairs of bot and team than metrics.max_label_sets allows; raise it if Prometheus can bear it.",
        )
    })
}

fn unpushed(view: &View<'_>) -> Option<Finding> {
    let exports = view.live.exports.as_ref()?;
    let failed = exports.results.get(ExportResult::Failure) + exports.results.get(ExportResult::Partial);
    let since = exports.last_success.unwrap_or(view.snapshot.own.process_start);
    (failed > 0 && words::since(since, view.now) > UNPUSHED).then(|| {
        let last = exports.last_success.map(|at| format!("since {}", words::ago(at, view.now)));
        finding(
            format!("No OTLP receiver has taken everything {}.", last.as_deref().unwrap_or("since the start")),
            format!(
                "{} failed or were taken in part; the log says why. Check otlp.endpoint.",
                words::many(failed, "push").replace("pushs", "pushes")
            ),
        )
    })
}

/// What was to be changed by the last reload does not hold.
fn settings(view: &View<'_>) -> Option<Finding> {
    view.live.config.is_some_and(|config| !config.settings).then(|| {
        finding(
            "The last reload of the configuration was refused; the one before holds.",
            "The log says why. Mend it and reload: with a configuration that cannot be used the exporter does not start again.",
        )
    })
}

/// The web configuration file says what cannot be, or must not be while the exporter runs.
fn web(view: &View<'_>) -> Option<Finding> {
    view.live.config.is_some_and(|config| !config.web).then(|| {
        finding(
            "The web configuration on the disk cannot be used; the former one holds.",
            "The log says why. Mend web.config_file or the file that it names: it is read again by itself, and with one that \
             cannot be used the exporter does not start again.",
        )
    })
}

/// How many polls failed since the process started, and how many there were.
pub(super) fn failed_of_all(snapshot: &Snapshot) -> (u64, u64) {
    (snapshot.own.polls.get(PollResult::Failure), snapshot.own.polls.total())
}
