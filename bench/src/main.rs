//! `nokv-bench`: NoKV beside its peers, measured in one run on one machine, losses included.
//!
//! Each subcommand belongs to an issue and grows with it. One whose subject does not exist yet says
//! so and exits with 2; nothing is faked. See README.md for the workloads, what the columns mean,
//! and how to get each peer.

mod bodies;
mod harness;
mod namespace;
mod stall;
mod ycsb;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use harness::{CellReport, Report, print_answer, render};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Exit code of a subcommand whose subject is not built yet.
const EXIT_NOT_YET: u8 = 2;

#[derive(Parser, Debug)]
#[command(name = "nokv-bench", about = "Measures NoKV beside its peers")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Small sizes: the whole subcommand in under a minute, to see that everything works.
    #[arg(long, global = true)]
    quick: bool,
    /// Also write the rows, what is missing and the remarks to this file.
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
enum Command {
    Ycsb(ycsb::YcsbArguments),
    Scaling(ycsb::ScalingArguments),
    Namespace(namespace::NamespaceArguments),
    Bodies(bodies::BodiesArguments),
    Stall(stall::StallArguments),
    /// Remote calls per second over the framed transport and gRPC.
    Rpc,
    /// The FUSE mount: create, stat, read, write.
    Mount,
    /// The agent verbs over a large catalog.
    Agent,
    /// One measurement in a process of its own (started by the others).
    #[command(hide = true)]
    Cell {
        bench: String,
        spec: String,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("nokv-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut report = Report::default();
    match &arguments.command {
        Command::Ycsb(options) => ycsb::run(options, arguments.quick, &mut report)?,
        Command::Scaling(options) => {
            ycsb::run_scaling(options, arguments.quick, &mut report)?;
        }
        Command::Namespace(options) => {
            namespace::run(options, arguments.quick, &mut report)?;
        }
        Command::Bodies(options) => bodies::run(options, arguments.quick, &mut report)?,
        Command::Stall(options) => {
            stall::run(options, arguments.quick)?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::Rpc => return Ok(not_yet("rpc", "the service, complete (issue 6)")),
        Command::Mount => return Ok(not_yet("mount", "the FUSE mount (issue 7)")),
        Command::Agent => return Ok(not_yet("agent", "the agent verbs and MCP (issue 8)")),
        Command::Cell { bench, spec } => {
            print_answer(answer_cell(bench, spec))?;
            return Ok(ExitCode::SUCCESS);
        }
    }
    print!("{}", render(&report));
    if let Some(path) = &arguments.json {
        write_json(path, &report)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn answer_cell(bench: &str, spec: &str) -> Result<CellReport> {
    match bench {
        "ycsb" => ycsb::answer_cell(spec),
        "namespace" => namespace::answer_cell(spec),
        "bodies" => bodies::answer_cell(spec),
        _ => bail!("no such cell: {bench}"),
    }
}

fn not_yet(name: &str, subject: &str) -> ExitCode {
    eprintln!("nokv-bench: {name} comes with {subject}; there is nothing to measure yet");
    ExitCode::from(EXIT_NOT_YET)
}

fn write_json(path: &Path, report: &Report) -> Result<()> {
    let json = serde_json::json!({
        "rows": report.rows, "missing": report.missing, "notes": report.notes
    });
    std::fs::write(path, serde_json::to_string_pretty(&json)?)
        .with_context(|| format!("write {}", path.display()))
}
