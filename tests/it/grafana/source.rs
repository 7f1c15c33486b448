//! The source of the dashboards (`grafana/src/*.yaml`): what differs from panel to panel, and nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

/// A threshold: from which value on (none: from the least), which colour.
pub(super) type Step = (Option<f64>, String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dashboard {
    pub(super) uid: String,
    pub(super) title: String,
    pub(super) description: String,
    /// Names of variables, in the order in which they are shown.
    pub(super) variables: Vec<String>,
    pub(super) rows: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) title: String,
    /// Of each of its panels; these stand side by side and go on below where 24 columns are full.
    pub(super) height: u64,
    pub(super) panels: Vec<Panel>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Stat,
    Timeseries,
    /// A time series in stacked bars.
    Bars,
    Bargauge,
    Barchart,
    Heatmap,
    Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) kind: Kind,
    /// In columns, of 24.
    pub(super) width: u64,
    /// The question that it answers.
    pub(super) asks: String,
    /// What its colours mean.
    pub(super) means: Option<String>,
    pub(super) unit: String,
    pub(super) decimals: Option<u64>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    /// How far the axis reaches at least.
    pub(super) reaches: Option<f64>,
    #[serde(default)]
    pub(super) steps: Vec<Step>,
    /// Draws the thresholds as lines.
    #[serde(default)]
    pub(super) lines: bool,
    /// What stands there when there is no value.
    pub(super) none: Option<String>,
    /// Words in the place of numbers.
    #[serde(default)]
    pub(super) words: BTreeMap<String, String>,
    /// A graph behind a single number.
    #[serde(default)]
    pub(super) graph: bool,
    /// A logarithmic axis.
    #[serde(default)]
    pub(super) log: bool,
    /// Per cent of opacity below lines.
    #[serde(default)]
    pub(super) fill: u64,
    /// The least step of the queries.
    pub(super) interval: Option<String>,
    /// The most points of a series.
    pub(super) points: Option<u64>,
    /// A range of its own, whatever the dashboard shows.
    pub(super) from: Option<String>,
    /// How far that range lies back.
    pub(super) shift: Option<String>,
    /// Of a heat map: dots of single conversations. The way to each is the data source's, see `links`.
    #[serde(default)]
    pub(super) exemplars: bool,
    #[serde(default)]
    pub(super) queries: Vec<Query>,
    #[serde(default)]
    pub(super) overrides: Vec<Override>,
    /// As Grafana writes them.
    #[serde(default)]
    pub(super) transformations: Vec<Value>,
    /// Of a table: the label that a row stands for.
    pub(super) by: Option<String>,
    /// Of a table: where a click on that label leads.
    pub(super) link: Option<Link>,
    /// Of a table: the column that it is sorted by, least first.
    pub(super) sort: Option<String>,
    #[serde(default)]
    pub(super) columns: Vec<Column>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    pub(super) expr: String,
    #[serde(default)]
    pub(super) legend: String,
    #[serde(default)]
    pub(super) instant: bool,
    pub(super) format: Option<String>,
}

/// What is different about one series, or some.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Override {
    /// Its legend.
    pub(super) of: Option<String>,
    /// A regular expression for legends, between slashes.
    pub(super) like: Option<String>,
    pub(super) colour: Option<String>,
    pub(super) line: Option<Line>,
    pub(super) unit: Option<String>,
    pub(super) axis: Option<String>,
    /// How far that axis reaches at least.
    pub(super) reaches: Option<f64>,
    pub(super) fill: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Line {
    /// What was meant to be, or was before: in the colour of text.
    Dashed,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Link {
    pub(super) title: String,
    /// The dashboard that it leads to.
    pub(super) to: String,
    /// The variable that it sets.
    pub(super) variable: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) expr: String,
    /// The label that it shows, in place of the value.
    pub(super) label: Option<String>,
    pub(super) unit: Option<String>,
    pub(super) decimals: Option<u64>,
    #[serde(default)]
    pub(super) steps: Vec<Step>,
}

pub(super) fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/grafana"))
}

/// Every dashboard, by name of its source.
pub(super) fn read() -> Vec<Dashboard> {
    ["overview", "team", "exporter"]
        .iter()
        .map(|name| {
            let path = folder().join("src").join(format!("{name}.yaml"));
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            serde_norway::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
        .collect()
}
