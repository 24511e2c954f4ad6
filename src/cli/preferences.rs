//! `tripos preferences`: pairs to learn from, out of rankings, runs and files of others.

use super::compare::run_folder;
use super::failure::{Failure, print_problems};
use super::output::{complain, print};
use super::rewriting::Format;
use crate::error::Place;
use crate::rank::preferences::{Made, Preference, Request, Source, make};
use crate::rank::{RankError, RankProblem};
use crate::repair::lineage::content;
use crate::store::training::FileRecord;
use crate::store::{OriginRecord, Origins};
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Arguments of `preferences`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Rankings, preferences (prompt, chosen, rejected), conversations (chosen, rejected, as in HH-RLHF), each as JSONL or
    /// packed (.gz), or folders of runs
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The file to write
    #[arg(short, long, value_name = "OUT")]
    out: PathBuf,
    /// Of a run: what this scorer finds better is chosen
    #[arg(long, value_name = "NAME")]
    scorer: Option<String>,
    /// Of a run: only answers of this variant (repeatable)
    #[arg(long, value_name = "NAME")]
    variant: Vec<String>,
    /// Of rankings: only judgements by this axis, `overall` for those by none (repeatable)
    #[arg(long, value_name = "NAME")]
    axis: Vec<String>,
    /// Of rankings: take those of simulated raters, too
    #[arg(long)]
    simulated: bool,
    /// Leave out pairs with a smaller margin; those without one are kept
    #[arg(long, value_name = "M")]
    min_margin: Option<f64>,
    /// Keep this share of the prompts for a test
    #[arg(long, value_name = "SHARE", requires = "test_out", value_parser = share)]
    test: Option<f64>,
    /// The file that gets the pairs of those prompts
    #[arg(long, value_name = "FILE", requires = "test")]
    test_out: Option<PathBuf>,
    /// Refuse prompts that this file has, too: the other side of a split made elsewhere (repeatable)
    #[arg(long, value_name = "FILE")]
    apart_from: Vec<PathBuf>,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// A share strictly between 0 and 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err("a share is a number between 0 and 1".to_owned()),
    }
}

/// Makes them and writes them.
pub(super) fn run(args: &Args, quiet: bool) -> Result<(), Failure> {
    let request = Request {
        files: args.files.iter().map(|file| run_folder(file)).collect(),
        scorer: args.scorer.clone(),
        variants: args.variant.clone(),
        axes: args.axis.clone(),
        min_margin: args.min_margin,
        simulated: args.simulated,
        test: args.test,
        apart_from: args.apart_from.iter().map(|file| run_folder(file)).collect(),
    };
    let read = request.files.iter().chain(&request.apart_from);
    check_outputs(args, &read.cloned().collect::<Vec<_>>())?;
    let made = make(&request)?;
    if !quiet {
        print_problems(&made.warnings);
        for source in &made.sources {
            let (path, kind) = (source.path.display(), source.kind.name());
            complain(&format!("{path}: {kind}, {} rows, {} pairs\n", source.rows, source.pairs));
        }
        if !made.dropped.is_empty() {
            complain(&format!("left out: {}\n", made.dropped));
        }
    }
    write(&args.out, &made.train)?;
    if let Some(file) = &args.test_out {
        write(file, &made.test)?;
    }
    note(args, &made)?;
    print(&said(args, &made))
}

/// What is written must not be what is read, nor both results the same file.
fn check_outputs(args: &Args, read: &[PathBuf]) -> Result<(), RankError> {
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut known: Vec<PathBuf> = read.iter().map(|path| whole(path)).collect();
    for out in std::iter::once(&args.out).chain(&args.test_out) {
        if known.contains(&whole(out)) {
            return Err(RankProblem::Overwrites.at(Place::file(out)));
        }
        known.push(whole(out));
    }
    Ok(())
}

/// The file appears whole or not at all.
fn write(path: &Path, pairs: &[Preference]) -> Result<(), RankError> {
    let failed = |e: std::io::Error| RankProblem::Write { reason: e.to_string() }.at(Place::file(path));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let lay = || -> std::io::Result<()> {
        let mut file = std::io::BufWriter::new(tempfile::NamedTempFile::new_in(folder)?);
        for pair in pairs {
            serde_json::to_writer(&mut file, pair)?;
            file.write_all(b"\n")?;
        }
        let file = file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        #[cfg(unix)]
        std::fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    };
    lay().map_err(failed)
}

/// Says beside what was written what it was made from, for `tripos lineage`.
fn note(args: &Args, made: &Made) -> Result<(), RankError> {
    let origin = |source: &Source| {
        let file = FileRecord { path: source.path.canonicalize()?, sha256: content(&source.path)? };
        Ok(OriginRecord { kind: source.kind.name().to_owned(), file })
    };
    for out in std::iter::once(&args.out).chain(&args.test_out) {
        let lay =
            || Origins::new(content(out)?, made.sources.iter().map(origin).collect::<std::io::Result<_>>()?).write(out);
        lay().map_err(|e| RankProblem::Write { reason: e.to_string() }.at(Place::file(out)))?;
    }
    Ok(())
}

fn said(args: &Args, made: &Made) -> String {
    let (train, test) = (made.train.len(), made.test.len());
    match args.format {
        Format::Json => {
            let document = json!({
                "schema": 1, "out": args.out, "test_out": args.test_out, "files": made.sources, "pairs": train,
                "test_pairs": test, "prompts": made.prompts, "dropped": made.dropped,
            });
            format!("{document}\n")
        }
        Format::Text => {
            let test = args.test_out.as_ref().map_or_else(String::new, |file| {
                format!("wrote {}: {test} pairs, no prompt of which is in the other\n", file.display())
            });
            format!("wrote {}: {train} pairs\n{test}{} prompts in all\n", args.out.display(), made.prompts)
        }
    }
}
