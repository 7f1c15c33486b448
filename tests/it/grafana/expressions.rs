//! What dashboards and rules ask for, against what the exporter shows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{Expr, LabelModifier, VectorSelector, parse};
use serde_json::Value;

use super::files::{self, Expression};
use super::vocabulary::{self, FREE, Known, Vocabulary};

/// Families that no dashboard and no rule asks for, and why that is as it should be.
const UNUSED: [(&str, &str); 1] = [(
    "jelou_exporter_http_connections_dropped_total",
    "the log tells when it begins to move; who sends the connections is seen elsewhere",
)];

/// What Grafana puts in for its own variables, and a dashboard for those with values that only Prometheus knows.
const GIVEN: [(&str, &str); 9] = [
    ("__rate_interval", "5m"),
    ("__interval", "5m"),
    ("__range", "1d"),
    ("account", ".+"),
    ("window", "1h"),
    ("job", ".+"),
    ("team", ".+"),
    ("bot", ".+"),
    ("datasource", "uid"),
];

pub(super) static SHOWN: LazyLock<Vocabulary> = LazyLock::new(vocabulary::shown);

/// The text with every `$variable` replaced, or which of them stands for nothing.
pub(super) fn substitute(text: &str, values: &BTreeMap<String, String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        let length = after.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(after.len());
        let (name, after) = after.split_at(length);
        out += before;
        out += values.get(name).ok_or_else(|| format!("${name} is no variable of the dashboard"))?;
        rest = after;
    }
    Ok(out + rest)
}

/// What the variables of a dashboard may stand for: each choice of each, beside the first of all others.
pub(super) fn choices(variables: &[Value]) -> Vec<BTreeMap<String, String>> {
    let mut first: BTreeMap<_, _> =
        GIVEN.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut others = Vec::new();
    for variable in variables.iter().filter(|variable| variable["type"] == "custom") {
        let name = variable["name"].as_str().unwrap();
        for option in variable["options"].as_array().unwrap() {
            others.push((name.to_owned(), option["value"].as_str().unwrap().to_owned()));
        }
        first.insert(name.to_owned(), variable["current"]["value"].as_str().unwrap().to_owned());
    }
    let one_other = |other: (String, String)| {
        let mut values = first.clone();
        values.extend([other]);
        values
    };
    let mut all: Vec<_> = others.into_iter().map(one_other).collect();
    all.push(first);
    all
}

/// What is wrong with an expression; whatever it asks for is added to `used`.
fn check(expression: &Expression, vocabulary: &Vocabulary, used: &mut BTreeSet<String>) -> Vec<String> {
    let complain = |what: String| format!("{}: {what}\n    {}", expression.place, expression.text);
    let parsed = match parse(&expression.text) {
        Ok(parsed) => parsed,
        Err(error) => return vec![complain(error)],
    };
    let mut reader = Reader { vocabulary, used, wrong: Vec::new() };
    let labels = reader.read(&parsed);
    for label in labels_of_legend(&expression.legend) {
        reader.need(&labels, label, "the legend names");
    }
    reader.wrong.into_iter().map(complain).collect()
}

/// `{{label}}` in a legend.
fn labels_of_legend(legend: &str) -> impl Iterator<Item = &str> {
    legend.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")).map(|(label, _)| label.trim())
}

struct Reader<'a> {
    vocabulary: &'a Vocabulary,
    used: &'a mut BTreeSet<String>,
    wrong: Vec<String>,
}

impl Reader<'_> {
    fn need(&mut self, labels: &BTreeSet<String>, label: &str, who: &str) {
        if !labels.contains(label) {
            self.wrong.push(format!("{who} the label {label}, which is not there"));
        }
    }

    /// The labels that the series of this expression may have.
    fn read(&mut self, expr: &Expr) -> BTreeSet<String> {
        match expr {
            Expr::VectorSelector(selector) => self.select(selector),
            Expr::MatrixSelector(matrix) => self.select(&matrix.vs),
            Expr::Subquery(inner) => self.read(&inner.expr),
            Expr::Paren(inner) => self.read(&inner.expr),
            Expr::Unary(inner) => self.read(&inner.expr),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => BTreeSet::new(),
            Expr::Call(call) => {
                let mut labels = BTreeSet::new();
                for argument in &call.args.args {
                    // What label_replace and label_join make is named in a text; so is what they make it from.
                    if let Expr::StringLiteral(text) = &**argument {
                        labels.insert(text.val.clone());
                    }
                    labels.extend(self.read(argument));
                }
                if call.func.name == "histogram_quantile" {
                    labels.remove("le");
                }
                labels
            }
            Expr::Aggregate(aggregate) => {
                let mut labels = self.read(&aggregate.expr);
                if let Some(parameter) = &aggregate.param {
                    self.read(parameter);
                }
                let keeps = ["topk", "bottomk", "limitk"].contains(&&*aggregate.op.to_string());
                match &aggregate.modifier {
                    Some(LabelModifier::Include(by)) => {
                        for label in &by.labels {
                            self.need(&labels, label, "it is summed up by");
                        }
                        if !keeps {
                            labels.retain(|label| by.labels.contains(label));
                        }
                    }
                    Some(LabelModifier::Exclude(without)) => {
                        for label in &without.labels {
                            self.need(&labels, label, "it is summed up without");
                        }
                        labels.retain(|label| !without.labels.contains(label));
                    }
                    None if keeps => {}
                    None => labels.clear(),
                }
                labels
            }
            Expr::Binary(binary) => {
                let (mut left, right) = (self.read(&binary.lhs), self.read(&binary.rhs));
                let modifier = binary.modifier.as_ref();
                if let Some(LabelModifier::Include(on)) = modifier.and_then(|modifier| modifier.matching.as_ref()) {
                    for label in &on.labels {
                        self.need(&left, label, "the left side is matched on");
                        self.need(&right, label, "the right side is matched on");
                    }
                }
                left.extend(right);
                left
            }
        }
    }

    fn select(&mut self, selector: &VectorSelector) -> BTreeSet<String> {
        let by_name = selector.matchers.matchers.iter().find(|matcher| matcher.name == "__name__");
        let Some(name) = selector.name.as_ref().or(by_name.map(|matcher| &matcher.value)) else {
            self.wrong.push("a selector without a name".to_owned());
            return BTreeSet::new();
        };
        let Some(known) = self.vocabulary.series.get(name) else {
            self.wrong.push(format!("{name} is not shown by the exporter"));
            return BTreeSet::new();
        };
        self.used.insert(name.clone());
        if !selector.matchers.or_matchers.is_empty() {
            self.wrong.push("alternatives between matchers, which Prometheus does not know".to_owned());
        }
        for matcher in selector.matchers.matchers.iter().filter(|matcher| matcher.name != "__name__") {
            if let Some(what) = wrong_matcher(known, matcher) {
                self.wrong.push(format!("{name}: {what}"));
            }
        }
        known.keys().cloned().collect()
    }
}

/// What is wrong with a matcher of a series with these labels.
fn wrong_matcher(known: &Known, matcher: &Matcher) -> Option<String> {
    let (label, value) = (&matcher.name, &matcher.value);
    let Some(values) = known.get(label) else { return Some(format!("has no label {label}")) };
    if FREE.contains(&&**label) || value.is_empty() {
        return None;
    }
    let all_there = match &matcher.op {
        MatchOp::Equal | MatchOp::NotEqual => values.contains(value),
        MatchOp::Re(regex) | MatchOp::NotRe(regex) => {
            let words = value.split('|');
            let plain = |word: &&str| word.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
            values.iter().any(|known| regex.is_match(known)) && words.filter(plain).all(|word| values.contains(word))
        }
    };
    (!all_there).then(|| format!("{label} is never {value:?}; there are {values:?}"))
}

/// Everything that is asked for.
struct Asked {
    /// By dashboards, with each choice of each variable.
    dashboards: Vec<Expression>,
    /// By rules, which may use what others of them record.
    rules: Vec<Expression>,
    recorded: Vec<String>,
    /// What could not be read so far.
    wrong: Vec<String>,
}

impl Asked {
    fn read() -> Self {
        let (mut dashboards, mut wrong) = (Vec::new(), Vec::new());
        for dashboard in files::dashboards() {
            let choices = choices(dashboard.variables());
            for expression in files::of_dashboard(&dashboard) {
                let texts: BTreeSet<_> = choices.iter().map(|values| substitute(&expression.text, values)).collect();
                for text in texts {
                    match text {
                        Ok(text) => dashboards.push(Expression { text, ..expression.clone() }),
                        Err(error) => wrong.push(format!("{}: {error}", expression.place)),
                    }
                }
            }
        }
        let all = files::rules();
        let recorded = all.iter().filter(|rule| !rule.alert).map(|rule| rule.name.clone()).collect();
        Self { dashboards, rules: all.into_iter().map(|rule| rule.expression).collect(), recorded, wrong }
    }

    /// What is wrong with the expressions that hold this text, the exporter showing this; and what they use.
    fn complaints(&self, holding: &str, vocabulary: &Vocabulary) -> (Vec<String>, BTreeSet<String>) {
        let (mut wrong, mut used) = (self.wrong.clone(), BTreeSet::new());
        // Dashboards stand on their own: recorded series are known only to the rules.
        let mut with_recorded = vocabulary.clone();
        with_recorded.add_recorded(self.recorded.iter().cloned());
        for (expressions, vocabulary) in [(&self.dashboards, vocabulary), (&self.rules, &with_recorded)] {
            for expression in expressions.iter().filter(|expression| expression.text.contains(holding)) {
                wrong.extend(check(expression, vocabulary, &mut used));
            }
        }
        (wrong, used)
    }
}

fn is_listed(family: &str) -> bool {
    UNUSED.iter().any(|(name, _)| *name == family)
}

#[test]
fn dashboards_and_rules_ask_for_what_is_shown() {
    let (mut wrong, used) = Asked::read().complaints("", &SHOWN);
    for family in SHOWN.families() {
        let is_used = ["", "_bucket", "_sum", "_count"].iter().any(|end| used.contains(&format!("{family}{end}")));
        if is_used == is_listed(family) {
            wrong.push(format!(
                "{family} has to be asked for by a dashboard or a rule, or be listed in UNUSED with the reason; not both"
            ));
        }
    }
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
}

/// A metric that is renamed in the catalog is missed, whichever it is.
#[test]
fn a_renamed_metric_is_noticed() {
    let asked = Asked::read();
    for family in SHOWN.families().filter(|family| !is_listed(family)) {
        let (wrong, _) = asked.complaints(family, &SHOWN.renamed(family, "jelou_renamed"));
        let missed = wrong.iter().any(|what| what.contains(family) && what.contains("is not shown by the exporter"));
        assert!(missed, "{family}: {wrong:?}");
    }
}

#[test]
fn faults_in_expressions_are_named() {
    let wrong = |text: &str, legend: &str| {
        let expression = Expression { place: "here".to_owned(), text: text.to_owned(), legend: legend.to_owned() };
        check(&expression, &SHOWN, &mut BTreeSet::new()).join("\n")
    };
    for fine in [
        "sum by (team, le) (rate(jelou_operator_reply_time_seconds_bucket{le=~\"300(\\\\.0)?\"}[5m]))",
        "sum(jelou_conversations_ended_total{state=~\"transferred|auto_transfer\"})",
        "up == 0",
        "max by (bot) (jelou_conversations_waiting) / on (bot) group_left () sum by (bot) (jelou_conversations_active)",
        "label_replace(jelou_up, \"who\", \"$1\", \"account\", \"(.*)\")",
    ] {
        assert_eq!(wrong(fine, ""), "", "{fine}");
    }
    for (text, legend, what) in [
        ("jelou_upp", "", "jelou_upp is not shown"),
        ("sum(jelou_up", "", "here: "),
        ("jelou_up{team=\"a\"}", "", "has no label team"),
        ("jelou_conversations_ended_total{state=\"active\"}", "", "state is never \"active\""),
        ("jelou_conversations_ended_total{state=~\"expired|gone\"}", "", "state is never \"expired|gone\""),
        ("jelou_operator_reply_time_seconds_bucket{le=\"301\"}", "", "le is never \"301\""),
        ("sum by (team) (jelou_up)", "", "summed up by the label team"),
        ("sum by (account) (jelou_up) / on (team) jelou_conversations_active", "", "matched on the label team"),
        ("sum by (account) (jelou_up)", "{{job}}", "the legend names the label job"),
        (
            "histogram_quantile(0.9, jelou_operator_reply_time_seconds_bucket)",
            "{{le}}",
            "the legend names the label le",
        ),
    ] {
        assert!(wrong(text, legend).contains(what), "{text}: {}", wrong(text, legend));
    }
}
