//! Names of settings, wherever they are written, and the addresses and versions that several files have to agree on.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use jelou_exporter::config::SETTINGS;
use jelou_exporter::config::settings::setting;
use jelou_exporter::domain::catalog::FAMILIES;
use serde_norway::Value;

use super::files::{below, document, documents, path, read, text, texts};
use crate::support::peer::peer;
use crate::support::scratch::Scratch;

/// Where people read or copy names of settings.
const PLACES: [&str; 6] = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "compose.yaml", "deploy", "docs"];
/// What looks like one of ours and is not: flags of the simulator and of other programs, and what a build reads.
const OF_OTHERS: &[&str] = &[
    "api.jelou.ai",
    "--simulator.seed",
    "--simulator.faults",
    "--web.enable-otlp-receiver",
    "--config.file",
    "--web.config.file",
    "JELOU_EXPORTER_CONFIG_FILE",
    "JELOU_EXPORTER_REVISION",
    "JELOU_EXPORTER_UPDATE_README",
    "JELOU_EXPORTER_UPDATE_DASHBOARDS",
];

/// The default of a setting.
fn default(key: &str) -> &'static str {
    setting(key).unwrap().default_text()
}

/// The port that is listened on.
pub(super) fn port() -> u16 {
    default("web.listen_address").rsplit_once(':').unwrap().1.parse().unwrap()
}

/// Whether a word looks like the name of a setting and is none.
fn is_wrong(word: &str) -> bool {
    if OF_OTHERS.contains(&word) {
        return false;
    }
    if let Some(rest) = word.strip_prefix("JELOU_EXPORTER_") {
        // All of them, or those of a section.
        return !rest.is_empty() && !SETTINGS.iter().any(|setting| setting.env() == word);
    }
    let sections = || SETTINGS.iter().map(|setting| setting.section());
    let of_ours =
        |name: &str| name.split_once('.').is_some_and(|(first, _)| sections().any(|section| section == first));
    match word.strip_prefix("--") {
        Some(flag) => of_ours(flag) && !SETTINGS.iter().any(|setting| setting.flag().as_deref() == Some(flag)),
        None => of_ours(word) && !word.ends_with(".md") && !word.ends_with(".rs") && setting(word).is_none(),
    }
}

/// Every file of a place but its pictures, with what it holds.
fn texts_below(place: &str) -> impl Iterator<Item = (PathBuf, String)> {
    let texts = below(place).into_iter().filter(|file| file.extension().is_none_or(|extension| extension != "png"));
    texts.map(|file| (file.clone(), fs::read_to_string(file).unwrap()))
}

/// The words of a text that could be names.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && !"_.-".contains(letter));
    words.map(|word| word.trim_end_matches(['.', '-']))
}

#[test]
fn settings_that_are_named_somewhere_exist() {
    let mut wrong = Vec::new();
    for (file, text) in PLACES.iter().flat_map(|place| texts_below(place)) {
        wrong.extend(words(&text).filter(|word| is_wrong(word)).map(|word| format!("{}: {word}", file.display())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn metrics_that_are_named_somewhere_exist() {
    let named = |word: &str| {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
        // A name that ends in an underscore stands for all that begin so.
        FAMILIES.iter().any(|family| family.name == base || word.ends_with('_') && family.name.starts_with(word))
    };
    assert!(named("jelou_up") && named("jelou_exporter_") && !named("jelou_down"));
    for (file, text) in ["README.md", "docs"].into_iter().flat_map(texts_below) {
        let wrong: Vec<_> = words(&text).filter(|word| word.starts_with("jelou_") && !named(word)).collect();
        assert!(wrong.is_empty(), "{}: {wrong:?}", file.display());
    }
}

#[test]
fn a_wrong_name_is_seen() {
    for word in ["poll.intervall", "--web.listen_address", "--api.client-secret", "JELOU_EXPORTER_POLL", "log.levels"] {
        assert!(is_wrong(word), "{word}");
    }
    for word in ["poll.interval", "--web.listen-address", "JELOU_EXPORTER_", "JELOU_EXPORTER_LOG_LEVEL", "metrics.md"] {
        assert!(!is_wrong(word), "{word}");
    }
    assert_eq!(
        words("`poll.overlap`, --log.level=debug").collect::<Vec<_>>(),
        ["", "poll.overlap", "", "", "--log.level", "debug"]
    );
}

#[test]
fn compose_agrees_with_itself() {
    let compose = document("compose.yaml");
    let services = &compose["services"];
    let ours = format!("exporter:{}", port());
    let prometheus = document("deploy/compose/prometheus.yml");
    let job = &prometheus["scrape_configs"][0];
    assert_eq!(texts(&job["static_configs"][0]["targets"]), [ours.as_str()]);
    assert_eq!(job["metrics_path"].as_str().unwrap_or("/metrics"), default("web.telemetry_path"));
    let exporter = &services["exporter"];
    let listens = text(exporter, &["environment", "JELOU_EXPORTER_WEB_LISTEN_ADDRESS"]);
    assert_eq!(listens, default("web.listen_address"));
    let arguments = texts(&exporter["command"]);
    let pushes_to = arguments.iter().find_map(|argument| argument.strip_prefix("--otlp.endpoint=")).unwrap();
    let collector = document("deploy/compose/otel-collector.yml");
    let receives = text(&collector, &["receivers", "otlp", "protocols", "http", "endpoint"]);
    assert_eq!(pushes_to, receives.replace("0.0.0.0", "http://otel-collector"));
    // Every name that one service calls another by is a service, and it is reachable from this machine alone.
    for source in document("grafana/provisioning/datasources/jelou.yaml")["datasources"].as_sequence().unwrap() {
        let (host, port) = text(source, &["url"]).strip_prefix("http://").unwrap().split_once(':').unwrap();
        assert_eq!(texts(&services[host]["ports"]), [format!("127.0.0.1:{port}:{port}")]);
    }
    for (name, service) in services.as_mapping().unwrap() {
        assert_eq!(service["read_only"].as_bool(), Some(true), "{name:?}");
        assert!(texts(&service["ports"]).iter().all(|port| port.starts_with("127.0.0.1:")), "{name:?}");
    }
    let mounted = texts(&services["grafana"]["volumes"]);
    let folder = document("grafana/provisioning/dashboards/jelou.yaml");
    let folder = text(&folder["providers"][0], &["options", "path"]);
    assert!(mounted.contains(&format!("./grafana/dashboards:{folder}:ro")), "{mounted:?}");
}

#[test]
fn images_are_of_the_versions_that_are_tested() {
    let compose = document("compose.yaml");
    let image = |service: &str| text(&compose["services"], &[service, "image"]).rsplit_once(':').unwrap().1.to_owned();
    let module = |file: &str, name: &str| {
        let line = read(file).lines().find_map(|line| line.split_once(name).map(|(_, rest)| rest.to_owned()));
        line.unwrap().split_whitespace().next().unwrap().to_owned()
    };
    // v0.316.0 of the module is Prometheus 3.16.0.
    let prometheus = image("prometheus");
    let [major, minor, patch] = prometheus.trim_start_matches('v').split('.').collect::<Vec<_>>()[..] else { panic!() };
    let pinned = module("tests/peers/go.mod", "require github.com/prometheus/prometheus ");
    assert_eq!(pinned, format!("v0.{major}{minor:0>2}.{patch}"));
    let told = document("grafana/provisioning/datasources/jelou.yaml");
    assert_eq!(text(&told["datasources"][0], &["jsonData", "prometheusVersion"]), format!("{major}.{minor}.{patch}"));
    let collector = module("tests/peers/collector/go.mod", "go.opentelemetry.io/collector/otelcol ");
    assert_eq!(collector, format!("v{}", image("otel-collector")));
    let alertmanager = module("tests/peers/alertmanager/go.mod", "require github.com/prometheus/alertmanager ");
    assert_eq!(alertmanager, image("alertmanager"));
    // Grafana is not started; its types are what the dashboards are checked against.
    let types: serde_json::Value = serde_json::from_str(&read("grafana/schema/package.json")).unwrap();
    assert_eq!(types["dependencies"]["@grafana/schema"], image("grafana"));
}

/// What is built of one commit today is built of it tomorrow, as far as a tag holds it.
#[test]
fn images_are_pinned_to_a_patch() {
    let is_whole = |version: &str| {
        let numbers: Vec<_> = version.trim_start_matches('v').split('.').collect();
        numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u32>().is_ok())
    };
    let dockerfile = read("Dockerfile");
    let rust = dockerfile.lines().find_map(|line| line.strip_prefix("ARG RUST_VERSION=")).unwrap();
    assert!(is_whole(rust), "{rust}");
    let bases: Vec<_> = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
    assert_eq!(bases, ["rust:${RUST_VERSION}-slim-bookworm AS build", "scratch"]);
    let compose = document("compose.yaml");
    for service in compose["services"].as_mapping().unwrap().values().filter(|service| service["build"].is_null()) {
        let image = text(service, &["image"]);
        assert!(is_whole(image.rsplit_once(':').unwrap().1), "{image}");
    }
}

#[test]
fn addresses_and_versions_are_the_same_everywhere() {
    let dockerfile = read("Dockerfile");
    assert!(dockerfile.contains(&format!("EXPOSE {}\n", port())), "{dockerfile}");
    for file in ["stand-alone", "sidecar"] {
        let manifests = documents(&read(&format!("deploy/kubernetes/{file}.yaml")));
        let of = |kind: &str| manifests.iter().find(|object| object["kind"] == kind);
        let endpoint = &of("PodMonitor").unwrap()["spec"]["podMetricsEndpoints"][0];
        assert_eq!(text(endpoint, &["path"]), default("web.telemetry_path"));
        if let Some(policy) = of("NetworkPolicy") {
            let port = &policy["spec"]["ingress"][0]["ports"][0]["port"];
            assert_eq!(port.as_u64(), Some(self::port().into()));
        }
    }
    let version = env!("CARGO_PKG_VERSION");
    let chart = document("deploy/helm/jelou-exporter/Chart.yaml");
    assert_eq!((text(&chart, &["version"]), text(&chart, &["appVersion"])), (version, version));
    for file in ["stand-alone", "sidecar"] {
        let manifests = read(&format!("deploy/kubernetes/{file}.yaml"));
        assert!(manifests.contains(&format!("image: jelou-exporter:{version}\n")), "{file}");
    }
    for file in ["jelou-exporter.service", "jelou-exporter.socket", "jelou-exporter.service.d/socket.conf"] {
        assert!(path("deploy/systemd").join(file).is_file(), "{file}");
    }
}

/// Whoever writes the scrape job for Kubernetes themselves is told one that Prometheus takes, and by which a new Pod goes on with
/// the series of the old one.
#[test]
fn the_scrape_job_for_kubernetes_names_no_pod() {
    let guide = read("docs/deployment.md");
    let blocks = guide.split("\n  ```yaml\n").skip(1).map(|rest| rest.split_once("\n  ```\n").unwrap().0);
    let [job]: [&str; 1] =
        blocks.filter(|block| block.contains("kubernetes_sd_configs")).collect::<Vec<_>>().try_into().unwrap();
    let job: Vec<_> = job.lines().map(|line| &line[2..]).collect();
    let parsed = documents(&job.join("\n")).pop().unwrap();
    let rules = parsed["scrape_configs"][0]["relabel_configs"].as_sequence().unwrap();
    let sources = |rule: &Value| texts(&rule["source_labels"]);
    let written: Vec<_> = rules.iter().filter(|rule| rule["target_label"].is_string()).collect();
    assert!(written.iter().any(|rule| rule["target_label"] == "instance"), "{written:?}");
    for source in written.iter().flat_map(|rule| sources(rule)) {
        let stays = source == "__meta_kubernetes_namespace" || source.starts_with("__meta_kubernetes_pod_label_");
        assert!(stays, "{source} changes with the Pod");
    }
    let Some(promtool) = peer("JELOU_TEST_PROMTOOL") else { return };
    let scratch = Scratch::new();
    let file = scratch.0.join("prometheus.yml");
    // The one of the tests is built without Kubernetes; all the rest it reads.
    let known = job.iter().map(|line| {
        if line.contains("kubernetes_sd_configs") { "    static_configs: [{targets: ['it:1']}]" } else { line }
    });
    fs::write(&file, known.collect::<Vec<_>>().join("\n")).unwrap();
    let output = Command::new(promtool).args(["check", "config"]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A policy is for the whole Pod: whatever the program beside the exporter serves is as open as without it.
#[test]
fn the_policy_of_the_sidecar_closes_the_port_of_the_exporter_and_no_other() {
    let manifests = documents(&read("deploy/kubernetes/sidecar.yaml"));
    let policy = &manifests.iter().find(|object| object["kind"] == "NetworkPolicy").unwrap()["spec"];
    assert_eq!(texts(&policy["policyTypes"]), ["Ingress"]);
    let [scrapes, others] = &policy["ingress"].as_sequence().unwrap()[..] else { panic!("{policy:?}") };
    assert!(scrapes["from"].is_sequence() && others["from"].is_null());
    for protocol in ["TCP", "UDP", "SCTP"] {
        let ranges = others["ports"].as_sequence().unwrap().iter().filter(|range| range["protocol"] == protocol);
        let open: BTreeSet<_> =
            ranges.flat_map(|range| range["port"].as_u64().unwrap()..=range["endPort"].as_u64().unwrap()).collect();
        let closed: Vec<_> = (1..=65535).filter(|port| !open.contains(port)).collect();
        let expected = if protocol == "TCP" { vec![u64::from(port())] } else { Vec::new() };
        assert_eq!(closed, expected, "{protocol}");
    }
}

/// Whoever starts the stack is shown the alerts, and nothing fails for want of somebody who listens.
#[test]
fn the_alertmanager_of_compose_is_the_example_and_tells_nobody() {
    let mut ours = document("deploy/compose/alertmanager.yml");
    let mut example = document("grafana/alertmanager/alertmanager.yml");
    let names = |config: &mut Value| {
        let receivers = config.as_mapping_mut().unwrap().remove("receivers").unwrap();
        let named = |receiver: &Value| (text(receiver, &["name"]).to_owned(), receiver.as_mapping().unwrap().len());
        receivers.as_sequence().unwrap().iter().map(named).collect::<Vec<_>>()
    };
    let (silent, telling) = (names(&mut ours), names(&mut example));
    assert!(silent.iter().all(|(_, keys)| *keys == 1), "{silent:?}");
    assert!(telling.iter().all(|(_, keys)| *keys == 2), "{telling:?}");
    assert!(silent.iter().map(|(name, _)| name).eq(telling.iter().map(|(name, _)| name)));
    assert_eq!(ours, example);

    let compose = document("compose.yaml");
    let service = &compose["services"]["alertmanager"];
    let flags = texts(&service["command"]);
    let config = flags.iter().find_map(|flag| flag.strip_prefix("--config.file=")).unwrap();
    assert!(texts(&service["volumes"]).contains(&format!("./deploy/compose/alertmanager.yml:{config}:ro")));
}
