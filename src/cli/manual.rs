//! What is printed about the command line itself: help that fits a terminal, completions, the manual page.

use std::io;

use clap_complete::Shell;

use super::{NAME, parser};
use crate::config::Profile;

/// Help fits a terminal of 80 columns, of which clap indents it by 10.
const COLUMNS: usize = 70;

/// Text with line ends, so that no line is longer than the help has columns for.
pub(super) fn wrapped(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let mut out = String::new();
        let mut length = 0;
        for word in line.split(' ') {
            let word_length = word.chars().count();
            if length > 0 {
                let fits = length + 1 + word_length <= COLUMNS;
                out.push(if fits { ' ' } else { '\n' });
                length = if fits { length + 1 } else { 0 };
            }
            out.push_str(word);
            length += word_length;
        }
        out
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What does not hold for a command of what the help says of each setting.
pub(super) fn differences(profile: &Profile) -> String {
    let lines = |title: &str, settings: &mut dyn Iterator<Item = (&str, &str)>| {
        let shown = |value: &str| if value.is_empty() { "\"\"".to_owned() } else { value.to_owned() };
        let lines: String = settings.map(|(key, value)| format!("\n  {key}: {}", shown(value))).collect();
        (!lines.is_empty()).then(|| format!("{title}{lines}"))
    };
    let defaults = lines("Defaults of this command:", &mut profile.defaults().iter().copied());
    let decided = lines("Decided by this command, whatever is set:", &mut profile.decided());
    defaults.into_iter().chain(decided).collect::<Vec<_>>().join("\n")
}

/// The script that lets this shell complete commands and flags.
pub(super) fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut parser(), NAME, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    // For bash it takes the hyphen of the name for the border of a subcommand, in one of two places that have to agree.
    script.replace("jelou__subcmd__exporter", "jelou__exporter")
}

/// The manual page, in roff.
pub(super) fn manual() -> io::Result<String> {
    let mut page = Vec::new();
    // It leaves out what `-h` does, which is meant to be short.
    let whole = parser().mut_args(|arg| arg.hide_short_help(false));
    let names: Vec<String> = whole.get_subcommands().map(|command| command.get_name().replace('-', "\\-")).collect();
    clap_mangen::Man::new(whole).render(&mut page)?;
    let page = String::from_utf8_lossy(&page).into_owned();
    // It takes for granted that each command has a page of its own.
    Ok(names.iter().fold(page, |page, name| page.replace(&format!("jelou\\-exporter\\-{name}(1)"), name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_between_words() {
        let text = "word ".repeat(40);
        assert!(wrapped(text.trim()).lines().all(|line| line.len() <= COLUMNS && !line.ends_with(' ')));
        assert_eq!(wrapped(text.trim()).replace('\n', " "), text.trim());
        assert_eq!(wrapped("a\nb"), "a\nb");
        assert_eq!(wrapped(&"x".repeat(100)), "x".repeat(100));
    }
}
