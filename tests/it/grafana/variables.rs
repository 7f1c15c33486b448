//! The variables of the dashboards, each declared once.

use serde_json::{Value, json};

use super::panels::DATASOURCE;
use super::promql::expand;

/// The declaration of a variable.
pub(super) fn declare(name: &str) -> Value {
    match name {
        "datasource" => json!({
            "name": name, "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1,
            "description": "The Prometheus that scrapes the exporter, or that it pushes to.",
        }),
        "job" => {
            values(name, "Job", "jelou_exporter_build_info", "The scrape job; where metrics are pushed, service.name.")
        }
        "account" => values(name, "Account", "jelou_up{J}", "The exporter's api.account."),
        "team" => values(
            name,
            "Team",
            "jelou_operator_reply_decided_total{A}",
            "The team that a conversation was assigned to.",
        ),
        "bot" => values(
            name,
            "Bot",
            "jelou_operator_reply_decided_total{A,team=~\"$team\"}",
            "The bot that a conversation came from.",
        ),
        "window" => interval(name, "Window", &["15m", "30m", "1h", "3h", "6h", "12h", "1d", "7d"], "1h"),
        "promise" => custom(
            name,
            "Promise",
            "Which share of customers is to be answered within metrics.reply_target. The alerts have it from \
             jelou:promise_budget:ratio: change both. At 80 % and less the fastest of them cannot fire.",
            &[("80 %", "0.8"), ("90 %", "0.9"), ("95 %", "0.95")],
            "0.9",
        ),
        "threshold" => custom(
            name,
            "Answered within",
            "Another reply time to look at; one of metrics.reply_time_buckets.",
            &[
                ("30 s", "30"),
                ("1 min", "60"),
                ("2 min", "120"),
                ("3 min", "180"),
                ("5 min", "300"),
                ("10 min", "600"),
                ("15 min", "900"),
                ("30 min", "1800"),
                ("1 h", "3600"),
            ],
            "60",
        ),
        "conversation_url" => {
            let unset = "https://jelou.example/conversations/";
            json!({
                "name": name, "label": "Address of a conversation", "type": "textbox", "query": unset,
                "description": "Where a conversation is to be seen: an address that its id is appended to.",
                "current": {"text": unset, "value": unset},
                "options": [{"text": unset, "value": unset, "selected": true}],
            })
        }
        other => panic!("no variable is called {other}"),
    }
}

/// The values of a label, several at once or all of them.
fn values(name: &str, label: &str, of: &str, description: &str) -> Value {
    let query = expand(&format!("label_values({of}, {name})"));
    json!({
        "name": name, "label": label, "type": "query", "description": description, "datasource": *DATASOURCE,
        "query": {"query": query, "refId": name}, "refresh": 2, "sort": 1,
        "multi": true, "includeAll": true, "allValue": ".+",
        "current": {"text": ["All"], "value": ["$__all"]},
    })
}

fn interval(name: &str, label: &str, steps: &[&str], current: &str) -> Value {
    let options: Vec<_> =
        steps.iter().map(|step| json!({"text": step, "value": step, "selected": *step == current})).collect();
    json!({
        "name": name, "label": label, "type": "interval", "query": steps.join(","), "options": options,
        "description": "How much of the past each point of the curves tells of.",
        "refresh": 2, "current": {"text": current, "value": current},
    })
}

fn custom(name: &str, label: &str, description: &str, choices: &[(&str, &str)], current: &str) -> Value {
    let query: Vec<_> = choices.iter().map(|(text, value)| format!("{text} : {value}")).collect();
    let option = |(text, value): &(&str, &str)| json!({"text": text, "value": value, "selected": *value == current});
    let chosen = choices.iter().find(|(_, value)| *value == current).unwrap();
    json!({
        "name": name, "label": label, "type": "custom", "description": description, "query": query.join(", "),
        "options": choices.iter().map(option).collect::<Vec<_>>(), "multi": false, "includeAll": false,
        "current": {"text": chosen.0, "value": chosen.1},
    })
}
