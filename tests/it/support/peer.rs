//! Other people's programs, found by environment variables; a test that misses its peer says so and passes.

use std::path::PathBuf;
use std::process::Command;

use super::eventually;
use super::exposition::{Labels, Series};
use super::program::Program;
use super::scratch::Scratch;
use super::web::{self, Answer};

/// The program that this variable names.
pub(crate) fn peer(variable: &str) -> Option<PathBuf> {
    let found = std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    if found.is_none() {
        // In one line: scripts look for it.
        eprintln!("left out: a test against a real program, because {variable} is not set");
    }
    found
}

/// Where a server of the Prometheus project listens, once it is ready.
#[track_caller]
pub(crate) fn listens(program: &Program) -> String {
    // The first line with an address has the port 0 that was asked for.
    let address = eventually(|| {
        let said = program.stderr();
        let line = said.lines().find(|line| line.contains("msg=\"Listening on\""));
        let address = line.and_then(|line| line.split_once(" address=")).map(|(_, address)| address.trim());
        address.map(str::to_owned).ok_or(said)
    });
    eventually(|| match web::get(&address, "/-/ready") {
        Ok(Answer { status: 200, .. }) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    address
}

/// A Prometheus server.
pub(crate) struct Prometheus {
    pub(crate) address: String,
    _program: Program,
    _data: Scratch,
}

impl Prometheus {
    /// Scrapes this address, or nothing.
    #[track_caller]
    pub(crate) fn start(binary: PathBuf, target: Option<&str>, flags: &[&str]) -> Self {
        Self::scraping(binary, target, "", flags)
    }

    /// Scrapes this address by these settings of the job, each with a comma after it.
    #[track_caller]
    pub(crate) fn scraping(binary: PathBuf, target: Option<&str>, settings: &str, flags: &[&str]) -> Self {
        let jobs = target.map_or(String::new(), |target| {
            format!(
                "\n  - {{job_name: it, scrape_interval: 1s, scrape_timeout: 1s, {settings} static_configs: [{{targets: ['{target}']}}]}}"
            )
        });
        Self::configured(binary, &format!("scrape_configs:{jobs}\n"), flags)
    }

    /// Reads this configuration.
    #[track_caller]
    pub(crate) fn configured(binary: PathBuf, configuration: &str, flags: &[&str]) -> Self {
        let data = Scratch::new();
        let config = data.0.join("prometheus.yml");
        std::fs::write(&config, configuration).unwrap();
        let mut command = Command::new(binary);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", data.0.join("data").display()));
        command.arg("--web.listen-address=127.0.0.1:0").args(flags);
        let program = Program::start(&mut command);
        let address = listens(&program);
        Self { address, _program: program, _data: data }
    }

    /// The newest value of each series that the selector or expression yields, without `job` and `instance`.
    pub(crate) fn query(&self, expression: &str) -> Result<Vec<(Series, String)>, String> {
        let rows = self.rows(&format!("/api/v1/query?query={}", web::escape(expression)))?;
        // A native histogram has no value of its own.
        let rows = rows.into_iter().filter(|(_, row)| row["value"].is_array());
        Ok(rows.map(|(series, row)| (series, row["value"][1].as_str().unwrap().to_owned())).collect())
    }

    /// The rows that this path of the API yields, each with its series without `job` and `instance`.
    pub(crate) fn rows(&self, path: &str) -> Result<Vec<(Series, serde_json::Value)>, String> {
        let answer = web::get(&self.address, path).map_err(|error| error.to_string())?;
        let body: serde_json::Value = serde_json::from_str(&answer.body).map_err(|error| error.to_string())?;
        let rows = body["data"].as_array().or(body["data"]["result"].as_array()).ok_or(answer.body)?;
        let series = rows.iter().map(|row| {
            let labels = row.get("metric").or(row.get("seriesLabels")).unwrap();
            let mut labels: Labels = serde_json::from_value(labels.clone()).unwrap();
            labels.retain(|key, _| !["job", "instance"].contains(&&**key));
            let name = labels.remove("__name__").unwrap_or_default();
            (Series { name, labels }, row.clone())
        });
        Ok(series.collect())
    }
}
