//! Arguments → configuration → run → exit status.

use std::io::{self, Write as _};
use std::process::ExitCode;

use jelou_exporter::{app, cli};

#[expect(clippy::print_stderr, reason = "errors are what a command line answers with")]
fn main() -> ExitCode {
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
