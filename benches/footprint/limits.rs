//! What is wanted of the exporter, and whether it held.

/// MiB of the stripped binary.
pub(super) const BINARY: f64 = 15.0;
/// MiB resident at work, after few polls.
pub(super) const RESIDENT: f64 = 12.0;
/// Resident after many polls, as a multiple of what it was after few.
pub(super) const GROWTH: f64 = 1.1;
/// Time from exec to the first `/metrics`, as a multiple of what an exporter written in Go takes.
pub(super) const START: f64 = 0.5;

/// Judges figures; a debug build, whose figures mean nothing, is not judged.
pub(super) struct Limits {
    pub(super) judge: bool,
    pub(super) broken: usize,
}

impl Limits {
    /// Prints what the limit is and whether this keeps it.
    pub(super) fn at_most(&mut self, what: &str, figure: f64, limit: f64) {
        if !self.judge {
            return;
        }
        let kept = figure <= limit;
        println!("limit {limit} for {what}, {figure:.2}: {}", if kept { "kept" } else { "BROKEN" });
        if !kept {
            self.broken += 1;
        }
    }
}
