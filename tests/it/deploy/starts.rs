//! Each way to start the exporter, tried with the real binary: its arguments, environment and configuration are usable.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, ExitStatus};

use serde_norway::Value;

use super::files::{document, documents, read, text, texts};
use crate::support::PATIENCE;
use crate::support::peer::peer;
use crate::support::program::Program;
use crate::support::scratch::Scratch;

/// How something starts the exporter.
#[derive(Debug, Default)]
struct Start {
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    /// Files that it is given, by their paths.
    files: BTreeMap<String, String>,
}

const SECRET: &str = "of-the-test";

impl Start {
    /// What `check-config` says of it.
    fn check(&self) -> (ExitStatus, String) {
        let scratch = Scratch::new();
        // Whatever is mounted somewhere is below the scratch folder here.
        let moved = |text: &str| {
            ["/etc/", "/run/secrets/", "/data/"]
                .iter()
                .fold(text.to_owned(), |text, mount| text.replace(mount, &format!("{}{mount}", scratch.0.display())))
        };
        for (path, contents) in &self.files {
            let path = moved(path);
            fs::create_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();
            fs::write(path, moved(contents)).unwrap();
        }
        // The volume of the state is there and empty.
        fs::create_dir(scratch.0.join("data")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_jelou-exporter"));
        command.env_clear().arg("check-config").args(self.arguments.iter().map(|argument| moved(argument)));
        command.envs(self.environment.iter().map(|(name, value)| (name, moved(value))));
        let mut program = Program::start(&mut command);
        let status = program.ended_within(PATIENCE);
        (status, program.stdout() + &program.stderr())
    }

    #[track_caller]
    fn is_usable(&self) {
        let (status, said) = self.check();
        assert!(status.success(), "{self:#?}\n{said}");
    }
}

/// The containers of these manifests that run the exporter, with the files that are mounted in them.
fn containers(manifests: &[Value]) -> Vec<(Value, Start)> {
    let pods = manifests.iter().map(|object| &object["spec"]["template"]["spec"]).filter(|pod| !pod.is_null());
    let ours = pods.flat_map(|pod| {
        let all = ["initContainers", "containers"].map(|kind| pod[kind].as_sequence()).into_iter().flatten().flatten();
        all.filter(|container| text(container, &["image"]).contains("jelou-exporter")).map(move |one| (pod, one))
    });
    ours.map(|(pod, container)| (container.clone(), start(manifests, pod, container))).collect()
}

fn start(manifests: &[Value], pod: &Value, container: &Value) -> Start {
    let mut start = Start { arguments: texts(&container["args"]), ..Start::default() };
    for variable in container["env"].as_sequence().into_iter().flatten() {
        // From a Secret: whatever it is.
        let value = variable["value"].as_str().unwrap_or("from=elsewhere");
        start.environment.insert(text(variable, &["name"]).to_owned(), value.to_owned());
    }
    for mount in container["volumeMounts"].as_sequence().into_iter().flatten() {
        let (name, at) = (text(mount, &["name"]), text(mount, &["mountPath"]));
        let named = |volume: &&Value| text(volume, &["name"]) == name;
        let Some(volume) = pod["volumes"].as_sequence().unwrap().iter().find(named) else { continue };
        if let Some(map) = volume["configMap"]["name"].as_str() {
            let of_map = |object: &&Value| object["kind"] == "ConfigMap" && object["metadata"]["name"] == map;
            let map = manifests.iter().find(of_map).unwrap_or_else(|| panic!("no ConfigMap {map}"));
            for (file, contents) in map["data"].as_mapping().unwrap() {
                let file = format!("{at}/{}", file.as_str().unwrap());
                start.files.insert(file, contents.as_str().unwrap().to_owned());
            }
        }
        if volume["secret"].is_mapping() {
            for key in ["client-secret", "secret"] {
                start.files.insert(format!("{at}/{key}"), SECRET.to_owned());
            }
        }
    }
    start
}

/// The port and the paths that everything else relies on.
#[track_caller]
fn meets(container: &Value) {
    let [port] = &container["ports"].as_sequence().unwrap()[..] else { panic!("{container:?}") };
    assert_eq!(port["containerPort"].as_u64(), Some(u64::from(super::words::port())));
    for (probe, path) in
        [("startupProbe", "/-/healthy"), ("livenessProbe", "/-/healthy"), ("readinessProbe", "/-/ready")]
    {
        let probe = &container[probe]["httpGet"];
        if !probe.is_null() {
            assert_eq!((text(probe, &["path"]), &probe["port"]), (path, &port["name"]));
        }
    }
    assert!(container["livenessProbe"].is_mapping());
}

#[track_caller]
fn check_manifests(text: &str) {
    let manifests = documents(text);
    let containers = containers(&manifests);
    assert_eq!(containers.len(), 1);
    for (container, start) in containers {
        meets(&container);
        start.is_usable();
    }
}

#[test]
fn kubernetes_starts_it_with_settings_that_there_are() {
    check_manifests(&read("deploy/kubernetes/stand-alone.yaml"));
    check_manifests(&read("deploy/kubernetes/sidecar.yaml"));
}

#[test]
fn a_setting_that_there_is_not_would_be_seen() {
    let manifests = read("deploy/kubernetes/stand-alone.yaml").replace("client_secret_file:", "client_secret_path:");
    let (_, start) = containers(&documents(&manifests)).remove(0);
    let (status, said) = start.check();
    assert!(!status.success() && said.contains("client_secret_path"), "{said}");
}

#[test]
fn the_chart_starts_it_with_settings_that_there_are() {
    let Some(helm) = peer("JELOU_TEST_HELM") else { return };
    let chart = super::files::path("deploy/helm/jelou-exporter");
    for values in super::files::below("deploy/helm/jelou-exporter/ci") {
        let mut command = Command::new(&helm);
        command.args(["template", "jelou", "--kube-version", "1.37.0", "--values"]).args([&values, &chart]);
        let rendered = command.output().unwrap();
        assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
        check_manifests(std::str::from_utf8(&rendered.stdout).unwrap());
    }
}

#[test]
fn compose_starts_it_with_settings_that_there_are() {
    let compose = document("compose.yaml");
    let exporter = &compose["services"]["exporter"];
    let mut arguments = texts(&exporter["command"]);
    // What demo brings itself.
    assert_eq!(arguments.remove(0), "demo");
    let of_demo = [("JELOU_EXPORTER_API_CLIENT_ID", "demo"), ("JELOU_EXPORTER_API_CLIENT_SECRET", SECRET)];
    let given = exporter["environment"].as_mapping().unwrap().iter();
    let given = given.map(|(name, value)| (name.as_str().unwrap(), value.as_str().unwrap()));
    let environment = given.chain(of_demo).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Start { arguments, environment, ..Start::default() }.is_usable();
}

/// How the service starts it, installed as its first lines say.
fn by_systemd() -> Start {
    let unit = read("deploy/systemd/jelou-exporter.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let line = line.replace("${STATE_DIRECTORY}", "/data").replace("${CREDENTIALS_DIRECTORY}", "/run/secrets");
    let mut arguments = line.split(' ').map(str::to_owned);
    assert_eq!(arguments.next().as_deref(), Some("/usr/local/bin/jelou-exporter"));
    let config = "api:\n  client_id: '1'\n  account: acme\n".to_owned();
    let files = [("/etc/jelou-exporter/config.yaml", config), ("/run/secrets/client-secret", SECRET.to_owned())];
    let files = files.map(|(path, contents)| (path.to_owned(), contents));
    Start { arguments: arguments.collect(), files: files.into(), ..Start::default() }
}

#[test]
fn systemd_starts_it_with_settings_that_there_are() {
    by_systemd().is_usable();
}

/// The settings that the drop-in adds are all it takes: the service is told of no socket otherwise.
#[test]
fn systemd_hands_it_the_socket_that_it_listens_on() {
    let drop_in = read("deploy/systemd/jelou-exporter.service.d/socket.conf");
    let given = drop_in.lines().filter_map(|line| line.strip_prefix("Environment="));
    let given =
        given.map(|pair| pair.split_once('=').unwrap()).map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut start = Start { environment: given.collect(), ..by_systemd() };
    start.is_usable();
    // As an address of its own would be: this one is not listened on.
    start.arguments.push("--web.listen-address=127.0.0.1:1".to_owned());
    let (status, said) = start.check();
    assert!(status.success() && said.contains("web.listen_address is ignored: web.systemd_socket is on"), "{said}");

    let socket = read("deploy/systemd/jelou-exporter.socket");
    let listens: Vec<_> = socket.lines().filter_map(|line| line.strip_prefix("ListenStream=")).collect();
    assert_eq!(listens, [super::words::port().to_string()]);
}
