//! The command line of containerarchive.

mod args;
mod catalogue;
mod client;
mod commands;
mod completion;
mod context;
mod credentials;
mod documents;
mod failure;
mod interrupt;
mod key_file;
mod rpc;
mod source;
mod ui;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = completion::answer() {
        return code;
    }
    let cli = match args::Cli::read() {
        Ok(cli) => cli,
        Err(error) => return ui::usage_error(&error),
    };
    let is_json = cli.global.json;
    let terminal = ui::Terminal::new(&cli.global);
    let done = interrupt::watch().and_then(|()| commands::run(cli, &terminal));
    terminal.finish_progress();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let failure = failure.or_interrupted(interrupt::is_interrupted());
            ui::report_failure(&failure, is_json, &terminal);
            ExitCode::from(failure.exit_code())
        }
    }
}
