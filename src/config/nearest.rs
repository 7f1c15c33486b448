//! What was probably meant.

/// The candidate most like `text`; `None` if there is no candidate at all.
pub(crate) fn nearest<'a>(text: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    near(text, 0.0, candidates)
}

/// The candidate most like `text`, if it is at least so alike, from 0 to 1.
pub(super) fn near<'a>(text: &str, least: f64, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let written = text.to_lowercase();
    let (written_section, written_name) = split(&written);
    let likeness = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let (section, name) = split(&candidate);
        let whole = strsim::jaro_winkler(&written, &candidate);
        // A name cut short (`secret` for `client_secret`, `Guayaquil` for `America/Guayaquil`) says more than letters do.
        let cut_short = written_name.len() >= 3
            && (written_section.is_empty() || written_section == section)
            && name.contains(written_name);
        if cut_short {
            return 0.9 + 0.1 * whole;
        }
        // A right name in a wrong section should still be found, if nothing is nearer as a whole.
        whole.max(strsim::jaro_winkler(written_name, name) * 0.9)
    };
    let alike = candidates.map(|candidate| (likeness(candidate), candidate)).filter(|found| found.0 >= least);
    alike.max_by(|a, b| a.0.total_cmp(&b.0)).map(|found| found.1)
}

/// What stands before and behind the last dot of a key, or the last slash of a time zone.
fn split(key: &str) -> (&str, &str) {
    key.rsplit_once(['.', '/']).unwrap_or(("", key))
}
