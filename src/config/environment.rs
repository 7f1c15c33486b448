//! The exporter's own environment variables. An empty one is a value; what begins like ours and is not ours is an error.

use std::collections::BTreeMap;

use super::given::{Given, Layer, Source};
use super::problem::Problem;
use super::settings::{ENV_PREFIX, SETTINGS, Setting, variable_instead_of};

/// Names with our prefix that are no settings: the file, and the commit that the build is told.
pub(super) const CONFIG_FILE: &str = "JELOU_EXPORTER_CONFIG_FILE";
const REVISION: &str = "JELOU_EXPORTER_REVISION";

/// Reads the environment. What `ignored` says is none of the command's business is passed over, known or not.
pub(super) fn read(env: &BTreeMap<String, String>, ignored: &dyn Fn(&str) -> bool) -> (Layer, Vec<Problem>) {
    let known: BTreeMap<String, &'static Setting> = SETTINGS.iter().map(|setting| (setting.env(), setting)).collect();
    let mut layer = Layer::new();
    let mut problems = Vec::new();
    for (name, text) in env.iter().filter(|(name, _)| name.starts_with(ENV_PREFIX)) {
        match known.get(name) {
            Some(setting) => {
                layer.insert(
                    setting.key,
                    Given { text: text.clone().into(), source: Source::Environment(name.clone()) },
                );
            }
            None if name == CONFIG_FILE || name == REVISION || is_service_link(name, text) => {}
            None if ignored(&key_of(name)) => {}
            // The value is not shown: the name that was meant may be that of a secret.
            None => {
                let what = format!("unknown environment variable; {}", variable_instead_of(&key_of(name)));
                problems.push(Problem { key: name.clone(), value: None, place: None, what });
            }
        }
    }
    (layer, problems)
}

/// Variables that mean something and whose values are no text, apart from those that `ignored` passes over.
pub(super) fn unreadable(names: &[String], ignored: &dyn Fn(&str) -> bool) -> Vec<Problem> {
    let problem = |name: &String| {
        let (key, place) = match SETTINGS.iter().find(|setting| setting.env() == *name) {
            Some(setting) if ignored(setting.key) => return None,
            Some(setting) => (setting.key.to_owned(), Some(name.clone())),
            None => (name.clone(), None),
        };
        Some(Problem { key, value: None, place, what: "the value is not UTF-8".to_owned() })
    };
    names.iter().filter_map(problem).collect()
}

/// The key that a name with our prefix would be that of.
fn key_of(name: &str) -> String {
    name[ENV_PREFIX.len()..].to_lowercase().replacen('_', ".", 1)
}

/// Whether Kubernetes has put the variable there: a Service named `jelou-exporter` gives every pod of its namespace
/// `JELOU_EXPORTER_SERVICE_HOST`, `JELOU_EXPORTER_PORT_10110_TCP` and the like.
fn is_service_link(name: &str, value: &str) -> bool {
    let parts: Vec<&str> = name[ENV_PREFIX.len()..].split('_').collect();
    let address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    (address && parts.last() == Some(&"PORT"))
        || parts.windows(2).any(|pair| pair[0] == "SERVICE" && matches!(pair[1], "HOST" | "PORT"))
        || parts
            .windows(3)
            .any(|three| three[0] == "PORT" && number(three[1]) && matches!(three[2], "TCP" | "UDP" | "SCTP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let env = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (layer, problems) = read(&env, &|key| key.starts_with("web."));
        let values = layer.iter().map(|(key, given)| format!("{key}={}", *given.text)).collect();
        (values, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_empty_variable_is_a_value_and_others_are_left_alone() {
        let (values, problems) = parse(&[("JELOU_EXPORTER_STATE_PATH", ""), ("PATH", "/bin"), ("JELOU_API_URL", "x")]);
        assert_eq!((values, problems), (vec!["state.path=".to_owned()], vec![]));
    }

    #[test]
    fn an_unknown_variable_is_named_without_its_value() {
        let (_, problems) = parse(&[("JELOU_EXPORTER_API_CLIENT_SECRT", "hunter2"), ("JELOU_EXPORTER_", "")]);
        assert_eq!(problems.len(), 2);
        assert_eq!(
            problems[1],
            "JELOU_EXPORTER_API_CLIENT_SECRT: unknown environment variable; did you mean JELOU_EXPORTER_API_CLIENT_SECRET?"
        );
    }

    #[test]
    fn a_name_cut_short_is_understood() {
        let (_, problems) = parse(&[("JELOU_EXPORTER_API_SECRET", "hunter2")]);
        let meant = "did you mean JELOU_EXPORTER_API_CLIENT_SECRET?";
        assert_eq!(problems, [format!("JELOU_EXPORTER_API_SECRET: unknown environment variable; {meant}")]);
    }

    #[test]
    fn what_kubernetes_and_the_build_put_there_is_passed_over() {
        let (values, problems) = parse(&[
            ("JELOU_EXPORTER_SERVICE_HOST", "10.0.0.1"),
            ("JELOU_EXPORTER_SERVICE_PORT", "10110"),
            ("JELOU_EXPORTER_SERVICE_PORT_HTTP", "10110"),
            ("JELOU_EXPORTER_PORT", "tcp://10.0.0.1:10110"),
            ("JELOU_EXPORTER_PORT_10110_TCP", "tcp://10.0.0.1:10110"),
            ("JELOU_EXPORTER_PORT_10110_TCP_PROTO", "tcp"),
            ("JELOU_EXPORTER_PORT_10110_TCP_ADDR", "10.0.0.1"),
            ("JELOU_EXPORTER_METRICS_PORT_10110_TCP_PORT", "10110"),
            ("JELOU_EXPORTER_REVISION", "abc"),
            ("JELOU_EXPORTER_CONFIG_FILE", "c.yml"),
            ("JELOU_EXPORTER_WEB_NO_MATTER", ""),
        ]);
        assert!(values.is_empty() && problems.is_empty(), "{problems:?}");
        assert_eq!(parse(&[("JELOU_EXPORTER_API_PORT", "80")]).1.len(), 1);
    }
}
