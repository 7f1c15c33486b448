//! What a poll costs: its requests beside the fewest that could do, and its time and written bytes as the ledger grows.
//!
//! `cargo bench --bench requests`. The real poller runs in paused time against an upstream made of values; without
//! `--bench` everything is small. A table that shows more than the bounds below ends in a panic.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

mod driver;
mod fewest;
mod growth;
mod requests;
mod world;

/// Requests of a poll, slow work apart, over the fewest that could do.
const MOST_OVER_FEWEST: f64 = 1.2;

fn main() {
    let whole = std::env::args().any(|word| word == "--bench");
    let (records, sizes): (_, &[usize]) =
        if whole { (100_000, &[10_000, 100_000, 1_000_000]) } else { (5_000, &[1_000, 3_000]) };
    requests::table(records, if whole { 30 } else { 5 });
    println!();
    growth::table(sizes, if whole { 90 } else { 15 });
}
