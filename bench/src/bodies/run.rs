//! A whole run: every input to every place by everybody who can, and back, compared.

use super::cell::{Action, Spec};
use super::compare::compare;
use super::input::{self, Input};
use super::place::Place;
use super::raw::{self, Direction};
use super::server::Server;
use super::tool::{Job, Tool, find_server};
use crate::harness::{Report, Row, Scratch, disk_mib, remove_tree, run_cell, settle_disk};
use anyhow::{Context, Result};
use clap::Args;
use std::path::{Path, PathBuf};

/// The raw object client's name in the rows.
const RAW: &str = "object_store (raw)";
/// A transfer that takes longer did not finish.
const TRANSFER_SECONDS_MAX: u64 = 900;

/// Bodies: a tree of small files and a set of checkpoints, to a folder and to S3, and back.
#[derive(Args, Debug, Clone)]
pub(crate) struct BodiesArguments {
    /// Files of the tree [default: 20000; quick: 400].
    #[arg(long)]
    files: Option<u64>,
    /// Real tree to take them from [default: cargo's registry sources, else Python's
    /// site-packages].
    #[arg(long)]
    tree: Option<PathBuf>,
    /// Checkpoint files [default: 8; quick: 4].
    #[arg(long)]
    checkpoints: Option<u64>,
    /// MiB of each checkpoint file [default: 256; quick: 64].
    #[arg(long)]
    checkpoint_mib: Option<u64>,
    /// Transfers in flight, for everybody.
    #[arg(long, default_value_t = 16)]
    concurrency: u32,
    /// How often each transfer runs; the row is the median [default: 3; quick: 1].
    #[arg(long)]
    rounds: Option<u32>,
    /// Only these systems (comma-separated): nokv,rclone,aws,cp,raw.
    #[arg(long, value_delimiter = ',')]
    systems: Vec<String>,
    /// Only these places (comma-separated): folder,s3.
    #[arg(long, value_delimiter = ',')]
    places: Vec<String>,
    /// Only these inputs (comma-separated): tree,checkpoint.
    #[arg(long, value_delimiter = ',')]
    inputs: Vec<String>,
    /// Where everything goes while measuring [default: the system's temporary directory].
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Measures everything that the arguments name.
pub(crate) fn run(arguments: &BodiesArguments, quick: bool, report: &mut Report) -> Result<()> {
    let scratch = Scratch::new(arguments.dir.as_deref())?;
    let inputs = make_inputs(arguments, quick, &scratch, report)?;
    let systems = find_systems(arguments, report);
    let mut places = Vec::new();
    if is_chosen(&arguments.places, "folder") {
        places.push(Place::Folder(scratch.place("folder")));
    }
    let server = start_server(arguments, &scratch, report);
    places.extend(server.as_ref().map(|server| server.place.clone()));
    let rounds = arguments.rounds.unwrap_or(if quick { 1 } else { 3 });
    for place in &places {
        for input in &inputs {
            let transfers = Transfers {
                arguments,
                scratch: &scratch,
                place,
                input,
            };
            transfers.run(&systems, rounds, report);
        }
    }
    Ok(())
}

/// A mover of directories.
#[derive(Clone)]
enum System {
    Tool(Tool, PathBuf),
    Raw,
}

fn is_chosen(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|chosen| name.starts_with(chosen.as_str()))
}

fn make_inputs(
    arguments: &BodiesArguments,
    quick: bool,
    scratch: &Scratch,
    report: &mut Report,
) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    if is_chosen(&arguments.inputs, "tree") {
        let files = arguments.files.unwrap_or(if quick { 400 } else { 20_000 });
        let source = arguments.tree.clone().or_else(real_source);
        let (input, remark) = input::real_tree(source.as_deref(), files, scratch.place("tree"))?;
        report.notes.push(remark);
        inputs.push(input);
    }
    if is_chosen(&arguments.inputs, "checkpoint") {
        let files = arguments.checkpoints.unwrap_or(if quick { 4 } else { 8 });
        let mib = arguments
            .checkpoint_mib
            .unwrap_or(if quick { 64 } else { 256 });
        inputs.push(input::checkpoint(
            files,
            mib << 20,
            scratch.place("checkpoint"),
        )?);
    }
    Ok(inputs)
}

/// A tree of real files on this machine, if it has one.
fn real_source() -> Option<PathBuf> {
    let home = PathBuf::from(std::env::var_os("HOME")?);
    let cargo = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    let candidates = [
        cargo.join("registry/src"),
        PathBuf::from("/usr/lib/python3/dist-packages"),
    ];
    candidates.into_iter().find(|dir| dir.is_dir())
}

fn find_systems(arguments: &BodiesArguments, report: &mut Report) -> Vec<System> {
    let mut systems = Vec::new();
    for tool in Tool::ALL
        .into_iter()
        .filter(|it| is_chosen(&arguments.systems, it.name()))
    {
        match tool.find() {
            Ok(program) => systems.push(System::Tool(tool, program)),
            Err(error) => report.miss(tool.name(), format!("{error:#}")),
        }
    }
    if is_chosen(&arguments.systems, "raw") {
        systems.push(System::Raw);
    }
    systems
}

fn start_server(
    arguments: &BodiesArguments,
    scratch: &Scratch,
    report: &mut Report,
) -> Option<Server> {
    if !is_chosen(&arguments.places, "s3") {
        return None;
    }
    let started = find_server().and_then(|_| Server::start(&scratch.place("weed")));
    match started.and_then(|server| raw::warm_up(&server.place).map(|()| server)) {
        Ok(server) => Some(server),
        Err(error) => {
            report.miss("every system on s3 (weed)", format!("{error:#}"));
            None
        }
    }
}

/// All transfers of one input to one place.
struct Transfers<'a> {
    arguments: &'a BodiesArguments,
    scratch: &'a Scratch,
    place: &'a Place,
    input: &'a Input,
}

impl Transfers<'_> {
    /// Runs the systems in turn, as often as asked, and reports each one's median.
    fn run(&self, systems: &[System], rounds: u32, report: &mut Report) {
        let mut measured: Vec<Vec<[Row; 2]>> = vec![Vec::new(); systems.len()];
        for round in 0..rounds {
            for (system, rows) in systems.iter().zip(&mut measured) {
                if !self.applies(system) {
                    continue;
                }
                match self.there_and_back(system, round) {
                    Ok(pair) => rows.push(pair),
                    Err(error) => {
                        let what = format!("{} to {}", self.input.name, self.place.name());
                        report.miss(system.name(), format!("{what}: {error:#}"));
                    }
                }
            }
        }
        for rows in measured {
            for direction in 0..2 {
                let rows = rows.iter().map(|pair| pair[direction].clone()).collect();
                if let Some(row) = median(rows) {
                    report.take(row);
                }
            }
        }
    }

    fn applies(&self, system: &System) -> bool {
        match system {
            System::Tool(tool, _) => tool.reaches(self.place),
            // Without metadata it can move a flat set of files, not a tree.
            System::Raw => self.input.name == "checkpoint",
        }
    }

    fn there_and_back(&self, system: &System, round: u32) -> Result<[Row; 2]> {
        let word = system
            .name()
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_owned();
        let label = format!("{word}-{}-{round}", self.input.name);
        let (home, back) = (self.scratch.place("home"), self.scratch.place("back"));
        remove_tree(&home)?;
        remove_tree(&back)?;
        // A folder of its own below the place, so that everybody finds it empty.
        let place = match self.place {
            Place::Folder(dir) => Place::Folder(dir.join(&label)),
            Place::S3 { .. } => self.place.clone(),
        };
        std::fs::create_dir_all(place.data())?;
        let job = Job {
            place: &place,
            label: &label,
            home: &home,
            concurrency: self.arguments.concurrency,
        };
        if let System::Tool(tool, program) = system {
            tool.prepare(program, job)?;
        }
        let before = disk_mib(place.data())?;
        let mut put = self.transfer(system, job, Direction::Put, &back)?;
        put.disk_mib = disk_mib(place.data())? - before + beside(&home)?;
        let mut get = self.transfer(system, job, Direction::Get, &back)?;
        get.disk_mib = disk_mib(&back)?;
        compare(&self.input.dir, &back).with_context(|| format!("{} is wrong", system.name()))?;
        remove_tree(&back)?;
        remove_tree(&home)?;
        if let Place::Folder(dir) = &place {
            remove_tree(dir)?;
        }
        Ok([put, get])
    }

    fn transfer(
        &self,
        system: &System,
        job: Job<'_>,
        direction: Direction,
        back: &Path,
    ) -> Result<Row> {
        let source = &self.input.dir;
        let action = match (system, direction) {
            (System::Tool(tool, program), Direction::Put) => {
                Action::Call(tool.put(program, job, source))
            }
            (System::Tool(tool, program), Direction::Get) => {
                Action::Call(tool.get(program, job, back))
            }
            (System::Raw, direction) => Action::Raw {
                direction,
                source: source.clone(),
                target: back.to_path_buf(),
            },
        };
        let verb = if direction == Direction::Put {
            "put"
        } else {
            "get"
        };
        let (unit, units) = match self.input.name {
            "tree" => ("files", self.input.files),
            _ => ("MiB", self.input.bytes >> 20),
        };
        let spec = Spec {
            system: system.name().into(),
            workload: format!("{verb}-{} [{unit}]", self.input.name),
            place: job.place.clone(),
            concurrency: job.concurrency,
            units,
            action,
        };
        settle_disk();
        let mut cell = run_cell("bodies", &spec, TRANSFER_SECONDS_MAX)?;
        cell.rows.pop().context("a cell without a row")
    }
}

impl System {
    fn name(&self) -> &'static str {
        match self {
            Self::Tool(tool, _) => tool.name(),
            Self::Raw => RAW,
        }
    }
}

/// What a tool keeps beside the bytes: our store; nothing for the others.
fn beside(home: &Path) -> Result<f64> {
    if home.is_dir() {
        disk_mib(home)
    } else {
        Ok(0.0)
    }
}

fn median(mut rows: Vec<Row>) -> Option<Row> {
    rows.sort_by(|left, right| left.ops_s.total_cmp(&right.ops_s));
    let middle = rows.len() / 2;
    (!rows.is_empty()).then(|| rows.swap_remove(middle))
}
