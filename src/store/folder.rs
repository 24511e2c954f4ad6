//! The folder of a run: opened before inference, locked while written, readable at any time.

use super::files::{self, create_folder, lock as lock_folder, whole_lines, write_json};
use super::{Header, KvCheck, Repeat, SCHEMA, Sample, Segment, Status, StoreError, Trial};
use crate::error::Place;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const HEADER: &str = "header.json";
const SAMPLES: &str = "samples.jsonl";

/// The file in a run's folder that holds its samples, one a line.
#[must_use]
pub fn samples_file(run: &Path) -> PathBuf {
    run.join(SAMPLES)
}

/// A run that is being written. The lock is held until it is dropped.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    header: Header,
    samples: BufWriter<File>,
    written: usize,
    /// Trials recorded now that nobody has answered.
    unanswered: usize,
    _lock: File,
}

impl RunFolder {
    /// Makes `parent/<suite>-<date>-<four digits>` and writes the header, whose `run` becomes that name.
    pub fn create(parent: &Path, mut header: Header) -> Result<Self, StoreError> {
        let write = |path: &Path| {
            let place = Place::file(path);
            move |e: std::io::Error| StoreError::Write { place, reason: e.to_string() }
        };
        let (path, run) = create_folder(parent, &header.suite_name).map_err(|(at, e)| write(&at)(e))?;
        header.run = run;
        let lock = lock(&path)?;
        let file = path.join(SAMPLES);
        let samples = BufWriter::new(File::create_new(&file).map_err(write(&file))?);
        header.status = Status::Started;
        header.segments = vec![segment(&header, jiff::Timestamp::now().to_string(), 0)];
        let folder = Self { path, header, samples, written: 0, unanswered: 0, _lock: lock };
        folder.write_header()?;
        Ok(folder)
    }

    /// Opens a run to go on with it: a last line cut in half is removed, and so are trials that nobody has answered. `build`
    /// is the program that goes on. Returns the trials that are recorded.
    pub fn resume(path: &Path, build: &str) -> Result<(Self, BTreeSet<Trial>), StoreError> {
        // The lock first: another process may be about to write its last word into the header.
        let lock = lock(path)?;
        let mut header = read_header(path)?;
        let file = path.join(SAMPLES);
        let write = |e: std::io::Error| StoreError::Write { place: Place::file(&file), reason: e.to_string() };
        let mut samples =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&file).map_err(write)?;
        let whole = whole_lines(&mut samples, |_| true).map_err(write)?;
        samples.set_len(whole).map_err(write)?;
        if without_unanswered(&file)? {
            samples = OpenOptions::new().read(true).write(true).open(&file).map_err(write)?;
        }
        let mut answered = BTreeSet::new();
        read_samples(path, |sample| {
            if sample.trial.repeat != Repeat::Reduced {
                answered.insert(sample.trial);
            }
        })?;
        samples.seek(SeekFrom::End(0)).map_err(write)?;
        let now = jiff::Timestamp::now().to_string();
        let begun = Segment { build: build.to_owned(), ..segment(&header, now, answered.len()) };
        header.segments.push(begun);
        header.status = Status::Started;
        let folder = Self {
            path: path.to_path_buf(),
            header,
            samples: BufWriter::new(samples),
            written: answered.len(),
            unanswered: 0,
            _lock: lock,
        };
        folder.write_header()?;
        Ok((folder, answered))
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the run was made with.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Notes what `--kv check` found; the header is written when the run is closed.
    pub fn kv_checked(&mut self, found: KvCheck) {
        if let Some(segment) = self.header.segments.last_mut() {
            segment.kv_checks.push(found);
        }
    }

    /// Notes how often shared beginnings were decoded again; the header is written when the run is closed.
    pub fn evicted(&mut self, times: usize) {
        if let Some(segment) = self.header.segments.last_mut() {
            segment.evictions += times;
        }
    }

    /// Trials recorded so far, those of earlier segments included, reduced ones not.
    #[must_use]
    pub fn written(&self) -> usize {
        self.written
    }

    /// Trials recorded since it was opened that nobody has answered, for a reason outside the model.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// Appends a sample and flushes it to the system.
    pub fn append(&mut self, sample: &Sample) -> Result<(), StoreError> {
        let mut write = || -> std::io::Result<()> {
            serde_json::to_writer(&mut self.samples, sample)?;
            self.samples.write_all(b"\n")?;
            self.samples.flush()
        };
        write()
            .map_err(|e| StoreError::Write { place: Place::file(self.path.join(SAMPLES)), reason: e.to_string() })?;
        self.written += usize::from(sample.trial.repeat != Repeat::Reduced);
        self.unanswered += usize::from(sample.unanswered);
        Ok(())
    }

    /// Notes how the run ended.
    pub fn close(mut self, status: Status) -> Result<(PathBuf, Header), StoreError> {
        self.header.status = status;
        if let Some(segment) = self.header.segments.last_mut() {
            segment.ended = Some(jiff::Timestamp::now().to_string());
        }
        self.write_header()?;
        Ok((self.path.clone(), self.header.clone()))
    }

    /// The header appears whole or not at all.
    fn write_header(&self) -> Result<(), StoreError> {
        let file = self.path.join(HEADER);
        let written = write_json(&file, &self.header);
        written.map_err(|e| StoreError::Write { place: Place::file(&file), reason: e.to_string() })
    }
}

/// The beginning of a line, to leave it out by.
#[derive(serde::Deserialize)]
struct Fate {
    trial: Trial,
    #[serde(default)]
    unanswered: bool,
}

/// Takes the trials that nobody has answered out of a file of samples, with what the repeats of their cases came to, and says
/// whether there were any. The file changes whole or not at all.
fn without_unanswered(file: &Path) -> Result<bool, StoreError> {
    let case = |trial: Trial| (trial.variant, trial.case);
    let mut open = BTreeSet::new();
    files::read_lines(file, |line| {
        let Fate { trial, unanswered } = serde_json::from_slice(line)?;
        if unanswered {
            open.insert(case(trial));
        }
        Ok(())
    })?;
    if open.is_empty() {
        return Ok(false);
    }
    let write = |e: std::io::Error| StoreError::Write { place: Place::file(file), reason: e.to_string() };
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut kept = BufWriter::new(tempfile::NamedTempFile::new_in(folder).map_err(write)?);
    let mut written = Ok(());
    files::read_lines(file, |line| {
        let Fate { trial, unanswered } = serde_json::from_slice(line)?;
        let stale = trial.repeat == Repeat::Reduced && open.contains(&case(trial));
        if !unanswered && !stale && written.is_ok() {
            written = kept.write_all(line);
        }
        Ok(())
    })?;
    written.map_err(write)?;
    let kept = kept.into_inner().map_err(|e| write(e.into_error()))?;
    #[cfg(unix)]
    std::fs::set_permissions(kept.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644)).map_err(write)?;
    kept.as_file().sync_all().map_err(write)?;
    kept.persist(file).map_err(|e| write(e.error))?;
    Ok(true)
}

/// A sitting that begins now, by the program that the header names.
fn segment(header: &Header, started: String, samples_before: usize) -> Segment {
    Segment { started, ended: None, samples_before, build: header.build(), evictions: 0, kv_checks: Vec::new() }
}

/// Takes the folder for this process.
fn lock(path: &Path) -> Result<File, StoreError> {
    let write =
        |(file, e): (PathBuf, std::io::Error)| StoreError::Write { place: Place::file(file), reason: e.to_string() };
    lock_folder(path).map_err(write)?.ok_or_else(|| StoreError::Busy { place: Place::file(path) })
}

/// Reads what a run was made with.
pub fn read_header(path: &Path) -> Result<Header, StoreError> {
    Ok(files::read_header(&path.join(HEADER), "suite_name", SCHEMA)?)
}

/// The beginning of a line, to pick by.
#[derive(serde::Deserialize)]
struct TrialOnly {
    trial: Trial,
}

/// Hands every whole line of a run's samples to `each`, one at a time; a last line without its end is passed over.
pub fn read_samples(path: &Path, each: impl FnMut(Sample)) -> Result<(), StoreError> {
    read_samples_of(path, |_| true, each)
}

/// The same for the trials that are wanted: of the others nothing but the trial is read.
pub fn read_samples_of(
    path: &Path,
    wanted: impl Fn(&Trial) -> bool,
    mut each: impl FnMut(Sample),
) -> Result<(), StoreError> {
    let each = |line: &[u8]| {
        if wanted(&serde_json::from_slice::<TrialOnly>(line)?.trial) {
            each(serde_json::from_slice(line)?);
        }
        Ok(())
    };
    Ok(files::read_lines(&path.join(SAMPLES), each)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{CaseRecord, CaseSet};
    use std::collections::BTreeMap;

    fn header() -> Header {
        Header {
            schema: SCHEMA,
            run: String::new(),
            status: Status::Started,
            tripos: "0".into(),
            llama_cpp: String::new(),
            features: vec![],
            suite_name: "s".into(),
            suite_path: "s.yaml".into(),
            suite: serde_json::Value::Null,
            scorers: vec![],
            cases: CaseSet { count: 1, sha256: String::new() },
            examples: CaseSet { count: 0, sha256: String::new() },
            models: BTreeMap::new(),
            flags: BTreeMap::new(),
            seed: 0,
            prefixes: BTreeMap::new(),
            trials: 2,
            segments: vec![],
        }
    }

    fn sample(case: &str) -> Sample {
        Sample {
            trial: Trial { variant: "v".into(), case: case.into(), repeat: Repeat::Number(0) },
            case: CaseRecord::default(),
            before: vec![],
            prompt: None,
            completion: None,
            likelihood: vec![],
            likelihood_cost: None,
            judge_tokens_decoded: 0,
            cached: false,
            pieces: BTreeMap::new(),
            unanswered: false,
            scores: vec![],
        }
    }

    #[test]
    fn what_is_appended_can_be_read_while_the_run_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = RunFolder::create(dir.path(), header()).unwrap();
        folder.append(&sample("a")).unwrap();
        let mut read = Vec::new();
        read_samples(folder.path(), |sample| read.push(sample)).unwrap();
        assert_eq!(read, [sample("a")]);
        let (path, closed) = folder.close(Status::Complete).unwrap();
        assert_eq!(read_header(&path).unwrap(), closed);
    }

    #[test]
    fn resuming_removes_half_a_line_and_knows_what_was_answered() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = RunFolder::create(dir.path(), header()).unwrap();
        folder.append(&sample("a")).unwrap();
        let path = folder.path().to_path_buf();
        drop(folder);
        let mut file = OpenOptions::new().append(true).open(path.join(SAMPLES)).unwrap();
        file.write_all(b"{\"trial\":{\"var").unwrap();
        let (mut folder, answered) = RunFolder::resume(&path, "b").unwrap();
        assert_eq!(answered, BTreeSet::from([sample("a").trial]));
        folder.append(&sample("b")).unwrap();
        let text = std::fs::read_to_string(path.join(SAMPLES)).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert_eq!(folder.header().segments.len(), 2);
        assert_eq!(folder.header().segments[1].samples_before, 1);
    }

    #[test]
    fn resuming_leaves_out_what_nobody_answered_and_what_its_repeats_came_to() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = RunFolder::create(dir.path(), header()).unwrap();
        let repeat = |case: &str, repeat| Sample {
            trial: Trial { repeat, ..sample(case).trial },
            unanswered: case == "a" && repeat == Repeat::Number(1),
            ..sample(case)
        };
        for case in ["a", "b"] {
            for number in [Repeat::Number(0), Repeat::Number(1), Repeat::Reduced] {
                folder.append(&repeat(case, number)).unwrap();
            }
        }
        assert_eq!((folder.written(), folder.unanswered()), (4, 1));
        let path = folder.path().to_path_buf();
        drop(folder);
        let (mut folder, answered) = RunFolder::resume(&path, "b").unwrap();
        assert_eq!((answered.len(), folder.written()), (3, 3));
        folder.append(&Sample { unanswered: false, ..repeat("a", Repeat::Number(1)) }).unwrap();
        let mut left = Vec::new();
        read_samples(&path, |sample| left.push((sample.trial.case, sample.trial.repeat))).unwrap();
        let b = [Repeat::Number(0), Repeat::Number(1), Repeat::Reduced].map(|repeat| ("b".to_owned(), repeat));
        let a = [Repeat::Number(0), Repeat::Number(1)].map(|repeat| ("a".to_owned(), repeat));
        assert_eq!(left, [&a[..1], &b[..], &a[1..]].concat());
    }

    #[test]
    fn a_second_writer_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(dir.path(), header()).unwrap();
        assert!(matches!(RunFolder::resume(folder.path(), "b").unwrap_err(), StoreError::Busy { .. }));
        let path = folder.path().to_path_buf();
        drop(folder);
        assert!(RunFolder::resume(&path, "b").is_ok());
    }

    #[test]
    fn a_damaged_line_and_a_newer_schema_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(dir.path(), Header { schema: SCHEMA + 1, ..header() }).unwrap();
        std::fs::write(folder.path().join(SAMPLES), "{}\n").unwrap();
        let error = read_samples(folder.path(), |_| ()).unwrap_err();
        assert!(matches!(&error, StoreError::Damaged { place, .. } if place.line == 1), "{error:?}");
        assert!(matches!(read_header(folder.path()).unwrap_err(), StoreError::Newer { found: 2, .. }));
    }
}
