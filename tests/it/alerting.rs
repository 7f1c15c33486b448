//! From the upstream to the webhook: the simulated API, the exporter, a real Prometheus with our rules, a real Alertmanager
//! with our example. The same exporters are scraped by one Prometheus and push to another, and both tell the same.
//!
//! The rules are loaded as they stand, with windows of hours and days. No hour has to pass: a world stands still two hours
//! ago until Prometheus knows the counters at rest, and is then moved to the present, as when an upstream was behind. The
//! exporter reads two hours at its next poll, and the alerts on customers, which hold by their windows alone, follow.
//! Of the example, the times to wait are shortened, as is how long an alert is kept, and business hours are set to what a
//! test is about.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jelou_exporter::simulator::cast::{Cast, Team};
use jelou_exporter::simulator::story::Story;
use jelou_exporter::simulator::{Simulator, SimulatorOptions};
use serde_json::{Value, json};

use crate::rules::{EXAMPLE, place, yaml};
use crate::support::alertmanager::{Alertmanager, Notice, Webhook};
use crate::support::exporter::Exporter;
use crate::support::exposition::Scrape;
use crate::support::peer::{Prometheus, peer};
use crate::support::scratch::Scratch;
use crate::support::world::{HOUR, now, simulate};
use crate::support::{eventually, until};

const MINUTE: i64 = 60_000;
const AFTERNOON: i64 = 2 * HOUR;
const FAST: &str = "JelouReplyPromiseBurningFast";
const DECIDED: &str = "jelou_operator_reply_decided_total";
const WAITS: &str = "JelouCustomerWaitsTooLong";

/// The example, telling this webhook without delay, its business hours being these.
fn example(webhook: &Webhook, hours: &Value) -> Value {
    let mut example = yaml(&place(EXAMPLE));
    hasten(&mut example["route"]);
    for receiver in example["receivers"].as_array_mut().unwrap() {
        for config in receiver["webhook_configs"].as_array_mut().unwrap() {
            config["url"] = format!("http://{}/", webhook.address).into();
        }
    }
    example["time_intervals"][0]["time_intervals"] = json!([hours]);
    example
}

fn hasten(route: &mut Value) {
    route["group_wait"] = "100ms".into();
    route["group_interval"] = "1s".into();
    if let Some(routes) = route.get_mut("routes") {
        routes.as_array_mut().unwrap().iter_mut().for_each(hasten);
    }
}

fn always() -> Value {
    json!({ "weekdays": ["sunday:saturday"] })
}

/// An account: its upstream and its exporter, which pushes there and has read everything up to two hours ago: a conversation
/// of each team with each bot, and nobody waits.
fn account(name: &str, world: SimulatorOptions, pushed_to: &str) -> (Simulator, Exporter) {
    let cast = world.cast.clone();
    let simulator = simulate(world);
    simulator.freeze_at(now() - AFTERNOON);
    for bot in &cast.bots {
        for team in bot.teams.iter().map(|team| &cast.teams[*team]) {
            let morning = Story::new(format!("{} with {}", team.name, bot.name), now() - AFTERNOON - HOUR / 2);
            simulator.put(morning.by(&bot.name, &team.name).replied_after(10_000).closed_after(MINUTE));
        }
    }
    let settings = [
        ("api.account", name),
        ("poll.count_initial", "false"),
        ("poll.initial_lookback", "4h"),
        ("poll.overlap", "3h"),
        ("otlp.endpoint", pushed_to),
        ("otlp.interval", "1s"),
    ];
    let exporter = Exporter::start(&simulator.base_url(), &settings);
    until("it is ready", || exporter.get("/-/ready").status == 200);
    (simulator, exporter)
}

/// A busy day, whatever the time of day is now, with these teams.
fn day(change: impl FnMut(&mut Team)) -> SimulatorOptions {
    let mut cast = Cast::default();
    cast.teams.iter_mut().for_each(change);
    SimulatorOptions { per_hour: 240.0, quietest: 1.0, history: AFTERNOON, cast, ..SimulatorOptions::default() }
}

/// The teams that have a bad afternoon, far beyond half of their customers missed; the others stay far below.
const BAD: [&str; 3] = ["Cobranzas", "Frontend", "Soporte"];

/// What a bad afternoon is in the simulator: replies take five times as long, silence is three times as likely.
fn bad(team: &mut Team) {
    if BAD.contains(&&*team.name) {
        team.reply_median *= 5.0;
        team.silence *= 3.0;
    }
}

/// Everyone is answered, half of them within half a minute.
fn good(team: &mut Team) {
    team.reply_median = 30_000.0;
    team.reply_spread = 0.5;
    team.silence = 0.0;
}

/// One way from the exporters to the people.
struct Chain {
    webhook: Webhook,
    alertmanager: Alertmanager,
    prometheus: Prometheus,
    _rules: Scratch,
}

/// The rules, of which an alert is kept for no longer than a test is patient.
fn rules() -> Scratch {
    let rules = Scratch::new();
    let mut kept = 0;
    for name in ["customers.yml", "exporter.yml"] {
        let text = std::fs::read_to_string(place("grafana/rules").join(name)).unwrap();
        kept += text.matches("keep_firing_for: 5m").count();
        std::fs::write(rules.0.join(name), text.replace("keep_firing_for: 5m", "keep_firing_for: 1s")).unwrap();
    }
    assert!(kept > 5, "{kept}");
    rules
}

impl Chain {
    /// Scrapes these exporters, and takes what is pushed.
    fn start(binary: &Path, manager: &Path, exporters: &[&Exporter]) -> Self {
        let webhook = Webhook::start();
        let alertmanager = Alertmanager::start(manager.to_owned(), &example(&webhook, &always()));
        let rules = rules();
        let targets: Vec<_> = exporters.iter().map(|exporter| exporter.address.as_str()).collect();
        let configuration = json!({
            "global": { "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s" },
            "rule_files": [format!("{}/*.yml", rules.0.display())],
            "alerting": { "alertmanagers": [{ "static_configs": [{ "targets": [alertmanager.address] }] }] },
            "scrape_configs": [{ "job_name": "jelou-exporter", "static_configs": [{ "targets": targets }] }],
        });
        let flags = ["--web.enable-otlp-receiver"];
        let prometheus = Prometheus::configured(binary.to_owned(), &configuration.to_string(), &flags);
        Self { webhook, alertmanager, prometheus, _rules: rules }
    }
}

/// The one number that the expression yields.
fn number(prometheus: &Prometheus, expression: &str) -> Result<f64, String> {
    let rows = prometheus.query(expression)?;
    let [(_, value)] = &rows[..] else { return Err(format!("{expression}: {rows:?}")) };
    value.parse().map_err(|error| format!("{value}: {error}"))
}

#[track_caller]
fn reaches(prometheus: &Prometheus, expression: &str, least: f64) {
    eventually(|| {
        let value = number(prometheus, expression)?;
        if value >= least { Ok(()) } else { Err(format!("{expression} is {value}, not yet {least}")) }
    });
}

/// The teams that must be paged about: more than half of at least five were missed.
fn missing(scrape: &Scrape) -> BTreeSet<String> {
    let mut teams: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (series, value) in &scrape.series {
        if series.name == DECIDED {
            let value: f64 = value.parse().unwrap();
            let (decided, missed) = teams.entry(&series.labels["team"]).or_default();
            *decided += value;
            *missed += if series.labels["result"] == "missed" { value } else { 0.0 };
        }
    }
    let paged = teams.into_iter().filter(|(_, (decided, missed))| *missed >= 5.0 && *missed > 0.5 * decided);
    paged.map(|(team, _)| team.to_owned()).collect()
}

fn firing<'a>(notices: &'a [Notice], alert: &str, account: &str) -> Vec<&'a Notice> {
    notices.iter().filter(|notice| notice.is_firing && notice.is(alert, account)).collect()
}

/// The customer's conversation in the third account.
fn customer() -> Story {
    Story::new("waits", now() - 20 * MINUTE).by("Tienda", "Atención VIP ⭐")
}

#[test]
fn a_bad_afternoon_and_one_unanswered_customer_page_and_a_good_day_does_not_scraped_or_pushed() {
    let (Some(binary), Some(manager)) = (peer("JELOU_TEST_PROMETHEUS"), peer("JELOU_TEST_ALERTMANAGER")) else {
        return;
    };
    let pushed = Chain::start(&binary, &manager, &[]);
    let endpoint = format!("http://{}/api/v1/otlp", pushed.prometheus.address);
    let (bad_world, bad) = account("bad", day(bad), &endpoint);
    let (good_world, good) = account("good", day(good), &endpoint);
    let (one_world, one) = account("one", SimulatorOptions::scripted(), &endpoint);
    // A good day has its late answers, too.
    for number in 1..=3 {
        let late = Story::new(format!("late-{number}"), now() - number * 20 * MINUTE);
        good_world.put(late.by("Banca Móvil", "Soporte").replied_after(400_000).closed_after(900_000));
    }
    one_world.put(customer());

    let chains = [Chain::start(&binary, &manager, &[&bad, &good, &one]), pushed];
    for Chain { prometheus, .. } in &chains {
        for account in ["bad", "good"] {
            let at_rest = format!("{DECIDED}{{account=\"{account}\"}}[5m]");
            reaches(prometheus, &format!("min(count_over_time({at_rest}))"), 2.0);
        }
    }
    assert_eq!([&bad, &good].map(|exporter| exporter.scrape().total(DECIDED, &[])), [0.0, 0.0]);
    // Neither knows the exporters by the other's way.
    let targets = chains.each_ref().map(|chain| chain.prometheus.query("up").unwrap().len());
    assert_eq!(targets, [3, 0]);
    let present = now() - 2000;
    for world in [&bad_world, &good_world, &one_world] {
        world.freeze_at(present);
    }
    bad.succeeds_again(2.0);
    good.succeeds_again(2.0);

    let expected = BAD.map(str::to_owned).into();
    assert_eq!(missing(&bad.scrape()), expected);
    assert_eq!(missing(&good.scrape()), BTreeSet::new());
    for chain in &chains {
        the_bad_afternoon_pages(chain, &expected);
        the_customer_pages(chain);
    }
    assert!(one_world.amend("waits", |story| story.reply = Some(19 * MINUTE as u64)));
    for chain in &chains {
        let over = |notice: &Notice| notice.is(WAITS, "one") && !notice.is_firing;
        until("it resolves", || chain.webhook.notices().iter().any(over));
        nothing_pages(chain, &good);
    }
}

/// The supervisors are told of every team that misses, and of no other; slower alerts add nothing to that.
#[track_caller]
fn the_bad_afternoon_pages(Chain { webhook, alertmanager, .. }: &Chain, expected: &BTreeSet<String>) {
    let notices = eventually(|| {
        let notices = webhook.notices();
        let paged = firing(&notices, FAST, "bad");
        let teams: BTreeSet<_> = paged.iter().map(|notice| notice.labels["team"].clone()).collect();
        if teams == *expected { Ok(notices) } else { Err(format!("paged are {teams:?}, expected {expected:?}")) }
    });
    for notice in firing(&notices, FAST, "bad") {
        assert_eq!(notice.receiver, "supervisors");
        assert!(notice.annotations["summary"].starts_with(&notice.labels["team"]), "{notice:?}");
        assert_eq!(notice.annotations["runbook_url"], format!("grafana/runbook.md#{}", FAST.to_lowercase()));
        assert!(notice.annotations["dashboard_url"].contains("/d/jelou-team?var-account=bad&var-team="), "{notice:?}");
    }
    eventually(|| {
        let inhibited = alertmanager.inhibited();
        let steadily = inhibited.iter().filter(|labels| labels["alertname"] == "JelouReplyPromiseBurningSteadily");
        let teams: BTreeSet<_> = steadily.map(|labels| labels["team"].clone()).collect();
        if teams.is_superset(expected) { Ok(()) } else { Err(format!("inhibited: {inhibited:?}")) }
    });
}

/// One customer is enough.
#[track_caller]
fn the_customer_pages(Chain { webhook, .. }: &Chain) {
    let notice = eventually(|| {
        let notices = webhook.notices();
        let paged = firing(&notices, WAITS, "one");
        paged.first().map(|notice| (*notice).clone()).ok_or(format!("{notices:?}"))
    });
    assert_eq!(notice.receiver, "supervisors");
    assert_eq!(notice.labels["team"], "Atención VIP ⭐");
    assert!(notice.annotations["summary"].contains("has waited 2"), "some twenty minutes: {notice:?}");
}

/// Everything was evaluated after all was counted, and nothing was so much as pending; nothing that is of no account fires,
/// and nothing that concerns an exporter, whosever it is.
#[track_caller]
fn nothing_pages(Chain { webhook, prometheus, .. }: &Chain, exporter: &Exporter) {
    let decided = exporter.scrape().total(DECIDED, &[]);
    assert!(decided > 100.0, "{decided}");
    reaches(prometheus, "sum(account_team:jelou_replies_decided:increase1h{account=\"good\"})", decided);
    let evaluated = "timestamp(jelou:links:info)";
    let before = number(prometheus, evaluated).unwrap();
    reaches(prometheus, evaluated, before + 2.0);
    // Until the first scrape it is pending that no exporter is seen, and after a missed one that it is down.
    for of in [
        "account=\"good\"",
        "account!~\"bad|one\",alertstate=\"firing\"",
        "concerns!=\"customers\",alertstate=\"firing\"",
    ] {
        let raised = prometheus.query(&format!("count_over_time(ALERTS{{{of}}}[1h])")).unwrap();
        assert!(raised.is_empty(), "{of}: {raised:?}");
    }
    let told = webhook.notices();
    let of_others =
        |notice: &&Notice| !["bad", "one"].map(Some).contains(&notice.labels.get("account").map(String::as_str));
    let told: Vec<_> = told.iter().filter(of_others).collect();
    assert!(told.is_empty(), "{told:?}");
}

/// A page about customers and one about the exporter.
fn two_pages(account: &str, exporter: &str) -> [Value; 2] {
    [
        json!({ "alertname": WAITS, "severity": "page", "concerns": "customers", "account": account, "team": "Ventas" }),
        json!({ "alertname": exporter, "severity": "page", "concerns": "exporter", "account": account }),
    ]
}

#[test]
fn old_data_silences_the_alerts_on_customers_of_that_account() {
    let Some(binary) = peer("JELOU_TEST_ALERTMANAGER") else { return };
    for cause in ["JelouDataStale", "JelouExporterDown", "JelouAccountAbsent"] {
        let webhook = Webhook::start();
        let alertmanager = Alertmanager::start(binary.clone(), &example(&webhook, &always()));
        let [of_customers, of_exporter] = two_pages("old", cause);
        // First the cause, so that there is no moment without it.
        alertmanager.report(&[of_exporter]);
        until("the cause is told", || !firing(&webhook.notices(), cause, "old").is_empty());
        alertmanager.report(&[of_customers]);
        alertmanager.report(&[two_pages("fresh", cause)[0].clone()]);
        until("the other account is told", || !firing(&webhook.notices(), WAITS, "fresh").is_empty());
        until("it is inhibited", || alertmanager.inhibited().iter().any(|labels| labels["account"] == "old"));
        assert!(firing(&webhook.notices(), WAITS, "old").is_empty());
    }
}

/// Of one account that is down and another that is gone, each is told once, and not that nobody is left.
#[test]
fn who_is_down_or_gone_is_told_once() {
    let Some(binary) = peer("JELOU_TEST_ALERTMANAGER") else { return };
    let webhook = Webhook::start();
    let alertmanager = Alertmanager::start(binary, &example(&webhook, &always()));
    let page = |account: &str, name: &str| two_pages(account, name)[1].clone();
    alertmanager.report(&[page("down", "JelouExporterDown")]);
    until("it is told", || !firing(&webhook.notices(), "JelouExporterDown", "down").is_empty());
    alertmanager.report(&[
        page("down", "JelouAccountAbsent"),
        page("gone", "JelouAccountAbsent"),
        json!({ "alertname": "JelouExporterAbsent", "severity": "page", "concerns": "exporter" }),
    ]);
    until("the other is told", || !firing(&webhook.notices(), "JelouAccountAbsent", "gone").is_empty());
    eventually(|| {
        let inhibited = alertmanager.inhibited();
        let mut names: Vec<_> = inhibited.iter().map(|labels| (&*labels["alertname"], labels.get("account"))).collect();
        names.sort_unstable();
        let wanted = [("JelouAccountAbsent", Some(&"down".to_owned())), ("JelouExporterAbsent", None)];
        if names == wanted { Ok(()) } else { Err(format!("{names:?}")) }
    });
    let told = webhook.notices();
    assert!(told.iter().all(|notice| notice.labels["alertname"] != "JelouExporterAbsent"), "{told:?}");
    assert!(firing(&told, "JelouAccountAbsent", "down").is_empty(), "{told:?}");
}

#[test]
fn customers_do_not_page_outside_business_hours() {
    let Some(binary) = peer("JELOU_TEST_ALERTMANAGER") else { return };
    let webhook = Webhook::start();
    let long_ago = json!({ "years": ["2000"] });
    let alertmanager = Alertmanager::start(binary, &example(&webhook, &long_ago));
    let [of_customers, of_exporter] = two_pages("night", "JelouCredentialsRefused");
    alertmanager.report(&[of_customers, of_exporter]);
    until("the exporter has no hours", || !firing(&webhook.notices(), "JelouCredentialsRefused", "night").is_empty());
    // Its turn to be told has come: Alertmanager counts what it keeps to itself by the reason.
    until("the customers' turn has come", || {
        alertmanager.metric("alertmanager_notifications_suppressed_total{reason=\"active_time_interval\"}") > 0.0
    });
    assert!(firing(&webhook.notices(), WAITS, "night").is_empty());
}
