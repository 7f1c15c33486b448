//! What becomes of conversations upstream: each is a record whose listed form changes as time goes by.

use fastrand::Rng;

use super::history::{BEGIN, MINUTE, SECOND, one_of};
use super::settings::Settings;
use crate::domain::conversation::{Conversation, ConversationId, Origin, Reason, State};
use crate::domain::time::UnixMillis;

/// A record, and how it is listed from when on.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// By this the upstream filters and sorts.
    pub(super) start: i64,
    /// Ascending; `None`: it is not listed. Before the first one it is not listed either.
    pub(super) forms: Vec<(i64, Option<Form>)>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    Good(Conversation),
    /// Without a readable start; the id tells it from others, and may be that of one that was or will be readable.
    Unreadable(ConversationId),
}

impl Record {
    /// How it is listed at this instant.
    pub(super) fn at(&self, now: i64) -> Option<&Form> {
        self.forms.iter().rev().find(|(from, _)| *from <= now).and_then(|(_, form)| form.as_ref())
    }

    /// Since when it has been listed and readable without a break, if it is so at this instant.
    pub(super) fn readable_since(&self, now: i64) -> Option<i64> {
        let past = self.forms.iter().rev().skip_while(|(from, _)| *from > now);
        past.take_while(|(_, form)| matches!(form, Some(Form::Good(_)))).last().map(|(from, _)| *from)
    }

    /// How often it left the list until this instant.
    pub(super) fn times_left(&self, now: i64) -> u64 {
        self.forms.iter().filter(|(from, form)| *from <= now && form.is_none()).count() as u64
    }

    /// All of its dates are listed in a wrong zone.
    pub(super) fn misdate(&mut self, by: i64) {
        for (_, form) in &mut self.forms {
            if let Some(Form::Good(listed)) = form {
                (listed.start, listed.end) = (listed.start + by, listed.end.map(|end| end + by));
            }
        }
    }

    pub(super) fn id(&self) -> Option<String> {
        self.forms.iter().find_map(|(_, form)| match form {
            Some(Form::Good(conversation)) => Some(conversation.id.to_string()),
            _ => None,
        })
    }
}

/// The records of a history that spans so many milliseconds; nothing changes after `calm`.
pub(super) fn stories(rng: &mut Rng, settings: &Settings, span: i64, calm: i64) -> Vec<Record> {
    let most = one_of(rng, &[6, 18, 40]);
    let many = rng.usize(1..most);
    let before = i64::try_from(settings.lookback).unwrap() * SECOND + 5 * MINUTE;
    (0..many).map(|number| story(rng, number, settings, before, span, calm)).collect()
}

fn story(rng: &mut Rng, number: usize, settings: &Settings, before: i64, span: i64, calm: i64) -> Record {
    let start = if rng.u32(..3) == 0 { BEGIN - rng.i64(0..before) } else { BEGIN + rng.i64(0..span) };
    // Some lie on one second, also on the border of ranges.
    let start = if rng.u32(..4) == 0 { start - start % (30 * SECOND) } else { start };
    let horizon = i64::try_from(settings.horizon).unwrap() * SECOND;
    let listed = match rng.u32(..10) {
        0 => start + rng.i64(0..horizon / 2),
        1 | 2 => start + rng.i64(0..3000),
        _ => start,
    };
    if rng.u32(..25) == 0 {
        let id = format!("unreadable {number}").as_str().into();
        return Record { start, forms: vec![(listed.min(calm), Some(Form::Unreadable(id)))] };
    }
    let mut teller =
        Teller { rng, settings, calm, now: listed.min(calm), forms: Vec::new(), open: first(number, start) };
    teller.vary();
    teller.show();
    teller.tell();
    Record { start, forms: teller.forms }
}

fn first(number: usize, start: i64) -> Conversation {
    Conversation {
        id: format!("c{number}").as_str().into(),
        start: UnixMillis(start),
        end: None,
        state: State::Active,
        reason: Reason::None,
        origin: Origin::Organic,
        bot: "bot".into(),
        team: "team".into(),
        company: None,
        reply: None,
        stated_duration: None,
    }
}

struct Teller<'a> {
    rng: &'a mut Rng,
    settings: &'a Settings,
    calm: i64,
    now: i64,
    forms: Vec<(i64, Option<Form>)>,
    open: Conversation,
}

impl Teller<'_> {
    fn vary(&mut self) {
        let rng = &mut *self.rng;
        self.open.origin = one_of(
            rng,
            &[Origin::Organic, Origin::Ticket, Origin::Broadcast, Origin::InducedByOperator, Origin::Other],
        );
        self.open.bot = one_of(rng, &["bot", "robot"]).into();
        self.open.team = one_of(rng, &["north", "south", "west"]).into();
        self.open.company = rng.bool().then(|| "7".into());
    }

    fn show(&mut self) {
        self.forms.push((self.now, Some(Form::Good(self.open.clone()))));
    }

    /// Goes on in time; false when the calm has come.
    fn pass(&mut self, longest: i64) -> bool {
        self.now += self.rng.i64(0..longest);
        self.now < self.calm
    }

    fn tell(&mut self) {
        for _ in 0..self.rng.u32(0..8) {
            let pause = one_of(&mut *self.rng, &[2 * SECOND, MINUTE, 10 * MINUTE]);
            if !self.pass(pause) {
                return;
            }
            match self.rng.u32(..16) {
                0..4 => self.reply(),
                4..8 => self.end(),
                8 => self.reopen(),
                9 | 10 => self.amend(),
                11 => self.relabel(),
                12 => self.redate(),
                13 => self.forms.push((self.now, Some(Form::Unreadable(self.open.id.clone())))),
                _ => {
                    self.forms.push((self.now, None));
                    if self.rng.u32(..3) == 0 || !self.pass(pause) {
                        return;
                    }
                    self.show();
                }
            }
        }
    }

    fn reply(&mut self) {
        let target = self.settings.target * 1000;
        let passed = u64::try_from(self.now - self.open.start.0).unwrap_or(0);
        let odd = one_of(&mut *self.rng, &[0, 1, target, target + 1, target - 1, 60_000, 300_000, 300_001]);
        if self.open.reply.is_none() {
            self.open.reply = Some(if self.rng.u32(..3) == 0 { odd } else { passed });
            self.show();
        }
    }

    fn end(&mut self) {
        if self.open.state != State::Active {
            return;
        }
        let (state, reason) = one_of(
            &mut *self.rng,
            &[
                (State::Closed, Reason::ClosedByOperator),
                (State::Expired, Reason::Expired),
                (State::Transferred, Reason::Transferred),
                (State::Closed, Reason::ClosedByAutoTransfer),
                (State::Resolved, Reason::None),
                (State::Other, Reason::Other),
            ],
        );
        (self.open.state, self.open.reason) = (state, reason);
        self.open.end =
            (state == State::Other || self.rng.u32(..5) > 0).then(|| UnixMillis(self.now - self.now % SECOND));
        let took = u64::try_from(self.now - self.open.start.0).unwrap_or(0);
        self.open.stated_duration = self.rng.bool().then_some(took);
        self.show();
    }

    fn reopen(&mut self) {
        if self.open.state == State::Active {
            return;
        }
        (self.open.state, self.open.reason, self.open.end) = (State::Active, Reason::None, None);
        self.open.stated_duration = None;
        self.show();
    }

    fn amend(&mut self) {
        match self.rng.u32(..3) {
            0 => self.open.reply = self.open.reply.map(|reply| reply + self.rng.u64(0..400_000)),
            1 => self.open.reply = None,
            _ if self.open.state != State::Active => self.open.stated_duration = Some(self.rng.u64(0..3_000_000)),
            _ => {}
        }
        self.show();
    }

    /// The date is corrected, or read for the other one of two local times; it is still found where it was.
    fn redate(&mut self) {
        self.open.start = self.open.start + self.rng.i64(-90..90) * SECOND;
        self.show();
    }

    fn relabel(&mut self) {
        self.open.team = one_of(&mut *self.rng, &["north", "south", "west", "east"]).into();
        self.show();
    }
}
