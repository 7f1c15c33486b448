//! Arguments → configuration → run → exit status.

use std::io::{self, Write as _};
use std::panic;
use std::process::ExitCode;

use jelou_exporter::{app, cli, panics};

fn main() -> ExitCode {
    panics::tell();
    // A bug ends with 1, as every failure does; what is told of it has been told.
    panic::catch_unwind(program).unwrap_or(ExitCode::FAILURE)
}

#[expect(clippy::print_stderr, reason = "errors are what a command line answers with")]
fn program() -> ExitCode {
    let invocation = match cli::parse_process() {
        Ok(invocation) => invocation,
        Err(stop) => {
            match stop {
                // Whoever closes the pipe early (`--help | head`) has read enough.
                cli::Stop::Asked(_) => _ = writeln!(io::stdout(), "{stop}"),
                cli::Stop::Unusable(_) => eprintln!("{stop}"),
            }
            return ExitCode::from(stop.exit_status());
        }
    };
    match app::run(invocation) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
