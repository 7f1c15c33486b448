//! What is known about credentials that the upstream refuses. Of the secret itself nothing is said.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};
use std::{fs, io};

use super::credentials::Credentials;
use crate::config::duration::format_duration;
use crate::domain::time::UnixMillis;

impl Credentials {
    /// Where they come from, how old they are, and whether they ever worked.
    pub(super) fn hint(&self, now: UnixMillis) -> String {
        let accepted = match self.accepted_at() {
            None => "the upstream has not accepted them since they were read".to_owned(),
            Some(at) => format!("the upstream accepted them {}", ago(now, at)),
        };
        let source = match self.file() {
            None => "the secret is that of api.client_secret".to_owned(),
            Some(path) => match changed_at(path) {
                Ok(at) => format!("the secret's file {} was last changed {}", path.display(), ago(now, at)),
                Err(error) => format!("the secret's file {} cannot be looked at: {error}", path.display()),
            },
        };
        let mut hint = format!("{accepted}; {source}");
        if self.has_blank_ends() {
            hint.push_str("; the secret begins or ends with a blank");
        }
        hint
    }
}

fn changed_at(path: &Path) -> io::Result<UnixMillis> {
    let since = fs::metadata(path)?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

/// `3d ago`: the largest unit says enough.
fn ago(now: UnixMillis, then: UnixMillis) -> String {
    let seconds = u64::try_from(now.since(then) / 1000).unwrap_or(0);
    let unit = [86_400, 3600, 60].into_iter().find(|unit| seconds >= *unit).unwrap_or(1);
    match seconds {
        0 => "just now".to_owned(),
        seconds => format!("{} ago", format_duration(Duration::from_secs(seconds / unit * unit))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_by_its_largest_unit() {
        let now = UnixMillis::from_seconds(1_000_000);
        for (seconds, told) in
            [(-5, "just now"), (0, "just now"), (59, "59s ago"), (61, "1m ago"), (7199, "1h ago"), (300_000, "3d ago")]
        {
            assert_eq!(ago(now, now - seconds * 1000), told);
        }
    }
}
