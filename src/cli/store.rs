//! `fanwire store …`: what operators do with a data directory that no broker has open.

use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Subcommand, ValueEnum};
use fanwire::store::{Damaged, Disk, DiskOptions, Found, Inspection, Space, StoreError};
use serde::Serialize;

use super::readable::{Blocks, exported, named};

/// What to do with a data directory. No broker may have it open, and only `repair` writes to it.
#[derive(Subcommand)]
pub enum StoreCommand {
    /// Read everything and say what is damaged; ends with 3 if something is
    Check(CheckArguments),
    /// Print entries as they are
    Dump(DumpArguments),
    /// Write everything that can be read as lines of JSON, messages decoded; ends with 3 if something cannot
    Export(ExportArguments),
    /// Make a damaged directory usable again, without what was lost; damaged files are set aside
    Repair(RepairArguments),
}

/// The directory.
#[derive(Args)]
struct DataDir {
    /// The broker's data directory
    #[arg(value_name = "DIR", env = "FANWIRE_DATA_DIR")]
    dir: PathBuf,
}

/// What to check.
#[derive(Args)]
pub struct CheckArguments {
    #[command(flatten)]
    data: DataDir,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What to print.
#[derive(Args)]
pub struct DumpArguments {
    #[command(flatten)]
    data: DataDir,
    /// Only this space: topics, messages, values, deliveries, seen, documents or store
    #[arg(long, value_parser = space_of)]
    space: Option<Space>,
    /// Only keys that begin so, as a topic's name does
    #[arg(long, value_name = "TEXT", default_value = "")]
    prefix: String,
    /// Print values, too
    #[arg(long, value_enum)]
    values: Option<As>,
}

/// How values are printed.
#[derive(Clone, Copy, ValueEnum)]
enum As {
    /// Two digits for each byte
    Hex,
    /// As text, other bytes escaped
    Text,
}

/// What to export.
#[derive(Args)]
pub struct ExportArguments {
    #[command(flatten)]
    data: DataDir,
    /// Only this space
    #[arg(long, value_parser = space_of)]
    space: Option<Space>,
}

/// What to repair.
#[derive(Args)]
pub struct RepairArguments {
    #[command(flatten)]
    data: DataDir,
    /// Yes, go on without the acknowledged commits that are lost
    #[arg(long, required = true)]
    accept_loss: bool,
}

/// The exit code that says: the command has run, and found damage.
const DAMAGED: u8 = 3;

fn space_of(name: &str) -> Result<Space, String> {
    let known = Space::ALL.iter().copied().find(|space| space.name() == name);
    known.ok_or_else(|| {
        let names: Vec<_> = Space::ALL.iter().map(|space| space.name()).collect();
        format!("spaces are {}", names.join(", "))
    })
}

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The store cannot be opened.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// Output cannot be written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Output cannot be made.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

impl StoreCommand {
    /// Does it.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let mut out = BufWriter::new(io::stdout().lock());
        let done = match self {
            Self::Check(arguments) => check(&arguments, &mut out),
            Self::Dump(arguments) => dump(&arguments, &mut out),
            Self::Export(arguments) => export(&arguments, &mut out),
            Self::Repair(arguments) => repair(&arguments, &mut out),
        };
        match done.and_then(|whole| Ok(out.flush().map(|()| whole)?)) {
            Ok(true) => Ok(ExitCode::SUCCESS),
            Ok(false) => Ok(ExitCode::from(DAMAGED)),
            // Whoever read the output has seen enough.
            Err(Failure::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
            Err(failure) => Err(failure),
        }
    }
}

/// What a check has found.
#[derive(Serialize)]
struct Report {
    whole: bool,
    commits: u64,
    acknowledged: Option<u64>,
    spaces: BTreeMap<&'static str, Count>,
    damage: Vec<Damaged>,
}

#[derive(Default, Serialize)]
struct Count {
    entries: u64,
    bytes: u64,
}

fn check(arguments: &CheckArguments, out: &mut impl Write) -> Result<bool, Failure> {
    let inspection = Inspection::open(&arguments.data.dir)?;
    let mut damage = inspection.damage();
    damage.extend(inspection.wrong_tables());
    let mut spaces = BTreeMap::new();
    for space in Space::ALL {
        let mut count = Count::default();
        let mut blocks = Blocks::default();
        for found in inspection.entries(space) {
            match found {
                Found::Damage(place) => damage.push(place),
                Found::Entry { key, value, .. } => {
                    count.entries += 1;
                    count.bytes += (key.len() + value.len()) as u64;
                    damage.extend(blocks.problem(space, &key, &value));
                }
            }
        }
        spaces.insert(space.name(), count);
    }
    let (commits, acknowledged) = (inspection.last_commit(), inspection.acknowledged());
    let report = Report { whole: damage.is_empty(), commits, acknowledged, spaces, damage };
    match arguments.json {
        true => writeln!(out, "{}", serde_json::to_string(&report)?)?,
        false => print(&report, out)?,
    }
    Ok(report.whole)
}

fn print(report: &Report, out: &mut impl Write) -> io::Result<()> {
    for (name, Count { entries, bytes }) in &report.spaces {
        writeln!(out, "{name:<11} {entries:>10} entries {bytes:>14} bytes")?;
    }
    writeln!(out, "{:<11} {:>10}", "commits", report.commits)?;
    for place in &report.damage {
        writeln!(out, "damaged: {place}")?;
    }
    match report.damage.len() {
        0 => writeln!(out, "everything is as it was written"),
        1 => writeln!(out, "1 place is damaged"),
        places => writeln!(out, "{places} places are damaged"),
    }
}

fn dump(arguments: &DumpArguments, out: &mut impl Write) -> Result<bool, Failure> {
    let inspection = Inspection::open(&arguments.data.dir)?;
    let mut whole = report_on(&inspection);
    for space in chosen(arguments.space) {
        for found in inspection.entries(space) {
            match found {
                Found::Damage(place) => whole = say(&place),
                Found::Entry { key, value, certain } if key.starts_with(arguments.prefix.as_bytes()) => {
                    let (doubt, name) = (if certain { "" } else { "  uncertain" }, named(space, &key));
                    write!(out, "{:<11} {:>8}  {name}{doubt}", space.name(), value.len())?;
                    match arguments.values {
                        None => writeln!(out)?,
                        Some(As::Hex) => writeln!(out, "  {}", data_encoding::HEXLOWER.encode(&value))?,
                        Some(As::Text) => writeln!(out, "  {}", value.escape_ascii())?,
                    }
                }
                Found::Entry { .. } => {}
            }
        }
    }
    Ok(whole)
}

fn export(arguments: &ExportArguments, out: &mut impl Write) -> Result<bool, Failure> {
    let inspection = Inspection::open(&arguments.data.dir)?;
    let mut whole = report_on(&inspection);
    for space in chosen(arguments.space) {
        for found in inspection.entries(space) {
            match found {
                Found::Damage(place) => whole = say(&place),
                Found::Entry { key, value, certain } => {
                    for line in exported(space, &key, &value, certain) {
                        // As an I/O error, so that a reader that closes its pipe early is told from a fault of ours.
                        serde_json::to_writer(&mut *out, &line).map_err(io::Error::from)?;
                        out.write_all(b"\n")?;
                    }
                }
            }
        }
    }
    Ok(whole)
}

fn repair(arguments: &RepairArguments, out: &mut impl Write) -> Result<bool, Failure> {
    debug_assert!(arguments.accept_loss, "without it the command is not understood");
    // Looked at before anything is opened for writing, which changes what there is to see.
    let before = Inspection::open(&arguments.data.dir)?.damage();
    let options = DiskOptions { accept_loss: true, ..DiskOptions::default() };
    drop(Disk::open_existing(&arguments.data.dir, options)?);
    for place in &before {
        writeln!(out, "accepted: {place}")?;
    }
    if before.is_empty() {
        writeln!(out, "nothing was missing")?;
    }
    Ok(true)
}

fn chosen(space: Option<Space>) -> Vec<Space> {
    space.map_or_else(|| Space::ALL.to_vec(), |space| vec![space])
}

/// Says what is wrong as a whole; whether nothing is.
fn report_on(inspection: &Inspection) -> bool {
    inspection.damage().iter().fold(true, |_, place| say(place))
}

/// Says what is damaged, which is not part of the output.
fn say(place: &Damaged) -> bool {
    // Standard error may be closed; there is nobody left to tell then.
    let _ = writeln!(io::stderr(), "damaged: {place}");
    false
}
