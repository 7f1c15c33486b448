//! One export: its requests, sent one after the other and repeated where that can help.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::answer::Answer;
use super::payload::Payload;
use super::retry;
use super::sender::Sender;
use crate::domain::label::ExportResult;

/// How an export ended.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) result: ExportResult,
    /// What the receiver said, or what was wrong; after a success, what it warns of.
    pub(super) why: Option<String>,
    /// Until when the receiver wants to be left alone.
    pub(super) not_before: Option<Instant>,
    /// Whether the receiver will never get some of it: a delta is not in the next export once it was refused.
    pub(super) lost: bool,
}

/// The answers to an export so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The receiver took something.
    pub(super) taken: bool,
    not_whole: bool,
    why: Option<String>,
    warning: Option<String>,
    not_before: Option<Instant>,
    /// Something was refused that no later export carries.
    pub(super) lost: bool,
}

impl Report {
    /// Takes note of an answer.
    pub(super) fn note(&mut self, answer: Answer) {
        match answer {
            Answer::Taken(warning) => {
                self.taken = true;
                self.warning = self.warning.take().or(warning);
            }
            Answer::Partly(why) => {
                self.taken = true;
                self.failed(why);
            }
            Answer::Later(why, _) | Answer::Refused(why) | Answer::Denied(why) => self.failed(why),
        }
    }

    /// Whether there was an answer, or something kept all of it from being sent.
    pub(super) const fn is_any(&self) -> bool {
        self.taken || self.not_whole
    }

    /// Takes note of what kept something from being sent.
    pub(super) fn failed(&mut self, why: String) {
        self.not_whole = true;
        self.why.get_or_insert(why);
    }

    pub(super) fn outcome(self) -> Outcome {
        let result = match (self.not_whole, self.taken) {
            (false, _) => ExportResult::Success,
            (true, false) => ExportResult::Failure,
            (true, true) => ExportResult::Partial,
        };
        Outcome { result, why: self.why.or(self.warning), not_before: self.not_before, lost: self.lost }
    }
}

/// How hard one export tries.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) deadline: Instant,
    pub(super) timeout: Duration,
    pub(super) first_retry: Duration,
    /// Whether the task is to stop: nothing is repeated any more then.
    pub(super) stopping: watch::Receiver<bool>,
}

impl Delivery {
    /// Sends every request. One that is refused does not keep the others back; one that finds no receiver in time does.
    /// Tells whether all had an answer.
    pub(super) async fn deliver(&mut self, sender: &mut Sender, payloads: &[Payload], report: &mut Report) -> bool {
        for payload in payloads {
            let answer = self.send(sender, payload, report).await;
            let answered = !matches!(answer, Answer::Later(..));
            report.note(answer);
            if !answered {
                return false;
            }
        }
        true
    }

    /// Sends one request until it is answered for good or time is up.
    pub(super) async fn send(&mut self, sender: &mut Sender, payload: &Payload, report: &mut Report) -> Answer {
        let mut failed = 0;
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // The receiver might take it, and its answer could not be waited for.
                return Answer::Later("no time was left to send it".to_owned(), None);
            }
            let answer = sender.send(payload, self.timeout.min(left)).await;
            let Answer::Later(_, asked) = &answer else { return answer };
            failed += 1;
            let asked = asked.unwrap_or_default().min(retry::MOST_ASKED);
            let pause = retry::pause(self.first_retry, failed, retry::random()).max(asked);
            if Instant::now() + pause >= self.deadline {
                report.not_before = Some(Instant::now() + asked);
                return answer;
            }
            tokio::select! {
                () = sleep(pause) => {}
                // Nobody left to say so means the same.
                _ = self.stopping.wait_for(|stopping| *stopping) => return answer,
            }
        }
    }
}
