//! The file of rankings: appended line by line under a lock, so that several raters may write to it at once.

use super::error::{RankError, RankProblem};
use super::record::{Entry, Judgement, SCHEMA, Withdrawal};
use crate::error::{Place, Problems};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What the lines of the file are called in errors.
const KIND: &str = "rankings";

/// A file that judgements are appended to.
#[derive(Debug, Clone)]
pub struct RankingFile {
    path: PathBuf,
}

/// What a file says: the judgements that stand, in the order in which they were made.
#[derive(Debug, Default)]
pub struct Rankings {
    /// Each with the line that it stands in.
    pub judgements: Vec<(Place, Judgement)>,
    /// How many were taken back.
    pub withdrawn: usize,
    /// The last line has no end.
    pub cut: Option<RankError>,
}

impl RankingFile {
    /// The file at a path; it is made when it is first written to.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends entries, all or (after a crash) some of them, and has them on disk when it returns. Others who write wait for
    /// their turn. Half a line that somebody left who was killed is removed first; it was never answered for.
    pub fn append(&self, entries: &[Entry]) -> Result<(), RankError> {
        let write = |e: std::io::Error| RankProblem::Write { reason: e.to_string() }.at(Place::file(&self.path));
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, entry).map_err(|e| write(e.into()))?;
            lines.push(b'\n');
        }
        let open = || -> std::io::Result<File> {
            let file = OpenOptions::new().read(true).append(true).create(true).open(&self.path)?;
            file.lock()?;
            Ok(file)
        };
        let mut file = open().map_err(write)?;
        let mut add = || -> std::io::Result<()> {
            mend(&mut file)?;
            file.write_all(&lines)?;
            file.sync_data()
        };
        // The lock goes with the file.
        add().map_err(write)
    }

    /// What it says; nothing where it does not exist.
    pub fn read(&self) -> Result<Rankings, Problems> {
        if self.path.exists() { Rankings::read(&self.path) } else { Ok(Rankings::default()) }
    }
}

/// Ends the last line, or removes it if it is no whole value.
fn mend(file: &mut File) -> std::io::Result<()> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut tail = Vec::new();
    let mut start = length;
    while start > 0 {
        let from = start.saturating_sub(4096);
        let mut block = vec![0; usize::try_from(start - from).unwrap_or(0)];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut block)?;
        let end = block.iter().rposition(|byte| *byte == b'\n');
        tail.splice(0..0, block.drain(end.map_or(0, |end| end + 1)..));
        start = from;
        if end.is_some() {
            break;
        }
    }
    match tail.len() as u64 {
        0 => Ok(()),
        _ if serde_json::from_slice::<Value>(&tail).is_ok() => file.write_all(b"\n"),
        rest => file.set_len(length - rest),
    }
}

impl Rankings {
    /// Reads a file. A last line that is cut is passed over and said in [`Rankings::cut`]; anything else that is wrong is an
    /// error, and all errors are reported at once.
    pub fn read(path: &Path) -> Result<Self, Problems> {
        let bytes = std::fs::read(path)
            .map_err(|e| Problems::from(RankProblem::Read { reason: e.to_string() }.at(Place::file(path))))?;
        let (mut found, mut problems) = (Self::default(), Problems::new());
        let mut withdrawn: BTreeSet<(String, String)> = BTreeSet::new();
        for (number, line) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
            let whole = line.last() == Some(&b'\n');
            if line.trim_ascii().is_empty() {
                continue;
            }
            match entry(line) {
                Ok(Entry::Judgement(judgement)) => found.judgements.push((Place::new(path, number, 1), *judgement)),
                Ok(Entry::Withdrawal(Withdrawal { rater, withdraws, .. })) => {
                    withdrawn.insert((rater, withdraws));
                }
                Err((problem, _)) if !whole && matches!(problem, RankProblem::Line { .. }) => {
                    let cut = RankProblem::Cut { bytes: line.len() };
                    found.cut = Some(cut.at(Place::new(path, number, 1)));
                }
                Err((problem, column)) => problems.push(problem.at(Place::new(path, number, column))),
            }
        }
        let before = found.judgements.len();
        found.judgements.retain(|(_, one)| !withdrawn.contains(&(one.rater.clone(), one.id.clone())));
        found.withdrawn = before - found.judgements.len();
        problems.or_ok(found)
    }
}

/// A line, or what is wrong with it and in which column.
fn entry(line: &[u8]) -> Result<Entry, (RankProblem, usize)> {
    let broken = |e: serde_json::Error| {
        let reason = e.to_string();
        let reason = reason.split(" at line ").next().unwrap_or_default().to_owned();
        (RankProblem::Line { kind: KIND, reason }, e.column())
    };
    let value: Value = serde_json::from_slice(line).map_err(broken)?;
    if let Some(found) = value.get("schema").and_then(Value::as_u64).filter(|found| *found > u64::from(SCHEMA)) {
        return Err((RankProblem::Newer { found }, 1));
    }
    if value.get("withdraws").is_some() {
        return Ok(Entry::Withdrawal(serde_json::from_slice(line).map_err(broken)?));
    }
    let judgement: Judgement = serde_json::from_slice(line).map_err(broken)?;
    match judgement.problem() {
        Some(problem) => Err((problem, 1)),
        None => Ok(Entry::Judgement(Box::new(judgement))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Verdict;
    use super::super::record::tests::judged;
    use super::*;
    use crate::error::render;

    fn line(case: &str) -> Entry {
        Entry::Judgement(Box::new(judged("ann", case, &["x", "y"], Verdict::Order(vec![vec![0], vec![1]]))))
    }

    fn cases(file: &RankingFile) -> Vec<String> {
        file.read().unwrap().judgements.into_iter().map(|(_, judgement)| judgement.case).collect()
    }

    #[test]
    fn half_a_line_is_passed_over_and_mended_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let file = RankingFile::new(dir.path().join("r.jsonl"));
        file.append(&[line("one")]).unwrap();
        let whole = std::fs::read(file.path()).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(file.path(), [&whole[..], &whole[..cut]].concat()).unwrap();
            let read = file.read().unwrap();
            let complete = usize::from(cut + 1 == whole.len());
            assert_eq!(read.judgements.len(), 1 + complete, "cut at {cut}");
            assert_eq!(read.cut.is_some(), cut > 0 && complete == 0, "cut at {cut}");
            file.append(&[line("two")]).unwrap();
            let found = cases(&file);
            assert_eq!((found.len(), found[0].as_str(), found.last().unwrap().as_str()), (2 + complete, "one", "two"));
        }
    }

    #[test]
    fn a_long_last_line_is_mended_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let file = RankingFile::new(dir.path().join("r.jsonl"));
        file.append(&[line("one")]).unwrap();
        let whole = std::fs::read(file.path()).unwrap();
        std::fs::write(file.path(), [&whole[..], b"{\"rater\":\"", &vec![b'x'; 100_000][..]].concat()).unwrap();
        file.append(&[line("two")]).unwrap();
        assert_eq!(cases(&file), ["one", "two"]);
    }

    #[test]
    fn what_is_withdrawn_does_not_stand_and_nobody_withdraws_for_others() {
        let dir = tempfile::tempdir().unwrap();
        let file = RankingFile::new(dir.path().join("r.jsonl"));
        let back = |rater: &str, case: &str| {
            let (withdraws, rater) = (format!("ann-{case}"), rater.to_owned());
            Entry::Withdrawal(Withdrawal { schema: SCHEMA, withdraws, rater, time: String::new() })
        };
        file.append(&[line("one"), line("two"), back("ann", "one"), back("bob", "two")]).unwrap();
        assert_eq!((cases(&file), file.read().unwrap().withdrawn), (vec!["two".to_owned()], 1));
    }

    #[test]
    fn many_writers_at_once_lose_nothing_and_mix_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = RankingFile::new(dir.path().join("r.jsonl"));
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let file = file.clone();
                scope.spawn(move || (0..25).for_each(|i| file.append(&[line(&format!("{writer}-{i}"))]).unwrap()));
            }
        });
        let mut found = cases(&file);
        found.sort();
        found.dedup();
        assert_eq!(found.len(), 200);
    }

    #[test]
    fn every_bad_line_is_said_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.jsonl");
        let one = serde_json::to_string(&judged("ann", "c", &["x"], Verdict::CantTell)).unwrap();
        let text = format!("{one}\n{{\"schema\":9}}\n{{\"schema\":1,\"oops\":2}}\n{{]\n\n");
        std::fs::write(&path, text).unwrap();
        let said: String = Rankings::read(&path).unwrap_err().iter().map(|problem| render(problem, false)).collect();
        insta::assert_snapshot!(said.replace(&path.display().to_string(), "r.jsonl"), @r"
        error: a ranking of one answer says nothing
          --> r.jsonl:1:1
          help: remove the line; a judgement compares two answers or more
        error: a judgement of schema 9, and this version reads up to 1
          --> r.jsonl:2:1
          help: update Tripos
        error: not a line of rankings: unknown field `oops`, expected one of `schema`, `id`, `run`, `case`, `tags`, `rater`, `axis`, `prompt`, `answers`, `order`, `scores`, `cant_tell`, `comment`, `seconds`, `time`, `again`
          --> r.jsonl:3:18
          help: mend the line or remove it
        error: not a line of rankings: key must be a string
          --> r.jsonl:4:2
          help: mend the line or remove it
        ");
    }
}
