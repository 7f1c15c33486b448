//! Markup that nothing can break out of: only what is written in this program's own code is taken as it is.

use std::fmt::{self, Display, Write as _};

use crate::domain::time::UnixMillis;

use super::words;

/// Longest name that is shown whole, in characters.
const LONGEST_NAME: usize = 80;

/// A piece of the page.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Markup as it stands in the code.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Anything else, safe as text and inside a quoted attribute.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Self {
        // Writing to a string cannot fail.
        let _ = write!(Escaped(&mut self.0), "{text}");
        self
    }

    /// A name from outside: cut when it is very long, and kept from turning the text around it from right to left.
    pub(super) fn name(&mut self, name: &str) -> &mut Self {
        if name.trim().is_empty() {
            return self.raw("<i class=\"none\">no name</i>");
        }
        self.raw("<bdi>").text(cut(name)).raw("</bdi>")
    }

    /// An instant, as short as it can be told at `now`.
    pub(super) fn instant(&mut self, at: UnixMillis, now: UnixMillis) -> &mut Self {
        self.raw("<time datetime=\"").text(words::rfc3339(at)).raw("\">").text(words::instant(at, now)).raw("</time>")
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

/// The name, or as much of it as is shown.
pub(super) fn cut(name: &str) -> String {
    match name.char_indices().nth(LONGEST_NAME) {
        Some((cut, _)) => format!("{}…", &name[..cut]),
        None => name.to_owned(),
    }
}

struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            match char {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(char),
                // Neither HTML nor SVG allows these; what has them is shown to have something.
                '\u{fffe}' | '\u{ffff}' => self.0.push('\u{fffd}'),
                _ if char.is_control() => self.0.push('\u{fffd}'),
                _ => self.0.push(char),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(make: impl FnOnce(&mut Html) -> &mut Html) -> String {
        let mut html = Html::default();
        make(&mut html);
        html.into_string()
    }

    #[test]
    fn what_could_be_markup_is_text() {
        let evil = "</script><b a=\"1\" b='2'>&\0\u{85}\u{ffff}é\n";
        let told = made(|html| html.text(evil));
        assert_eq!(told, "&lt;/script&gt;&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;\u{fffd}\u{fffd}\u{fffd}é\n");
    }

    #[test]
    fn names_are_isolated_and_have_an_end() {
        assert_eq!(made(|html| html.name("a<b")), "<bdi>a&lt;b</bdi>");
        assert_eq!(made(|html| html.name(" \t")), "<i class=\"none\">no name</i>");
        let long = made(|html| html.name(&"ñ".repeat(5000)));
        assert_eq!(long.chars().filter(|char| *char == 'ñ').count(), LONGEST_NAME);
        assert!(long.ends_with("…</bdi>"));
    }
}
