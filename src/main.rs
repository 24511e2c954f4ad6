//! The `tripos` program: checks the CPU, starts logging, calls the command line, maps the outcome to an exit code.

use std::process::ExitCode;
use tripos::error::render;
use tripos::{cli, ggml};

fn main() -> ExitCode {
    if let Err(error) = ggml::check_cpu() {
        cli::complain(&render(&error, false));
        return ExitCode::from(2);
    }
    cli::spin_less();
    ggml::explain_aborts();
    let arguments = match cli::parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(code) => return ExitCode::from(code),
    };
    cli::start_logging(&arguments);
    ExitCode::from(cli::dispatch(arguments))
}
