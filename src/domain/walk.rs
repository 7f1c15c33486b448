//! The reading of all pages of one range, as a state machine: it is fed pages and says what to do next.
//!
//! Pages shift while they are walked, so a page proves nothing by itself. A walk is complete when the distinct records
//! that it showed reach the total that the upstream gave, the same at the beginning and at the end (rule
//! **complete walk**).

use foldhash::{HashSet, HashSetExt as _};

use super::conversation::ConversationId;
use super::reading::{Page, Row};

/// How often a range is walked before it is left for the next poll.
const PASSES: u32 = 3;
/// Pages in a row without a new record after which a walk gives up waiting for an empty one: the upstream may answer
/// a page past the end with the last page.
const FRUITLESS: u32 = 2;
/// Pages after which a walk gives up: no range that is asked for has as many, so the upstream never comes to an end.
const MOST_PAGES: u32 = 5_000;
/// The same in rows, whatever the pages' size: all of a walk's rows are held until it is over.
const MOST_ROWS: usize = 500_000;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask for this page.
    Ask(u32),
    /// The walk is over: everything was shown. `distrusted` when the total was not reached, twice alike.
    Complete {
        /// Whether the upstream's total turned out not to be the number of records that it lists.
        distrusted: bool,
    },
    /// The walk is over, and records slipped through.
    Incomplete,
}

/// A walk under way.
#[derive(Debug)]
pub struct Walk {
    pass: u32,
    page: u32,
    /// Pages of the passes before this one.
    pages_before: u32,
    /// Rows of all passes.
    rows: usize,
    seen: HashSet<ConversationId>,
    first_total: Option<u64>,
    last_total: Option<u64>,
    fruitless: u32,
    /// Some page of this pass could not be read, so no end of the pages proves that all was seen.
    holes: bool,
    before: Option<Pass>,
}

/// What an unfinished pass showed.
#[derive(Debug, PartialEq, Eq)]
struct Pass {
    seen: HashSet<ConversationId>,
    total: Option<u64>,
}

impl Default for Walk {
    fn default() -> Self {
        Self::new()
    }
}

impl Walk {
    /// A walk that has seen nothing yet; its first step is page 1.
    pub fn new() -> Self {
        Self {
            pass: 1,
            page: 1,
            pages_before: 0,
            rows: 0,
            seen: HashSet::new(),
            first_total: None,
            last_total: None,
            fruitless: 0,
            holes: false,
            before: None,
        }
    }

    /// Takes in the page that was asked for.
    pub fn take(&mut self, page: &Page) -> Step {
        let known = self.seen.len();
        self.rows += page.rows.len();
        for row in &page.rows {
            self.seen.insert(match row {
                Row::Conversation(conversation) => conversation.id.clone(),
                Row::Rejected(rejected) => rejected.identity.clone(),
            });
        }
        if self.page == 1 {
            self.first_total = page.total;
        }
        self.last_total = page.total.or(self.last_total);
        self.fruitless = if self.seen.len() == known { self.fruitless + 1 } else { 0 };

        if self.reaches(|seen, total| seen == total) {
            return Step::Complete { distrusted: false };
        }
        if page.rows.is_empty() || self.fruitless >= FRUITLESS {
            return self.end_of_pass(page.rows.is_empty());
        }
        self.next_page()
    }

    /// Passes over a page that could not be read.
    pub fn skip(&mut self) -> Step {
        self.holes = true;
        self.fruitless = 0;
        self.next_page()
    }

    fn next_page(&mut self) -> Step {
        if self.pages_before + self.page >= MOST_PAGES || self.rows >= MOST_ROWS {
            return Step::Incomplete;
        }
        self.page += 1;
        Step::Ask(self.page)
    }

    fn reaches(&self, enough: impl Fn(u64, u64) -> bool) -> bool {
        // A walk that skipped its first page never knew the first total.
        let total = self.last_total.filter(|total| self.first_total == Some(*total));
        total.is_some_and(|total| enough(self.seen.len() as u64, total))
    }

    fn end_of_pass(&mut self, empty: bool) -> Step {
        if self.holes {
            return Step::Incomplete;
        }
        let complete = match self.last_total {
            None => empty,
            Some(_) => self.reaches(|seen, total| seen >= total),
        };
        if complete {
            return Step::Complete { distrusted: false };
        }
        let this = Pass { seen: std::mem::take(&mut self.seen), total: self.last_total };
        if self.before.as_ref() == Some(&this) {
            return Step::Complete { distrusted: true };
        }
        if self.pass == PASSES {
            return Step::Incomplete;
        }
        let pages_before = self.pages_before + self.page;
        *self = Self { pass: self.pass + 1, pages_before, rows: self.rows, before: Some(this), ..Self::new() };
        Step::Ask(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reading::Rejected;
    use crate::domain::time::UnixMillis;

    fn page(ids: &[&str], total: Option<u64>) -> Page {
        let row = |id: &&str| Row::Rejected(Rejected { identity: (*id).into(), why: "test" });
        Page { rows: ids.iter().map(row).collect(), total, sent_at: UnixMillis(0), server_date: None }
    }

    #[test]
    fn complete_walk_stops_when_the_total_is_reached() {
        let mut walk = Walk::new();
        assert_eq!(walk.take(&page(&["a", "b"], Some(3))), Step::Ask(2));
        assert_eq!(walk.take(&page(&["b", "c"], Some(3))), Step::Complete { distrusted: false });
    }

    #[test]
    fn a_walk_that_never_ends_is_given_up() {
        let names: Vec<String> = (0..MOST_ROWS / 10).map(|number| number.to_string()).collect();
        let ids: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut walk = Walk::new();
        let mut step = Step::Ask(1);
        for number in 0..10_u32 {
            assert_eq!(step, Step::Ask(number + 1));
            // One new row keeps it going.
            let new = format!("new {number}");
            step = walk.take(&page(&[&ids[1..], &[&new]].concat(), Some(u64::MAX)));
        }
        assert_eq!(step, Step::Incomplete);
    }

    #[test]
    fn complete_walk_of_an_empty_range_is_one_page() {
        assert_eq!(Walk::new().take(&page(&[], Some(0))), Step::Complete { distrusted: false });
        assert_eq!(Walk::new().take(&page(&[], None)), Step::Complete { distrusted: false });
    }

    #[test]
    fn complete_walk_without_a_total_ends_at_an_empty_page() {
        let mut walk = Walk::new();
        assert_eq!(walk.take(&page(&["a"], None)), Step::Ask(2));
        assert_eq!(walk.take(&page(&[], None)), Step::Complete { distrusted: false });
    }

    #[test]
    fn complete_walk_needs_the_same_total_at_both_ends() {
        let mut walk = Walk::new();
        assert_eq!(walk.take(&page(&["a", "b"], Some(3))), Step::Ask(2));
        // A row came in meanwhile: the second page shows what moved down, and the new one was on the first.
        assert_eq!(walk.take(&page(&["b", "c"], Some(4))), Step::Ask(3));
        assert_eq!(walk.take(&page(&[], Some(4))), Step::Ask(1));
        assert_eq!(walk.take(&page(&["d", "a"], Some(4))), Step::Ask(2));
        assert_eq!(walk.take(&page(&["b", "c"], Some(4))), Step::Complete { distrusted: false });
    }

    #[test]
    fn complete_walk_distrusts_a_total_that_is_missed_twice_alike() {
        let mut walk = Walk::new();
        for expected in [Step::Ask(1), Step::Complete { distrusted: true }] {
            assert_eq!(walk.take(&page(&["a", "b"], Some(3))), Step::Ask(2));
            assert_eq!(walk.take(&page(&[], Some(3))), expected);
        }
    }

    #[test]
    fn complete_walk_gives_up_after_three_different_passes() {
        let mut walk = Walk::new();
        for (id, expected) in [("a", Step::Ask(1)), ("b", Step::Ask(1)), ("c", Step::Incomplete)] {
            assert_eq!(walk.take(&page(&[id], Some(2))), Step::Ask(2));
            assert_eq!(walk.take(&page(&[], Some(2))), expected);
        }
    }

    #[test]
    fn complete_walk_ends_where_the_last_page_is_repeated_for_ever() {
        let mut walk = Walk::new();
        for expected in [Step::Ask(1), Step::Complete { distrusted: true }] {
            assert_eq!(walk.take(&page(&["a"], None)), Step::Ask(2));
            assert_eq!(walk.take(&page(&["a"], None)), Step::Ask(3));
            assert_eq!(walk.take(&page(&["a"], None)), expected);
        }
    }

    #[test]
    fn complete_walk_gives_up_where_the_pages_never_end() {
        let mut walk = Walk::new();
        let mut pages = 1;
        while walk.take(&page(&[&format!("id {pages}")], None)) == Step::Ask(pages + 1) {
            pages += 1;
            assert!(pages < 100_000, "no end");
        }
        assert_eq!(pages, MOST_PAGES);
    }

    #[test]
    fn complete_walk_is_not_claimed_over_a_page_that_could_not_be_read() {
        let mut walk = Walk::new();
        assert_eq!(walk.take(&page(&["a", "b"], Some(5))), Step::Ask(2));
        assert_eq!(walk.skip(), Step::Ask(3));
        assert_eq!(walk.take(&page(&["e"], Some(5))), Step::Ask(4));
        assert_eq!(walk.take(&page(&[], Some(5))), Step::Incomplete);
    }
}
