//! How old the data is said to be, by promtool: never younger than that of the account that is worst off.

use std::process::Command;

use serde_json::{Value, json};

use super::expressions::{choices, substitute};
use super::files;
use crate::support::peer::peer;
use crate::support::scratch::Scratch;

/// When it is asked, seconds.
const ASKED: i64 = 3600;

/// An account, and how many seconds ago what its exporter shows was.
struct Account {
    last_success: Option<i64>,
    complete: Option<i64>,
    started: i64,
}

const WELL: Account = Account { last_success: Some(30), complete: Some(45), started: 3000 };
/// Started again with a secret that is refused, on a state of 50 minutes ago.
const REFUSED: Account = Account { last_success: None, complete: Some(3000), started: 60 };
/// Never anything but refused, and without a state.
const NEW: Account = Account { last_success: None, complete: None, started: 1200 };
/// No poll has succeeded any more for so long.
const OLD: Account = Account { last_success: Some(1000), complete: Some(1015), started: 3000 };

fn series(accounts: &[Account]) -> Vec<Value> {
    let mut series = Vec::new();
    for (number, account) in accounts.iter().enumerate() {
        for (name, ago) in [
            ("last_successful_poll", account.last_success),
            ("data_complete", account.complete),
            ("config_last_reload_success", Some(account.started)),
        ] {
            let Some(ago) = ago else { continue };
            let labels = format!("job=\"jelou\",instance=\"{number}\",account=\"{number}\"");
            let name = format!("jelou_exporter_{name}_timestamp_seconds{{{labels}}}");
            series.push(json!({ "series": name, "values": format!("{}x{}", ASKED - ago, ASKED / 60) }));
        }
    }
    series
}

#[test]
fn data_is_as_old_as_that_of_the_account_that_is_worst_off() {
    let Some(promtool) = peer("JELOU_TEST_PROMTOOL") else { return };
    let mut tests = Vec::new();
    for dashboard in files::dashboards() {
        let values = choices(dashboard.variables()).pop().unwrap();
        let ages = files::queries(&dashboard)
            .filter(|(panel, _)| panel["title"] == "Age of the data" && panel["type"] == "stat")
            .map(|(_, target)| substitute(target["expr"].as_str().unwrap(), &values).unwrap());
        for expression in ages {
            for (accounts, age) in [
                (&[WELL][..], Some(30)),
                (&[REFUSED], Some(3000)),
                (&[WELL, REFUSED], Some(3000)),
                (&[WELL, NEW], Some(1200)),
                (&[WELL, OLD], Some(1000)),
                (&[], None),
            ] {
                let samples: Vec<_> = age.into_iter().map(|age| json!({ "labels": "{}", "value": age })).collect();
                tests.push(json!({
                    "interval": "1m",
                    "input_series": series(accounts),
                    "promql_expr_test": [{ "expr": expression, "eval_time": "60m", "exp_samples": samples }],
                }));
            }
        }
    }
    assert_eq!(tests.len(), 12, "one panel of each of two dashboards");
    let folder = Scratch::new();
    let file = folder.0.join("ages.yml");
    // JSON is YAML.
    std::fs::write(&file, json!({ "tests": tests }).to_string()).unwrap();
    let output = Command::new(promtool).args(["test", "rules"]).arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("SUCCESS"), "{}: {said}", output.status);
}
