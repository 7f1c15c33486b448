//! What is attacked: the exporter at work, and its peer, behind the same doors.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use jelou_exporter::clock::{Clock as _, SystemClock};
use jelou_exporter::simulator::story::Story;
use jelou_exporter::simulator::{Simulator, SimulatorOptions};
use rcgen::{CertificateParams, KeyPair};
use tokio::runtime::Runtime;

use super::attack::Door;
use super::{Killed, PATIENCE};

/// (bot, team) pairs: enough for an answer that does not fit into what the system keeps for a connection.
const PAIRS: usize = 100;

pub(crate) const PEER: &str = "node_exporter";
/// The environment variable that names it.
pub(crate) const PEER_VARIABLE: &str = "JELOU_TEST_NODE_EXPORTER";

/// The simulated API, in this process.
pub(crate) struct Upstream {
    _runtime: Runtime,
    simulator: Simulator,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let simulator = runtime.block_on(world());
        Self { _runtime: runtime, simulator }
    }
}

/// Five conversations of each pair, all of the last hours.
async fn world() -> Simulator {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let simulator = Simulator::start(SimulatorOptions::scripted(), Arc::new(SystemClock), listener).expect("it starts");
    let now = SystemClock.now();
    for number in 0..PAIRS * 5 {
        let (pair, apart) = (number % PAIRS, i64::try_from(number).expect("few"));
        let start = now - 60_000 - apart * 10_000;
        let story =
            Story::new(format!("{number:024x}"), start).by(&format!("bot {}", pair / 2), &format!("team {pair}"));
        simulator.put(story.replied_after(5_000 + number as u64 * 311).closed_after(600_000 + apart * 4_001));
    }
    simulator
}

/// Web configuration files, one a [`Door`].
pub(crate) struct Doors {
    folder: PathBuf,
    certificate: String,
}

impl Doors {
    pub(crate) fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("jelou-exporter-siege-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for the certificate");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("two names");
        let cert = params.self_signed(&key).expect("a certificate");
        let doors = Self { folder, certificate: cert.pem() };
        doors.put("server.crt", &doors.certificate);
        doors.put("server.key", &key.serialize_pem());
        doors
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, text).expect("a file in the temporary directory");
        path
    }

    /// The file for this door; none for the open one.
    fn file(&self, door: Door) -> Option<PathBuf> {
        let mut text = String::new();
        if door.tls {
            text.push_str("tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n");
        }
        if door.password {
            // As costly as `htpasswd -C 10` makes it.
            let hash = bcrypt::hash("one", 10).expect("a hash");
            text.push_str(&format!("basic_auth_users:\n  ada: {hash}\n"));
        }
        (!text.is_empty()).then(|| self.put("web.yml", &text))
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        // Whatever is left of it lies in the temporary directory.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A running exporter.
pub(crate) struct Exporter {
    child: Killed,
    pub(crate) address: String,
    scheme: &'static str,
    /// What its certificate is from.
    pub(crate) authority: Option<String>,
}

impl Exporter {
    pub(crate) fn ours(upstream: &Upstream, doors: &Doors, door: Door) -> Self {
        let (world, url, address) = (SimulatorOptions::default(), upstream.simulator.base_url(), free_address());
        let mut command = Command::new(env!("CARGO_BIN_EXE_jelou-exporter"));
        command.env_clear();
        let settings = [
            ("API_URL", &*url),
            ("API_CLIENT_ID", &*world.client_id),
            ("API_CLIENT_SECRET", &*world.client_secret),
            ("API_REQUESTS_PER_SECOND", "1000"),
            ("POLL_INTERVAL", "1s"),
            ("POLL_COUNT_INITIAL", "true"),
            ("STATE_PATH", ""),
            ("WEB_LISTEN_ADDRESS", &*address),
        ];
        command.envs(settings.map(|(key, value)| (format!("JELOU_EXPORTER_{key}"), value)));
        if let Some(file) = doors.file(door) {
            command.env("JELOU_EXPORTER_WEB_CONFIG_FILE", file);
        }
        Self::start(&mut command, address, doors, door)
    }

    pub(crate) fn peer(program: &Path, doors: &Doors, door: Door) -> Self {
        let address = free_address();
        let mut command = Command::new(program);
        // It would refuse whoever comes while 40 are answered, and be measured by those whom it refuses fastest.
        command.args([format!("--web.listen-address={address}"), "--web.max-requests=0".to_owned()]);
        if let Some(file) = doors.file(door) {
            command.arg(format!("--web.config.file={}", file.display()));
        }
        Self::start(&mut command, address, doors, door)
    }

    fn start(command: &mut Command, address: String, doors: &Doors, door: Door) -> Self {
        let child = Killed::start(command);
        let began = Instant::now();
        while TcpStream::connect(&address).is_err() {
            assert!(began.elapsed() < PATIENCE, "{address} does not listen");
            std::thread::yield_now();
        }
        let scheme = if door.tls { "https" } else { "http" };
        Self { child, address, scheme, authority: door.tls.then(|| doors.certificate.clone()) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// The most memory that it has had.
    pub(crate) fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.0.id())).expect("it lives");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line on its peak");
        peak.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

fn free_address() -> String {
    let address = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).and_then(|listener| listener.local_addr());
    address.expect("a free port").to_string()
}
