//! Arguments → configuration → run → exit status.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::panic;
use std::process::ExitCode;

use jelou_exporter::{app, cli, panics};

fn main() -> ExitCode {
    panics::tell();
    // A bug ends with 1, as every failure does; what is told of it has been told.
    panic::catch_unwind(program).unwrap_or(ExitCode::FAILURE)
}

fn program() -> ExitCode {
    let done = match cli::parse_process() {
        Ok(invocation) => app::run(invocation),
        Err(stop @ cli::Stop::Asked(_)) => app::print(format!("{stop}\n").as_bytes()),
        Err(stop @ cli::Stop::Unusable(_)) => {
            say(&stop);
            return ExitCode::from(stop.exit_status());
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Tells on standard error. Where that is closed (`once 2>&1 | head -1`), the exit status still says it.
fn say(what: &dyn Display) {
    let _ = writeln!(io::stderr(), "{what}");
}
