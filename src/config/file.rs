//! The configuration file: `section:` above `name: value`, or `section.name: value`.

use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use super::given::{Given, Layer, Source, shown, shown_key, swallowed};
use super::problem::Problem;
use super::settings::{SETTINGS, Setting, instead_of, setting};
use super::yaml::{self, Bare, Node};

/// What a file says, and what is wrong with it.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) layer: Layer,
    pub(super) problems: Vec<Problem>,
    /// The file could not be read at all, so what is missing may well be in it.
    pub(super) unreadable: bool,
}

/// Reads the file.
pub(super) fn read(path: &Path, read_file: &dyn Fn(&Path) -> io::Result<String>) -> Contents {
    let name = path.display().to_string();
    let document = match read_file(path) {
        Ok(text) => yaml::parse(&Zeroizing::new(text)).map_err(|why| format!("it is not YAML: {why}")),
        Err(error) => Err(format!("the file cannot be read: {error}")),
    };
    let mut reading = Reading { name, contents: Contents::default() };
    match document {
        Ok(Node::Map(entries)) => reading.walk("", entries),
        Ok(Node::Null) => {}
        Ok(_) => reading.refuse("config.file", "sections with settings below are wanted, like `api:` and `  url: ...`"),
        Err(why) => {
            reading.contents.unreadable = true;
            reading.refuse("config.file", &why);
        }
    }
    reading.contents
}

struct Reading {
    name: String,
    contents: Contents,
}

impl Reading {
    fn refuse(&mut self, key: &str, what: &str) {
        let key = match shown_key(key) {
            "" => "config.file",
            key => key,
        };
        let problem =
            Problem { key: key.to_owned(), value: None, place: Some(self.name.clone()), what: what.to_owned() };
        self.contents.problems.push(problem);
    }

    /// Takes in the entries of a map whose own key is `prefix`.
    fn walk(&mut self, prefix: &str, entries: Vec<(Node, Node)>) {
        let mut seen: Vec<String> = Vec::new();
        for (name, value) in entries {
            let (Node::Text(name) | Node::Bare(Bare { written: name, .. })) = name else {
                let whose = if prefix.is_empty() { "config.file" } else { prefix };
                self.refuse(whose, "a key must be a word");
                continue;
            };
            let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            let doubled = seen.contains(&key) || self.contents.layer.contains_key(key.as_str());
            seen.push(key.clone());
            if doubled {
                self.refuse(&key, "it is given twice; keep one");
            } else {
                self.take(key, value);
            }
        }
    }

    fn take(&mut self, key: String, value: Node) {
        let is_section = SETTINGS.iter().any(|setting| setting.section() == key);
        match (setting(&key), value) {
            (Some(setting), value) => self.take_setting(setting, value),
            (None, Node::Map(entries)) if !entries.is_empty() => self.walk(&key, entries),
            (None, Node::Null | Node::Map(_)) if is_section => {}
            (None, _) if is_section => self.refuse(&key, "this is a section: its settings stand below it"),
            // The value is not shown: the key that was meant may be a secret.
            (None, _) => {
                let instead = swallowed(&key).map_or_else(|| instead_of(shown_key(&key)), ToOwned::to_owned);
                let what = format!("unknown key; {instead}");
                self.refuse(&key, &what);
            }
        }
    }

    fn take_setting(&mut self, setting: &'static Setting, value: Node) {
        let key = setting.key;
        let text = match value {
            // A value left blank says nothing, as if its line were not there.
            Node::Null => return,
            Node::Map(_) => return self.refuse(key, "a value is wanted, not a section"),
            Node::List(_) if !setting.kind.is_list() => return self.refuse(key, "one value is wanted, not a list"),
            Node::List(items) => items.into_iter().map(|item| self.scalar(setting, item)).collect::<Option<Vec<_>>>(),
            scalar => self.scalar(setting, scalar).map(|text| vec![text]),
        };
        if let Some(mut texts) = text {
            // One alone is moved, not copied: it may be a secret.
            let text = if texts.len() == 1 { texts.swap_remove(0) } else { texts.join(",") };
            let given = Given { text: text.into(), source: Source::File(self.name.clone()) };
            self.contents.layer.insert(key, given);
        }
    }

    fn scalar(&mut self, setting: &Setting, node: Node) -> Option<String> {
        let problem = match node {
            Node::Text(text) => return Some(text),
            Node::Bare(Bare { value, .. }) if !setting.kind.is_text() => return Some(value),
            // Nothing else can be meant by plain digits. Of `1.2e+06` it is not known what it was before some program
            // wrote it so.
            Node::Bare(Bare { written, .. }) if written.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Some(written);
            }
            Node::Bare(Bare { written, .. }) => Problem {
                key: setting.key.to_owned(),
                value: Some(shown(setting, &written)),
                place: Some(self.name.clone()),
                what: "YAML takes this for a number or a truth value; put it in quotes".to_owned(),
            },
            Node::Null | Node::List(_) | Node::Map(_) => {
                self.refuse(setting.key, "the list must hold plain values");
                return None;
            }
        };
        self.contents.problems.push(problem);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> (Vec<String>, Vec<String>) {
        let contents = read(Path::new("c.yml"), &|_| Ok(text.to_owned()));
        let values = contents.layer.iter().map(|(key, given)| format!("{key}={}", *given.text)).collect();
        (values, contents.problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn settings_are_found() {
        for (text, found) in [
            ("", vec![]),
            ("---\napi:\n", vec![]),
            ("api: {}\n", vec![]),
            ("api:\n  url: https://x\n", vec!["api.url=https://x"]),
            ("api.url: https://x\n", vec!["api.url=https://x"]),
            ("api: {client_id: }\n", vec![]),
            ("state: {path: ''}\n", vec!["state.path="]),
            (
                "api: {client_id: '1e3', page_size: 20, requests_per_second: 0.5}\n",
                vec!["api.client_id=1e3", "api.page_size=20", "api.requests_per_second=0.5"],
            ),
            (
                "api: {client_id: 1234567, client_secret: 0012, account: 340282366920938463463374607431768211456}\n",
                vec![
                    "api.account=340282366920938463463374607431768211456",
                    "api.client_id=1234567",
                    "api.client_secret=0012",
                ],
            ),
            ("poll: {count_initial: true}\n", vec!["poll.count_initial=true"]),
            ("metrics: {reply_time_buckets: [5s, 1m]}\n", vec!["metrics.reply_time_buckets=5s,1m"]),
            (
                "metrics: {reply_time_buckets: 5s, duration_buckets: '5s, 1m'}\n",
                vec!["metrics.duration_buckets=5s, 1m", "metrics.reply_time_buckets=5s"],
            ),
            ("metrics: {reply_target_excluded_origins: []}\n", vec!["metrics.reply_target_excluded_origins="]),
            ("x: &u https://x\n", vec![]),
            ("api: {url: &u https://x, path: *u}\n", vec!["api.path=https://x", "api.url=https://x"]),
        ] {
            assert_eq!(parse(text).0, found, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, problem) in [
            ("api: {ulr: x}", "api.ulr (c.yml): unknown key; did you mean api.url?"),
            ("apis: {url: x}", "apis.url (c.yml): unknown key; did you mean api.url?"),
            ("polling:", "polling (c.yml): unknown key; did you mean poll?"),
            ("url: x", "url (c.yml): unknown key; did you mean api.url?"),
            ("api: {deep: {url: x}}", "api.deep.url (c.yml): unknown key; did you mean api.url?"),
            ("12: x", "12 (c.yml): unknown key; --help lists all settings"),
            ("api: {url: a, url: b}", "api.url (c.yml): it is given twice; keep one"),
            ("api: {url: a}\napi: {path: /b}", "api (c.yml): it is given twice; keep one"),
            ("api: {url: a}\napi.url: b", "api.url (c.yml): it is given twice; keep one"),
            ("api: 5", "api (c.yml): this is a section: its settings stand below it"),
            ("api: {url: {a: b}}", "api.url (c.yml): a value is wanted, not a section"),
            ("api: {url: [a]}", "api.url (c.yml): one value is wanted, not a list"),
            (
                "metrics: {duration_buckets: [[5s]]}",
                "metrics.duration_buckets (c.yml): the list must hold plain values",
            ),
            (
                "api: {client_id: 1e3}",
                "api.client_id = \"1e3\" (c.yml): YAML takes this for a number or a truth value; put it in quotes",
            ),
            (
                "api: {client_secret: 0x12345}",
                "api.client_secret = <secret> (c.yml): YAML takes this for a number or a truth value; put it in quotes",
            ),
            (
                "api: {client_secret:hunter2}",
                "api.client_secret (c.yml): unknown key; a blank is wanted behind the colon",
            ),
            ("api: {client_secret=hunter2}", "api.client_secret (c.yml): unknown key; a colon and a blank are wanted"),
            (
                "api: {client_secret hunter2: x}",
                "api.client_secret (c.yml): unknown key; did you mean api.client_secret?",
            ),
            ("api: {client_secret:hunter2: {x: y}}", "api.client_secret (c.yml): unknown key; a blank is wanted"),
            (
                "api: {client_secret:hunter2: {x: {}, x: {}}}",
                "api.client_secret (c.yml): unknown key; a blank is wanted",
            ),
            (":hunter2: x", "config.file (c.yml): unknown key; a blank is wanted behind the colon"),
            ("? [a]\n: b", "config.file (c.yml): a key must be a word"),
            ("api: {? [a] : b}", "api (c.yml): a key must be a word"),
            ("- a", "config.file (c.yml): sections with settings below are wanted"),
            ("a: [", "config.file (c.yml): it is not YAML: "),
            (
                "\tapi: x",
                "config.file (c.yml): it is not YAML: line 1 begins with a tab, where YAML takes blanks alone",
            ),
            ("api:\n \turl: x", "config.file (c.yml): it is not YAML: line 2 begins with a tab"),
            ("api: `x", "config.file (c.yml): it is not YAML: found character that cannot start any token at line 1"),
        ] {
            let problems = parse(text).1;
            assert!(problems[0].starts_with(problem), "{text}: {problems:#?}");
            assert!(problems.len() == 1 || text.contains("hunter2"), "{text}: {problems:#?}");
            assert!(!problems.iter().any(|problem| problem.contains("hunter2")), "{text}: {problems:#?}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let contents = read(Path::new("/no/c.yml"), &|_| Err(io::ErrorKind::NotFound.into()));
        assert!(contents.unreadable);
        assert_eq!(
            contents.problems[0].to_string(),
            "config.file (/no/c.yml): the file cannot be read: entity not found"
        );
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC*|((api|poll|url|[a-c]|\\PC)(:|: |\\.|\n  |\n|\\{|\\}|\\[|\\]|,)){0,20}") {
            parse(&text);
        }
    }
}
