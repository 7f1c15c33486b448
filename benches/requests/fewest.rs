//! The fewest requests with which a poll could read what it has to, reckoned from the world itself.

use jelou_exporter::domain::time::{Range, UnixMillis};
use jelou_exporter::domain::walk::{Step, Walk};

use crate::world::{PAGE, World};

/// Pages of the newest stretch, and the least number of runs of 50 consecutive records that cover the open ones before it.
pub(crate) fn fewest(world: &World, newest: Range, oldest: i64, now: i64) -> (usize, usize) {
    let pages = world.listed(newest, now).len().div_ceil(PAGE).max(1);
    let older = world.listed(Range::new(oldest, newest.start - 1), now);
    let open: Vec<usize> = older.filter(|place| world.open[*place]).collect();
    // best[n]: the least number of runs that cover the first n open ones. A run that covers the n-th as its last one
    // covers some of those before it, and need cover no fewer than it can; all the same, all are tried.
    let mut best = vec![0; open.len() + 1];
    for n in 1..=open.len() {
        let reachable = (0..n).rev().take_while(|first| open[n - 1] - open[*first] < PAGE);
        best[n] = reachable.map(|first| best[first] + 1).min().unwrap_or(usize::MAX);
    }
    (pages, best[open.len()])
}

/// The pages of a walk over everything from `oldest` on.
pub(crate) fn whole_look_back(world: &World, oldest: i64, now: UnixMillis) -> usize {
    let range = Range::new(oldest, now.seconds());
    let mut walk = Walk::new();
    let mut pages = 1;
    loop {
        match walk.take(&world.page(range, pages, now)) {
            Step::Ask(next) => pages = next,
            Step::Complete { .. } => return pages as usize,
            Step::Incomplete => panic!("the world does not shift"),
        }
    }
}
