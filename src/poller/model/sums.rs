//! What is shown of each pair, as the oracle adds it up.

use std::collections::BTreeMap;

use super::book::Book;
use super::times::Times;
use crate::domain::conversation::{Origin, Reason, State};

const OVERFLOW: &str = "__overflow__";

/// What is shown of one pair.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) bot: String,
    pub(super) team: String,
    pub(super) started: BTreeMap<Origin, u64>,
    pub(super) ended: BTreeMap<(State, Reason), u64>,
    pub(super) unanswered: u64,
    pub(super) met: u64,
    pub(super) missed: u64,
    pub(super) reopened: u64,
    pub(super) replies: Times,
    pub(super) durations: Times,
}

impl Book {
    /// The pair with these labels, or that which takes in what there is no room for (and true).
    pub(super) fn pair(&mut self, bot: &str, team: &str, overflown: bool) -> (usize, bool) {
        let find =
            |pairs: &[Sums], bot: &str, team: &str| pairs.iter().position(|pair| pair.bot == bot && pair.team == team);
        if !overflown {
            if let Some(found) = find(&self.pairs, bot, team) {
                return (found, false);
            }
            let others = self.pairs.iter().filter(|pair| pair.bot != OVERFLOW).count();
            if others + 1 < self.settings.max_label_sets {
                return (self.admit(bot, team), false);
            }
        }
        (find(&self.pairs, OVERFLOW, OVERFLOW).unwrap_or_else(|| self.admit(OVERFLOW, OVERFLOW)), true)
    }

    fn admit(&mut self, bot: &str, team: &str) -> usize {
        let mut pair = Sums { bot: bot.into(), team: team.into(), ..Sums::default() };
        for how in [(State::Closed, Reason::ClosedByOperator), (State::Expired, Reason::Expired)] {
            pair.ended.insert(how, 0);
        }
        for other in self.pairs.iter().filter(|other| other.bot == bot) {
            pair.started.extend(other.started.keys().map(|origin| (*origin, 0)));
            pair.ended.extend(other.ended.keys().map(|how| (*how, 0)));
        }
        pair.replies.bound_by(&self.settings.reply_bounds());
        pair.durations.bound_by(&self.settings.duration_bounds);
        self.pairs.push(pair);
        self.pairs.len() - 1
    }

    /// Rule **zero before one**.
    pub(super) fn show_origin(&mut self, pair: usize, origin: Origin) {
        let bot = self.pairs[pair].bot.clone();
        for pair in self.pairs.iter_mut().filter(|pair| pair.bot == bot) {
            pair.started.entry(origin).or_default();
        }
    }

    pub(super) fn show_end(&mut self, pair: usize, how: (State, Reason)) {
        let bot = self.pairs[pair].bot.clone();
        for pair in self.pairs.iter_mut().filter(|pair| pair.bot == bot) {
            pair.ended.entry(how).or_default();
        }
    }
}
