//! Arguments → configuration → run → exit status.

use std::process::ExitCode;

use jelou_exporter::{app, cli};

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "help and errors are what a command line answers with")]
fn main() -> ExitCode {
    let invocation = match cli::parse_process() {
        Ok(invocation) => invocation,
        Err(stop) => {
            match stop {
                cli::Stop::Asked(_) => println!("{stop}"),
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
