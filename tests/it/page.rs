//! A real browser shows the status page: under its policy, on a phone and on a desk, by day and by night.

use std::collections::BTreeSet;

use jelou_exporter::simulator::SimulatorOptions;
use jelou_exporter::simulator::faults::Fault;
use jelou_exporter::simulator::story::Story;
use serde_json::{Value, json};

use crate::peers::polled;
use crate::support::chromium::{Chromium, Window};
use crate::support::exporter::Exporter;
use crate::support::peer::peer;
use crate::support::until;
use crate::support::world::frozen;

const DESK: Window = Window { width: 1280, height: 900, mobile: false, dark: false };
/// As narrow as a window may be that still has the table.
const NARROW: Window = Window { width: 1220, ..DESK };
const TABLET: Window = Window { width: 820, height: 1180, mobile: true, dark: false };
const PHONE: Window = Window { width: 390, height: 844, mobile: true, dark: false };

/// Every text whose contrast to what is behind it is below that of WCAG 2.2 (1.4.3): 4.5, or 3 where it is large.
const FAINT: &str = r"(() => {
  const channels = color => color.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (; element; element = element.parentElement) {
      const color = channels(getComputedStyle(element).backgroundColor);
      if (color.length < 4 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const element = node.parentElement, style = getComputedStyle(element);
    if (!node.data.trim() || !element.checkVisibility()) continue;
    const color = element.closest('svg') ? style.fill : style.color;
    const [a, b] = [light(channels(color)), light(behind(element))].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize), large = size >= 24 || size >= 18.66 && style.fontWeight >= 700;
    if ((a + 0.05) / (b + 0.05) < (large ? 3 : 4.5)) faint.push(`${node.data.trim()}: ${color}`);
  }
  return faint;
})()";

/// Whatever reaches beyond the right edge of the window.
const TOO_WIDE: &str = r"(() => {
  const width = document.documentElement.clientWidth;
  const all = [...document.body.querySelectorAll('*')].filter(element => element.checkVisibility());
  return all.filter(element => element.getBoundingClientRect().right > width + 0.5)
    .slice(0, 5).map(element => element.outerHTML.slice(0, 200));
})()";

/// Looks at the page in every window, and leaves a picture of each in the target folder, for people to look at.
fn for_each_window(browser: &mut Chromium, name: &str, url: &str, mut look: impl FnMut(&mut Chromium, Window)) {
    for window in [DESK, NARROW, TABLET, PHONE] {
        for dark in [false, true] {
            let window = Window { dark, ..window };
            browser.open(url, window);
            assert_eq!(browser.complaints, [Value::Null; 0], "{window:?}");
            assert_eq!(browser.value(TOO_WIDE), json!([]), "{window:?}");
            assert_eq!(browser.value(FAINT), json!([]), "{window:?}");
            look(browser, window);
            assert_eq!(browser.complaints, [Value::Null; 0], "{window:?}");
            let scheme = if dark { "dark" } else { "light" };
            let file = format!("{}/page-{name}-{}-{scheme}.png", env!("CARGO_TARGET_TMPDIR"), window.width);
            std::fs::write(file, browser.picture(window)).unwrap();
        }
    }
}

#[test]
fn a_browser_shows_the_page_whole_and_under_its_policy() {
    let Some(program) = peer("JELOU_TEST_CHROMIUM") else { return };
    let (_simulator, exporter) = polled(&[]);
    let mut browser = Chromium::start(program);
    let url = format!("http://{}/", exporter.address);
    let mut backgrounds = BTreeSet::new();
    for_each_window(&mut browser, "healthy", &url, |browser, window| {
        // The style is in force: the policy knows it by its hash.
        let background = browser.value("getComputedStyle(document.body).backgroundColor");
        backgrounds.insert((window.dark, background.as_str().unwrap().to_owned()));
        let rows = browser.value("document.querySelectorAll('table.teams tbody tr').length").as_u64().unwrap();
        assert!(rows > 1, "{rows}");
        let plots =
            browser.value("[...document.querySelectorAll('svg.plot')].map(plot => plot.getBoundingClientRect().width)");
        assert!(
            plots.as_array().is_some_and(|plots| plots.iter().all(|width| width.as_f64() > Some(200.0))),
            "{plots}"
        );
        let place = "getComputedStyle(document.querySelector('table.teams tbody tr')).display";
        assert_eq!(
            browser.value(place),
            if window.mobile { "grid" } else { "table-row" },
            "on a phone a row is a card"
        );
        // The last poll is open; another one opens in its place.
        let open = "[...document.querySelectorAll('.poll')].filter(poll => poll.checkVisibility()).length";
        assert_eq!(browser.value(open), json!(1));
    });
    let expected = [(false, "rgb(255, 255, 255)"), (true, "rgb(13, 17, 23)")];
    assert_eq!(backgrounds, expected.map(|(dark, color)| (dark, color.to_owned())).into());
}

#[test]
fn a_poll_opens_to_its_details_and_a_failure_says_why() {
    let Some(program) = peer("JELOU_TEST_CHROMIUM") else { return };
    let (simulator, _) = frozen(SimulatorOptions { per_hour: 5.0, ..SimulatorOptions::default() });
    let exporter = Exporter::start(&simulator.base_url(), &[]);
    exporter.succeeds_again(3.0);
    simulator.script(Fault::Unauthorized, 1000);
    until("it fails", || exporter.scrape().total("jelou_up", &[]) == 0.0);
    let mut browser = Chromium::start(program);
    let url = format!("http://{}/", exporter.address);
    for_each_window(&mut browser, "failing", &url, |browser, _| {
        let visible =
            "[...document.querySelectorAll('.poll')].filter(poll => poll.checkVisibility()).map(poll => poll.id)";
        let last = browser.value(visible);
        let first = browser.value("document.querySelector('.strip a').hash");
        browser.value("document.querySelector('.strip a').click()");
        let opened = browser.value(visible);
        assert_eq!(opened, json!([first.as_str().unwrap().trim_start_matches('#')]));
        assert_ne!(opened, last);
        let names = browser.ask("Accessibility.getFullAXTree", json!({}));
        let names: Vec<&str> =
            names["nodes"].as_array().unwrap().iter().filter_map(|node| node["name"]["value"].as_str()).collect();
        assert!(names.iter().any(|name| name.contains("Not healthy: the last poll failed")), "{names:?}");
        assert!(names.iter().any(|name| name.starts_with("Poll ") && name.contains(": failed after ")), "{names:?}");
        let told = browser.value("document.querySelector('.verdict').innerText");
        assert!(told.as_str().unwrap().contains("check api.client_id"), "{told}");
    });
}

#[test]
fn two_thousand_pairs_of_any_name_are_a_page_that_can_be_read() {
    let Some(program) = peer("JELOU_TEST_CHROMIUM") else { return };
    let (simulator, at) = frozen(SimulatorOptions::scripted());
    let long = "Supercalifragilistic".repeat(20);
    let names =
        ["<script>document.title = 'taken'</script>", "\u{202e}atrevni", "客服 🤖", "\"' onclick='x", "&amp;", &long];
    for number in 0..2000 {
        let (bot, team) = (names[number % names.len()], names[number / 7 % names.len()]);
        let start = at - i64::try_from(number).unwrap() * 1700;
        simulator.put(Story::new(format!("c{number}"), start).by(&format!("{number} {bot}"), team));
    }
    let exporter =
        Exporter::start(&simulator.base_url(), &[("poll.interval", "1h"), ("metrics.max_label_sets", "3000")]);
    until("it is ready", || exporter.get("/-/ready").status == 200);
    exporter.is_up();
    assert!(exporter.get("/").body.len() < 300_000);
    let mut browser = Chromium::start(program);
    let url = format!("http://{}/", exporter.address);
    for_each_window(&mut browser, "names", &url, |browser, _| {
        assert_eq!(browser.value("document.querySelectorAll('table.teams tbody tr').length"), 50);
        let told = browser.value("document.body.innerText");
        let told = told.as_str().unwrap();
        assert!(told.contains("1,950 more are left out") && told.contains("<script>document.title = 'taken'</script>"));
        assert_eq!(browser.value("document.title"), "✓ default – jelou-exporter");
    });
}
