//! What holds for every configuration file.

use super::*;

const SECRET: &str = "JELOU_EXPORTER_API_CLIENT_SECRET";
/// Shorter ones may well stand somewhere else by chance.
const LONG_ENOUGH: usize = 8;

/// A file is taken or refused, the same each time. A refusal names a key and never a secret; what is taken shows none.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let plain = read(&text, None);
    assert_eq!(format!("{plain:?}"), format!("{:?}", read(&text, None)), "read twice");
    match &plain {
        Ok(config) => check_taken(config, &text),
        Err(problems) => {
            assert!(problems.iter().count() > 0);
            problems.iter().for_each(check_problem);
        }
    }
    // Whatever the secret is, it makes no difference to anything that is shown.
    let [one, other] = ["first-of-two", "second-of-2"].map(|secret| format!("{:?}", read(&text, Some(secret))));
    assert_eq!(one, other, "a secret is shown");
}

fn read(text: &str, secret: Option<&str>) -> Result<Config, Problems> {
    let mut env = BTreeMap::from([("JELOU_EXPORTER_API_CLIENT_ID".to_owned(), "me".to_owned())]);
    env.extend(secret.map(|secret| (SECRET.to_owned(), secret.to_owned())));
    let read_file = |path: &Path| match path.to_str() {
        Some("c.yml") => Ok(text.to_owned()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let file = Some(PathBuf::from("c.yml"));
    Config::read(Sources { flags: BTreeMap::new(), env: &env, file, read_file: &read_file, profile: Profile::RUN })
}

fn check_problem(problem: &Problem) {
    assert!(!problem.key.is_empty() && !problem.what.is_empty(), "{problem:?}");
    if settings::setting(&problem.key).is_none_or(|setting| setting.secret) {
        // An unknown key may be meant to be a secret one.
        assert!(problem.value.as_deref().is_none_or(|value| value == Secret::SHOWN), "{problem:?}");
    }
}

fn check_taken(config: &Config, text: &str) {
    let shown = format!("{config:?}{:?}", config.warnings);
    let secret = config.api.client_secret.as_ref().map_or("", Secret::expose);
    let only_there = text.matches(secret).take(2).count() == 1 && !defaults().contains(secret);
    if secret.len() >= LONG_ENOUGH && only_there {
        assert!(!shown.contains(secret), "{shown}");
    }
}

/// What is shown when nothing is set.
fn defaults() -> String {
    format!("{:?}", read("", Some("first-of-two")))
}
