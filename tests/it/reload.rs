//! The configuration is read again while the exporter runs: all of it holds, or none.

use jelou_exporter::simulator::{Simulator, SimulatorOptions};

use crate::support::exporter::{Exporter, polling};
use crate::support::exposition::Scrape;
use crate::support::scratch::Scratch;
use crate::support::tls::Authority;
use crate::support::until;
use crate::support::web::{self, Answer};
use crate::support::world::frozen;

const SUCCESSFUL: &str = "jelou_exporter_config_last_reload_successful";
const SUCCESS: &str = "jelou_exporter_config_last_reload_success_timestamp_seconds";

struct Bench {
    exporter: Exporter,
    _simulator: Simulator,
    folder: Scratch,
}

impl Bench {
    /// An exporter with this in its file; environment settings go before what the file says.
    fn start(settings: &[(&str, &str)], file: &str) -> Self {
        let (simulator, _) = frozen(SimulatorOptions { per_hour: 20.0, ..SimulatorOptions::default() });
        let folder = Scratch::new();
        std::fs::write(folder.0.join("c.yml"), file).unwrap();
        let mut command = polling(&simulator.base_url(), settings);
        // What the tests change stands in the file alone.
        for key in ["POLL_INTERVAL", "API_CLIENT_SECRET"] {
            command.env_remove(format!("JELOU_EXPORTER_{key}"));
        }
        let exporter = Exporter::run(command.arg("--config.file").arg(folder.0.join("c.yml")));
        Self { exporter, _simulator: simulator, folder }
    }

    fn write(&self, file: &str) {
        std::fs::write(self.folder.0.join("c.yml"), file).unwrap();
    }

    fn reload(&self) -> Answer {
        web::ask(&self.exporter.address, "POST", "/-/reload", "content-length: 0\r\n").unwrap()
    }

    fn successful(&self) -> (f64, f64) {
        let scrape = self.exporter.scrape();
        (scrape.total(SUCCESSFUL, &[]), scrape.total(SUCCESS, &[]))
    }
}

fn usual(more: &str) -> String {
    let secret = SimulatorOptions::default().client_secret;
    format!("api:\n  client_secret: '{secret}'\npoll:\n  interval: 200ms\n{more}")
}

fn target(scrape: &Scrape) -> f64 {
    scrape.total("jelou_operator_reply_target_seconds", &[])
}

fn has_bound(scrape: &Scrape, le: &str) -> bool {
    let name = "jelou_operator_reply_time_seconds_bucket";
    scrape.series.keys().any(|series| series.name == name && series.labels["le"] == le)
}

#[test]
fn a_good_file_holds_from_the_next_poll_on() {
    let bench = Bench::start(&[("web.enable_reload", "true")], &usual(""));
    bench.exporter.is_up();
    let (one, loaded) = bench.successful();
    assert!(one == 1.0 && loaded > 1.7e9);
    let answer = bench.reload();
    assert_eq!((answer.status, answer.body.starts_with("Reloaded: no setting has changed")), (200, true));

    bench.write(&usual(
        "metrics: {reply_target: 77s, reply_time_buckets: [11s, 77s, 1h]}\nlog: {level: debug, format: json}\n",
    ));
    let answer = bench.reload();
    let told = "Reloaded: log.level, log.format from now on; \
                metrics.reply_time_buckets, metrics.reply_target from the next poll on.\n";
    assert_eq!((answer.status, answer.body.as_str()), (200, told));
    let scrape = bench.exporter.scraped("the new target and bounds", |scrape| {
        target(scrape) == 77.0 && has_bound(scrape, "11") && !has_bound(scrape, "300")
    });
    assert!(scrape.total("jelou_conversations_started_total", &[]) > 0.0, "what was counted stands");
    until("log level and format", || {
        bench.exporter.program.stderr().contains(r#","level":"debug","msg":"read a page""#)
    });
    let (one, later) = bench.successful();
    assert!(one == 1.0 && later > loaded);

    bench.write(&usual(""));
    bench.exporter.program.signal("HUP");
    bench.exporter.scraped("the first settings again", |scrape| target(scrape) == 300.0 && has_bound(scrape, "300"));
    bench.exporter.succeeds_again(2.0);
}

#[test]
fn a_bad_file_changes_nothing_and_every_error_is_told() {
    let bench = Bench::start(&[("web.enable_reload", "true")], &usual(""));
    bench.exporter.is_up();
    let before = bench.successful();
    bench.write(&usual("metrics: {reply_target: 77s, max_label_sets: 1}\nlog: {level: loud}\napis: {url: x}\n"));
    let answer = bench.reload();
    assert_eq!(answer.status, 500);
    for told in ["metrics.max_label_sets = \"1\"", "log.level = \"loud\"", "apis.url"] {
        assert!(answer.body.contains(told), "{told}: {}", answer.body);
    }
    assert_eq!(bench.successful(), (0.0, before.1));
    let logged = bench.exporter.program.stderr();
    assert!(logged.contains("the configuration was not reloaded; the one before holds"), "{logged}");
    assert!(logged.contains("metrics.max_label_sets = "), "{logged}");

    // By signal it is the same.
    bench.write("api: [");
    bench.exporter.program.signal("HUP");
    until("it is told", || bench.exporter.program.stderr().contains("it is not YAML"));
    bench.exporter.succeeds_again(2.0);
    assert_eq!(target(&bench.exporter.scrape()), 300.0);

    bench.write(&usual("metrics: {reply_target: 77s}\n"));
    assert_eq!(bench.reload().status, 200);
    bench.exporter.scraped("it holds now", |scrape| target(scrape) == 77.0);
    let told = "the poller goes on by the reloaded settings\" changed=metrics.reply_target";
    until("what changed is told", || bench.exporter.program.stderr().contains(told));
    assert_eq!(bench.successful().0, 1.0);
}

#[test]
fn what_needs_a_restart_is_named_and_keeps_the_rest_from_changing() {
    let bench = Bench::start(&[("web.enable_reload", "true")], &usual(""));
    bench.exporter.is_up();
    bench.write(&usual("metrics: {reply_target: 77s}\nweb: {telemetry_path: /other}\notlp: {interval: 5s}\n"));
    let answer = bench.reload();
    assert_eq!(answer.status, 500);
    assert!(answer.body.contains("web.telemetry_path") && answer.body.contains("otlp.interval"), "{}", answer.body);
    let others = "until then what else was changed does not hold either: metrics.reply_target";
    assert!(answer.body.contains(others), "{}", answer.body);
    bench.exporter.succeeds_again(2.0);
    assert_eq!(target(&bench.exporter.scrape()), 300.0);
    assert_eq!(bench.successful().0, 0.0);
}

#[test]
fn new_credentials_end_the_silence_after_refusals() {
    let bench = Bench::start(&[], &usual("").replace("client_secret: '", "client_secret: 'not"));
    until("it slows down", || bench.exporter.program.stderr().contains("refused 5 polls in a row"));
    bench.write(&usual(""));
    bench.exporter.program.signal("HUP");
    bench.exporter.is_up();
    let shown = bench.exporter.program.stderr() + &bench.exporter.get("/metrics").body;
    assert!(!shown.contains(&SimulatorOptions::default().client_secret));
}

#[test]
fn by_http_only_where_it_is_allowed() {
    let bench = Bench::start(&[], &usual(""));
    let answer = bench.reload();
    assert_eq!((answer.status, answer.body.contains("set web.enable_reload")), (403, true), "{}", answer.body);
    for method in ["GET", "HEAD", "PUT"] {
        let answer = web::ask(&bench.exporter.address, method, "/-/reload", "content-length: 0\r\n").unwrap();
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method}");
    }
}

#[test]
fn a_web_configuration_that_would_open_what_is_closed_is_no_reload() {
    let folder = Scratch::new();
    let (file, hash) = (folder.0.join("web.yml"), bcrypt::hash("one", 4).unwrap());
    std::fs::write(&file, format!("basic_auth_users: {{ada: '{hash}'}}\n")).unwrap();
    let settings = [("web.enable_reload", "true"), ("web.config_file", file.to_str().unwrap())];
    let bench = Bench::start(&settings, &usual(""));
    let by_ada = || {
        let head = "content-length: 0\r\nauthorization: Basic YWRhOm9uZQ==\r\n";
        web::ask(&bench.exporter.address, "POST", "/-/reload", head).unwrap()
    };
    assert_eq!(by_ada().status, 200);
    std::fs::write(&file, "").unwrap();
    bench.write(&usual("metrics: {reply_target: 77s}\n"));
    let answer = by_ada();
    assert_eq!(answer.status, 500, "{}", answer.body);
    assert!(answer.body.contains("web.config_file: basic_auth_users would be empty"), "{}", answer.body);
    until("it is logged", || {
        bench.exporter.program.stderr().contains("the configuration was not reloaded; the one before holds")
    });
    std::fs::write(&file, format!("basic_auth_users: {{ada: '{hash}'}}\n")).unwrap();
    let answer = by_ada();
    let told = "Reloaded: metrics.reply_target from the next poll on; the web configuration has changed and holds.\n";
    assert_eq!((answer.status, answer.body.as_str()), (200, told));
}

#[test]
fn a_changed_web_configuration_is_told_and_its_warnings_once() {
    let folder = Scratch::new();
    let file = folder.0.join("web.yml");
    std::fs::write(&file, "").unwrap();
    let settings = [("web.enable_reload", "true"), ("web.config_file", file.to_str().unwrap())];
    let bench = Bench::start(&settings, &usual(""));
    let header = "http_server_config: {headers: {X-Frame-Options: deny}}\n";
    std::fs::write(&file, header).unwrap();
    let answer = bench.reload();
    let told = "Reloaded: the web configuration has changed and holds.\n";
    assert_eq!((answer.status, answer.body.as_str()), (200, told));
    assert!(bench.reload().body.starts_with("Reloaded: no setting has changed"), "it is news but once");

    // What is refused is the rest.
    std::fs::write(&file, "").unwrap();
    bench.write("api: [");
    let answer = bench.reload();
    let told = "apart from that, the web configuration has changed and holds";
    assert!(answer.status == 500 && answer.body.contains(told), "{}", answer.body);
    let answer = bench.reload();
    assert!(answer.status == 500 && !answer.body.contains(told), "{}", answer.body);
    bench.write(&usual(""));

    let (certificate, key) = Authority::new().issue("localhost");
    std::fs::write(folder.0.join("a.crt"), certificate).unwrap();
    std::fs::write(folder.0.join("a.key"), key).unwrap();
    let warned = "tls_server_config: {cert_file: a.crt, key_file: a.key, client_auth_type: RequireAnyClientCert}\n";
    std::fs::write(&file, format!("{warned}{header}")).unwrap();
    bench.exporter.program.signal("HUP");
    let done = "msg=\"Reloaded: the web configuration has changed and holds.\"";
    until("it is told of", || bench.exporter.program.stderr().matches(done).count() == 2);
    let logged = bench.exporter.program.stderr();
    assert_eq!(logged.matches("such certificates prove nothing").count(), 1, "{logged}");
}

#[test]
fn whoever_asks_over_and_over_fills_no_log() {
    let bench = Bench::start(&[("web.enable_reload", "true")], &usual(""));
    let lines = |what: &str| bench.exporter.program.stderr().matches(what).count();
    for _ in 0..20 {
        assert_eq!(bench.reload().status, 200);
    }
    bench.write("api: [");
    for _ in 0..20 {
        assert_eq!(bench.reload().status, 500);
    }
    bench.write(&usual(""));
    assert_eq!(bench.reload().status, 200);
    until("that it is over is told", || lines("msg=\"Reloaded: no setting has changed") == 1);
    assert_eq!(lines("the configuration was not reloaded"), 1);
}

#[test]
fn a_file_that_hangs_takes_one_thread_and_every_other_reload_is_turned_away() {
    let bench = Bench::start(&[("web.enable_reload", "true")], &usual(""));
    let file = bench.folder.0.join("c.yml");
    crate::stop::hang(&file);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..30).map(|_| scope.spawn(|| bench.reload())).collect();
        until("the others have their answers", || asking.iter().filter(|one| !one.is_finished()).count() <= 1);
        assert_eq!(bench.exporter.get("/metrics").status, 200);
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let (turned_away, failed): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 503);
    assert!(turned_away.iter().all(|answer| answer.body.contains("a reload is under way")), "{}", turned_away[0].body);
    assert!(failed.len() == 1 && failed[0].body.contains("it does not answer"), "{}", failed[0].body);
    bench.exporter.succeeds_again(2.0);
}

#[test]
fn a_web_configuration_that_breaks_meanwhile_shows_without_a_reload() {
    let folder = Scratch::new();
    let file = folder.0.join("web.yml");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write("http_server_config: {headers: {X-Frame-Options: deny}}\n");
    let bench = Bench::start(&[("web.config_file", file.to_str().unwrap())], &usual(""));
    bench.exporter.is_up();
    let before = bench.successful();
    assert_eq!(before.0, 1.0);
    write("http_server_config: [\n");
    bench.exporter.scraped("it is refused", |scrape| scrape.total(SUCCESSFUL, &[]) == 0.0);
    assert_eq!(bench.successful(), (0.0, before.1));
    let answer = bench.exporter.get("/");
    assert!(answer.body.contains("The web configuration on the disk cannot be used"), "{}", answer.body);
    assert_eq!(answer.header("x-frame-options"), Some("deny"));
    write("http_server_config: {headers: {X-Frame-Options: sameorigin}}\n");
    bench
        .exporter
        .scraped("it holds", |scrape| scrape.total(SUCCESSFUL, &[]) == 1.0 && scrape.total(SUCCESS, &[]) > before.1);
    let answer = bench.exporter.get("/");
    assert!(!answer.body.contains("The web configuration on the disk"), "{}", answer.body);
    assert_eq!(answer.header("x-frame-options"), Some("sameorigin"));
}
