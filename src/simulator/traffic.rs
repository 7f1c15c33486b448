//! Lifelike traffic: whole life stories, made slot by slot from the seed alone.
//!
//! Any stretch of time can be made without what came before it. A customer who is handed on leaves a chain of records;
//! a chain is made with the slot it begins in, and [`LOOKBACK`] bounds how much later its last record may start.

use std::borrow::Cow;

use super::cast::{Cast, Team};
use super::dice::Dice;
use super::options::SimulatorOptions;
use super::story::{Ending, Flaw, Story, TeamShown};
use crate::domain::time::UnixMillis;

/// Milliseconds in a slot.
pub(super) const SLOT: i64 = 600_000;
/// A chain that begins in a slot has no record that starts more than so many slots later.
pub(super) const LOOKBACK: i64 = 6;
/// No generated record is listed later than so many milliseconds after its start.
pub(super) const LATEST: i64 = 20_000;

const MINUTE: f64 = 60_000.0;
const HOUR: f64 = 60.0 * MINUTE;
/// The company lives in the zone that the web client sends by default; it knows no summer time.
const LOCAL_OFFSET: i64 = -5 * 3_600_000;
const DAY: i64 = 24 * 3_600_000;

/// How busy each hour of the day is; the mean over a week is 1.
const HOURS: [f64; 24] = [
    0.15, 0.10, 0.08, 0.08, 0.10, 0.15, 0.35, 0.80, 1.50, 2.10, 2.40, 2.30, 1.90, 1.60, 1.80, 2.00, 2.00, 1.80, 1.40,
    1.05, 0.80, 0.55, 0.35, 0.20,
];
const WEEKEND: f64 = 0.5;

/// What opens a conversation, and how often.
const ORIGINS: [(Option<&str>, f64); 9] = [
    (Some("organic"), 52.0),
    (Some("ticket"), 18.0),
    (Some("broadcast"), 9.0),
    (Some("induced_by_operator"), 7.0),
    (Some("induced_by_system"), 5.0),
    (Some("induced"), 3.0),
    (Some("induced_by_admin"), 2.0),
    (Some("closed"), 2.0),
    (None, 2.0),
];

/// The slot that an instant lies in.
pub(super) const fn slot_of(at: UnixMillis) -> i64 {
    at.0.div_euclid(SLOT)
}

/// Every record of every chain that begins in the slot, in no particular order.
pub(super) fn births(options: &SimulatorOptions, slot: i64) -> Vec<Story> {
    let mut dice = Dice::of(&[options.seed, 1, slot as u64]);
    let mean = options.per_hour * (SLOT as f64 / HOUR) * rhythm(slot * SLOT).max(options.quietest);
    let mut stories = Vec::new();
    for number in 0..dice.poisson(mean) {
        let dice = Dice::of(&[options.seed, 2, slot as u64, number as u64]);
        Chain { options, slot, dice }.tell(&mut stories);
    }
    stories
}

fn rhythm(at: i64) -> f64 {
    let local = at + LOCAL_OFFSET;
    let hour = HOURS[(local.rem_euclid(DAY) / 3_600_000) as usize];
    // 1970-01-01 was a Thursday.
    let weekday = (local.div_euclid(DAY) + 4).rem_euclid(7);
    let mean = HOURS.iter().sum::<f64>() / 24.0 * (5.0 + 2.0 * WEEKEND) / 7.0;
    hour * if weekday == 0 || weekday == 6 { WEEKEND } else { 1.0 } / mean
}

/// How a stint ends.
struct Outcome {
    after: f64,
    state: &'static str,
    reason: Option<&'static str>,
}

struct Chain<'a> {
    options: &'a SimulatorOptions,
    slot: i64,
    dice: Dice,
}

impl Chain<'_> {
    fn tell(mut self, stories: &mut Vec<Story>) {
        let cast: &Cast = &self.options.cast;
        let bot = &cast.bots[self.dice.weighted(cast.bots.iter().map(|bot| bot.weight))];
        let pick_team = |dice: &mut Dice| bot.teams[dice.weighted((1..=bot.teams.len()).map(|n| 1.0 / n as f64))];
        let mut team = pick_team(&mut self.dice);
        let mut start = UnixMillis(self.slot * SLOT + self.dice.below(SLOT as usize) as i64);
        let mut origin = self.origin();
        loop {
            let story = self.stint(start, &cast.teams[team], origin);
            let story = Story { bot: self.bot(&bot.name), ..story };
            let handed_on = story.endings.first().filter(|end| end.state.to_ascii_lowercase().contains("transfer"));
            let next = handed_on.map(|end| (end.at, end.state.eq_ignore_ascii_case("transferred")));
            stories.push(story);
            let Some((end, by_hand)) = next else { return };
            start = end + self.dice.below(3000) as i64;
            origin = Some(if by_hand { "transfer" } else { "automatic_transfer" }.into());
            team = pick_team(&mut self.dice);
        }
    }

    fn stint(&mut self, start: UnixMillis, team: &Team, origin: Option<Cow<'static, str>>) -> Story {
        let bad = bad_afternoon(self.options.seed, start, &team.name);
        let (slow, silence) = if bad { (5.0, team.silence * 3.0) } else { (1.0, team.silence) };
        let pace = self.options.pace;
        let reply = (!self.dice.chance(silence))
            .then(|| self.dice.log_normal(team.reply_median, team.reply_spread) * slow)
            .map(|reply| (reply * pace).clamp(800.0 * pace, 6.0 * HOUR * pace).round());
        let outcome = match reply {
            Some(reply) => self.answered(reply, team),
            None => self.silent(),
        };
        let (reply, outcome) = self.bound_chain(start, reply, outcome);
        let end = start + outcome.after.round() as i64;
        let mut ending = Ending {
            at: end,
            state: outcome.state.into(),
            reason: outcome.reason.map(Cow::Borrowed),
            duration_stated: true,
            reopened: None,
        };
        let mut endings = Vec::new();
        if outcome.state == "closed" && self.dice.chance(self.options.reopenings) {
            let reopened = end + (self.dice.between(1.0, 10.0) * MINUTE * pace) as i64;
            let again =
                Ending { at: reopened + (self.dice.between(2.0, 20.0) * MINUTE * pace) as i64, ..ending.clone() };
            ending.reopened = Some(reopened);
            endings.push(ending);
            endings.push(again);
        } else {
            endings.push(ending);
        }
        let id = format!("{:08x}{:016x}", start.seconds() as u32, self.dice.next());
        let mut story = Story { origin, reply: reply.map(|reply| reply as u64), endings, ..Story::new(id, start) };
        story.team = TeamShown::Assigned(team.name.clone());
        if self.options.quirks {
            self.quirks(&mut story, team);
        }
        if self.dice.chance(self.options.bad_rows) {
            story.flaw = Some([Flaw::NoId, Flaw::NoStart, Flaw::UnreadableStart][self.dice.below(3)]);
        }
        story
    }

    fn answered(&mut self, reply: f64, team: &Team) -> Outcome {
        let handling = self.dice.log_normal(team.handling_median, 0.8).min(12.0 * HOUR) * self.options.pace;
        let (state, reason, idle) = match self.dice.weighted([66.0, 12.0, 11.0, 8.0, 3.0].into_iter()) {
            0 => ("closed", "closed_by_operator", 0.0),
            1 => ("resolved", "closed_by_operator", 0.0),
            2 => ("expired", "expired", self.dice.between(0.5, 7.0) * HOUR * self.options.pace),
            3 => ("transferred", "transferred", 0.0),
            _ => ("auto_transfer", "closed_by_auto_transfer", 0.0),
        };
        Outcome { after: reply + handling + idle, state, reason: Some(reason) }
    }

    fn silent(&mut self) -> Outcome {
        let (state, reason, low, high) = match self.dice.weighted([60.0, 15.0, 10.0, 15.0].into_iter()) {
            0 => ("expired", Some("expired"), 60.0, 480.0),
            1 => ("closed", Some("closed_by_operator"), 2.0, 90.0),
            // Someone saw at once that it was for another team; or a rule moved it on after waiting.
            2 => ("transferred", Some("transferred"), 0.2, 6.0),
            _ => ("auto_transfer", Some("closed_by_auto_transfer"), 3.0, 12.0),
        };
        Outcome { after: self.dice.between(low, high) * MINUTE * self.options.pace, state, reason }
    }

    /// A hand-over that would come too late for [`LOOKBACK`] does not happen.
    fn bound_chain(&self, start: UnixMillis, reply: Option<f64>, mut outcome: Outcome) -> (Option<f64>, Outcome) {
        let last = ((self.slot + LOOKBACK) * SLOT - 3000) as f64;
        if outcome.state.contains("transfer") && start.0 as f64 + outcome.after >= last {
            (outcome.state, outcome.reason) = ("closed", Some("closed_by_operator"));
        }
        (reply, outcome)
    }

    fn origin(&mut self) -> Option<Cow<'static, str>> {
        let (origin, _) = ORIGINS[self.dice.weighted(ORIGINS.iter().map(|(_, weight)| *weight))];
        origin.map(Cow::Borrowed)
    }

    fn bot(&mut self, name: &std::sync::Arc<str>) -> Option<std::sync::Arc<str>> {
        (!self.options.quirks || !self.dice.chance(0.01)).then(|| name.clone())
    }

    /// What may vary in the real API and what makes a difference to the numbers; mere spelling is the row's business.
    fn quirks(&mut self, story: &mut Story, team: &Team) {
        let teams = &self.options.cast.teams;
        match self.dice.weighted([88.0, 6.0, 3.0, 3.0].into_iter()) {
            0 => {}
            1 => story.team = TeamShown::Operator(team.name.clone()),
            2 => {
                let other = &teams[self.dice.below(teams.len())].name;
                story.team = TeamShown::Operator(format!("{},{other}", team.name).into());
            }
            _ => story.team = TeamShown::Nowhere,
        }
        if self.dice.chance(0.005) {
            story.origin = Some("instagram_story".into());
        }
        if self.dice.chance(0.02) {
            story.late = self.dice.below(LATEST as usize) as i64;
        }
        let [upper, unstated, unknown_state, unknown_reason, no_reason] =
            [0.2, 0.02, 0.005, 0.005, 0.01].map(|probability| self.dice.chance(probability));
        let handed_on = story.endings.iter().any(|end| end.state.contains("transfer"));
        for end in &mut story.endings {
            end.duration_stated = !unstated;
            if unknown_state && !handed_on {
                end.state = "archived".into();
            }
            if unknown_reason && !handed_on {
                end.reason = Some("closed_by_bot".into());
            } else if no_reason {
                end.reason = None;
            }
            if upper {
                end.state = end.state.to_uppercase().into();
            }
        }
    }
}

/// Whether a team has a bad afternoon: about one day in eight, from 14:00 to 18:00.
fn bad_afternoon(seed: u64, at: UnixMillis, team: &str) -> bool {
    let local = at.0 + LOCAL_OFFSET;
    let day = local.div_euclid(DAY);
    (14..18).contains(&(local.rem_euclid(DAY) / 3_600_000))
        && Dice::of(&[seed, 3, day as u64, Dice::of_text(seed, team).next()]).chance(0.125)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeSet, HashSet};

    const DAY_SLOTS: i64 = DAY / SLOT;

    fn week(options: &SimulatorOptions) -> Vec<Story> {
        let first = 1_700_000_000_000 / SLOT;
        (first..first + 7 * DAY_SLOTS).flat_map(|slot| births(options, slot)).collect()
    }

    #[test]
    fn the_same_seed_makes_the_same_world_slot_by_slot() {
        let options = SimulatorOptions { quirks: true, ..SimulatorOptions::default() };
        let other = SimulatorOptions { seed: 2, ..options.clone() };
        assert_eq!(births(&options, 2_833_400), births(&options, 2_833_400));
        assert_ne!(births(&options, 2_833_400), births(&other, 2_833_400));
    }

    #[test]
    fn a_week_holds_what_was_asked_for_and_everything_that_happens() {
        let options =
            SimulatorOptions { quirks: true, bad_rows: 0.01, reopenings: 0.05, ..SimulatorOptions::default() };
        let stories = week(&options);
        let roots = stories.iter().filter(|story| !story.origin.as_deref().is_some_and(|o| o.contains("transfer")));
        let expected = 7.0 * 24.0 * options.per_hour;
        assert!((roots.count() as f64 / expected - 1.0).abs() < 0.05);

        let ids: HashSet<_> = stories.iter().map(|story| &story.id).collect();
        assert_eq!(ids.len(), stories.len());
        let seen = |text: fn(&Story) -> Option<&str>| stories.iter().filter_map(text).collect::<BTreeSet<_>>().len();
        assert_eq!(seen(|story| story.bot.as_deref()), 3);
        assert_eq!(seen(|story| story.origin.as_deref()), 8 + 2 + 1);
        // Each of the five known states and the unknown one, in lower and upper case.
        assert_eq!(seen(|story| story.endings.first().map(|end| &*end.state)), 12);
        assert!(stories.iter().any(|story| story.endings.len() > 1));
        assert!(stories.iter().any(|story| story.flaw.is_some()));
        assert!(stories.iter().any(|story| story.reply.is_none()));
        assert!(stories.iter().any(|story| story.late > 0));
    }

    #[test]
    fn nothing_happens_out_of_order_or_out_of_reach() {
        let options = SimulatorOptions { quirks: true, reopenings: 0.1, ..SimulatorOptions::default() };
        let first = 1_700_000_000_000 / SLOT;
        for slot in first..first + 2 * DAY_SLOTS {
            for story in births(&options, slot) {
                assert!((slot..=slot + LOOKBACK).contains(&slot_of(story.start)), "{story:?}");
                assert!(story.late < LATEST);
                let mut before = story.start + story.reply.map_or(0, |reply| reply as i64);
                for end in &story.endings {
                    assert!(end.at >= before, "{story:?}");
                    before = end.reopened.unwrap_or(end.at);
                }
            }
        }
    }

    #[test]
    fn teams_differ_and_days_have_a_rhythm() {
        let stories = week(&SimulatorOptions::default());
        let median = |team: &str| {
            let shown = TeamShown::Assigned(team.into());
            let mut replies: Vec<_> = stories.iter().filter(|s| s.team == shown).filter_map(|s| s.reply).collect();
            replies.sort_unstable();
            replies[replies.len() / 2]
        };
        assert!(median("Ventas") * 4 < median("Frontend"));
        let hour =
            |hour| stories.iter().filter(|s| (s.start.0 + LOCAL_OFFSET).rem_euclid(DAY) / 3_600_000 == hour).count();
        assert!(hour(10) > 5 * hour(3));
    }
}
