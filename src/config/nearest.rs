//! What was probably meant.

/// The candidate most like `text`; `None` if there is no candidate at all.
pub(super) fn nearest<'a>(text: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let written = text.to_lowercase();
    let likeness = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        // A right name in a wrong section should still be found, if nothing is nearer as a whole.
        let names = strsim::jaro_winkler(name(&written), name(&candidate));
        strsim::jaro_winkler(&written, &candidate).max(names * 0.9)
    };
    candidates.map(|candidate| (likeness(candidate), candidate)).max_by(|a, b| a.0.total_cmp(&b.0)).map(|found| found.1)
}

/// The part behind the last dot.
fn name(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}
