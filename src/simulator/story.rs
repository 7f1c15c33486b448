//! The whole life of one record, known in advance: what the server shows a glimpse of and the oracle judges.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use crate::domain::time::UnixMillis;

/// How a record tells its team.
#[derive(Clone, Debug, PartialEq)]
pub enum TeamShown {
    /// `assignationMethod.teamName`.
    Assigned(Arc<str>),
    /// Only in `operator.team`: one name, or several joined by commas, which name no one team.
    Operator(Arc<str>),
    /// Nowhere.
    Nowhere,
}

/// What makes a record unreadable, so that it is listed but cannot be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// There is no `_id`.
    NoId,
    /// There is no `startAt`.
    NoStart,
    /// `startAt` is not a date.
    UnreadableStart,
}

/// One end of a record. There is more than one only when the record became active again in between.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    /// `endAt`, and when the record begins to say so.
    pub at: UnixMillis,
    /// `state` from then on.
    pub state: Cow<'static, str>,
    /// `endedReason` from then on.
    pub reason: Option<Cow<'static, str>>,
    /// Whether `conversationDuration` is given.
    pub duration_stated: bool,
    /// When the record becomes active again.
    pub reopened: Option<UnixMillis>,
}

/// The whole life of one record.
#[derive(Clone, Debug, PartialEq)]
pub struct Story {
    /// `_id`.
    pub id: Box<str>,
    /// `startAt`, to the millisecond; the server filters by it.
    pub start: UnixMillis,
    /// `bot.name`.
    pub bot: Option<Arc<str>>,
    /// Where the team stands.
    pub team: TeamShown,
    /// `origin`.
    pub origin: Option<Cow<'static, str>>,
    /// `timeRepliedOperator`: milliseconds from the start to the first reply, shown from then on.
    pub reply: Option<u64>,
    /// Ascending.
    pub endings: Vec<Ending>,
    /// Milliseconds from the start until the record is listed at all.
    pub late: i64,
    /// From when on the record is no longer listed.
    pub vanishes: Option<UnixMillis>,
    /// Why it cannot be counted.
    pub flaw: Option<Flaw>,
    /// Fields of the row that are shown as given here, whatever the life says. The oracle does not look at them.
    pub fields: Vec<(Box<str>, Value)>,
}

impl Story {
    /// An organic conversation without bot and team that is never answered and never ends.
    pub fn new(id: impl Into<Box<str>>, start: UnixMillis) -> Self {
        Self {
            id: id.into(),
            start,
            bot: None,
            team: TeamShown::Nowhere,
            origin: Some("organic".into()),
            reply: None,
            endings: Vec::new(),
            late: 0,
            vanishes: None,
            flaw: None,
            fields: Vec::new(),
        }
    }

    /// Sets the bot and the assigned team.
    pub fn by(mut self, bot: &str, team: &str) -> Self {
        self.bot = Some(bot.into());
        self.team = TeamShown::Assigned(team.into());
        self
    }

    /// Sets the origin.
    pub fn origin(mut self, origin: &str) -> Self {
        self.origin = Some(origin.to_owned().into());
        self
    }

    /// The first reply comes so many milliseconds after the start.
    pub fn replied_after(mut self, milliseconds: u64) -> Self {
        self.reply = Some(milliseconds);
        self
    }

    /// Ends so many milliseconds after the start, in this state and for this reason (none when empty).
    pub fn ended_after(mut self, milliseconds: i64, state: &str, reason: &str) -> Self {
        self.endings.push(Ending {
            at: self.start + milliseconds,
            state: state.to_owned().into(),
            reason: Some(reason).filter(|reason| !reason.is_empty()).map(|reason| reason.to_owned().into()),
            duration_stated: true,
            reopened: None,
        });
        self
    }

    /// Is closed by an operator so many milliseconds after the start.
    pub fn closed_after(self, milliseconds: i64) -> Self {
        self.ended_after(milliseconds, "closed", "closed_by_operator")
    }

    /// The last end so far does not last: the record is active again so many milliseconds after the start.
    pub fn reopened_after(mut self, milliseconds: i64) -> Self {
        let at = self.start + milliseconds;
        if let Some(ending) = self.endings.last_mut() {
            ending.reopened = Some(at);
        }
        self
    }

    /// Shows a field of the row as given, whatever the life says; `null` included.
    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.fields.retain(|(known, _)| **known != *name);
        self.fields.push((name.into(), value));
        self
    }

    /// Whether the upstream lists the record at this instant.
    pub fn is_listed(&self, at: UnixMillis) -> bool {
        self.start + self.late.max(0) <= at && self.vanishes.is_none_or(|vanishes| at < vanishes)
    }

    /// The end that holds at this instant; `None` while the record is active.
    pub fn ending_at(&self, at: UnixMillis) -> Option<&Ending> {
        let last = self.endings.iter().rev().find(|ending| ending.at <= at)?;
        last.reopened.is_none_or(|reopened| at < reopened).then_some(last)
    }

    /// The milliseconds to the first reply, if it has been given by this instant.
    pub fn reply_at(&self, at: UnixMillis) -> Option<u64> {
        self.reply.filter(|reply| i64::try_from(*reply).is_ok_and(|reply| self.start + reply <= at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_shows_only_what_has_happened() {
        let story = Story::new("a", UnixMillis(1000))
            .replied_after(50)
            .closed_after(100)
            .reopened_after(200)
            .ended_after(300, "expired", "");
        assert!(!story.is_listed(UnixMillis(999)) && story.is_listed(UnixMillis(1000)));
        let replies = [1049, 1050].map(|at| story.reply_at(UnixMillis(at)));
        assert_eq!(replies, [None, Some(50)]);
        let states = [1099, 1100, 1199, 1200, 1300].map(|at| story.ending_at(UnixMillis(at)).map(|end| &*end.state));
        assert_eq!(states, [None, Some("closed"), Some("closed"), None, Some("expired")]);
        assert_eq!(story.endings[1].reason, None);
    }

    #[test]
    fn a_record_may_come_late_and_vanish() {
        let story = Story { late: 10, vanishes: Some(UnixMillis(50)), ..Story::new("a", UnixMillis(0)) };
        assert_eq!([9, 10, 49, 50].map(|at| story.is_listed(UnixMillis(at))), [false, true, true, false]);
    }
}
