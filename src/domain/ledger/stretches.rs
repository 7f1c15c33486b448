//! What has to be asked for again: the unsettled conversations that this poll has not read yet, in few requests.

use super::{Ledger, PollNumber};
use crate::domain::time::Range;

/// No wider than this, seconds, are ranges made by joining them.
const WIDEST: i64 = 6 * 3600;

/// A range that is to be walked for the sake of the unsettled conversations in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// What to ask for.
    pub range: Range,
    /// Whether the range was chosen by the starts of the records.
    pub narrow: bool,
    /// The poll that last read the one of its conversations that has waited longest.
    pub read_in: PollNumber,
}

impl Ledger {
    /// The stretches that are due in this poll, least recently read first; none begins before `floor`.
    ///
    /// Conversations that can be asked for at their own start share a request as long as no more than `page_size`
    /// known ones lie between the first and the last of them, so that the answer fits one page.
    pub fn due_stretches(&self, floor: i64, page_size: u32) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut ranges: Vec<Stretch> = Vec::new();
        let most = u64::from(page_size);
        let mut known = 0;
        for (_, slot) in &self.unsettled {
            let Some(entry) = self.entries.get(*slot) else { continue };
            if entry.vanished || entry.read_in == self.poll || entry.known_range().end < floor {
                continue;
            }
            if !entry.asks_narrow() {
                ranges.push(Stretch {
                    range: from(floor, entry.listed_in.get()),
                    narrow: false,
                    read_in: entry.read_in,
                });
                continue;
            }
            let own = from(floor, entry.around_start());
            if let Some(last) = stretches.last_mut() {
                let reached = known + self.known_between(last.range.end + 1, own.end, most);
                if reached <= most {
                    known = reached;
                    last.range.end = own.end;
                    last.read_in = last.read_in.min(entry.read_in);
                    continue;
                }
            }
            known = self.known_between(own.start, own.end, most);
            stretches.push(Stretch { range: own, narrow: true, read_in: entry.read_in });
        }
        stretches.extend(joined(ranges));
        stretches.sort_by_key(|stretch| (stretch.read_in, stretch.range));
        stretches
    }

    /// How many known conversations started from `first` to `last`; it counts no further than beyond `most`.
    fn known_between(&self, first: i64, last: i64, most: u64) -> u64 {
        self.starts.between(first, last, most)
    }
}

fn from(floor: i64, range: Range) -> Range {
    Range::new(range.start.max(floor), range.end.max(floor))
}

/// Overlapping ranges are asked for as one: what one of them lists, their union lists too. Not without end, for a walk
/// is folded when it is over, and the slices of a sweep all share their border seconds.
fn joined(mut ranges: Vec<Stretch>) -> Vec<Stretch> {
    ranges.sort_by_key(|stretch| stretch.range);
    let mut joined: Vec<Stretch> = Vec::new();
    for stretch in ranges {
        match joined.last_mut() {
            Some(last) if stretch.range.start <= last.range.end && stretch.range.end - last.range.start <= WIDEST => {
                last.range.end = last.range.end.max(stretch.range.end);
                last.read_in = last.read_in.min(stretch.read_in);
            }
            _ => joined.push(stretch),
        }
    }
    joined
}
