//! The folder of a training run: opened before the first step, locked while written, readable at any time.

use super::{EvaluationRecord, SCHEMA, StepRecord, TrainingError, TrainingHeader, TrainingSegment};
use crate::error::Place;
use crate::store::Status;
use crate::store::files::{self, create_folder, lock as lock_folder, whole_lines, write_json};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const HEADER: &str = "header.json";
const STEPS: &str = "steps.jsonl";
const EVALUATIONS: &str = "evaluations.jsonl";
const CHECKPOINTS: &str = "checkpoints";

/// A training run that is being written. The lock is held until it is dropped.
#[derive(Debug)]
pub struct TrainingFolder {
    path: PathBuf,
    header: TrainingHeader,
    steps: File,
    evaluations: File,
    _lock: File,
}

impl TrainingFolder {
    /// Makes `parent/<recipe>-<date>-<four digits>` and writes the header, whose `run`, `started` and first segment become
    /// this one's.
    pub fn create(
        parent: &Path,
        mut header: TrainingHeader,
        mut segment: TrainingSegment,
    ) -> Result<Self, TrainingError> {
        let made = create_folder(parent, &header.recipe_name);
        let (path, run) = made.map_err(|(at, e)| write_error(&at, &e))?;
        let lock = lock(&path)?;
        let checkpoints = path.join(CHECKPOINTS);
        std::fs::create_dir(&checkpoints).map_err(|e| write_error(&checkpoints, &e))?;
        segment.started = now();
        header.run = run;
        header.status = Status::Started;
        header.started.clone_from(&segment.started);
        header.segments = vec![segment];
        let (steps, evaluations) = (open(&path.join(STEPS))?, open(&path.join(EVALUATIONS))?);
        let folder = Self { path, header, steps, evaluations, _lock: lock };
        folder.write_header()?;
        Ok(folder)
    }

    /// Opens a training run to go on with it. Nothing is changed until [`begin_again`](Self::begin_again).
    pub fn open(path: &Path) -> Result<Self, TrainingError> {
        // The lock first: another process may be about to write its last word into the header.
        let lock = lock(path)?;
        let header = read_training(path)?;
        let (steps, evaluations) = (open(&path.join(STEPS))?, open(&path.join(EVALUATIONS))?);
        Ok(Self { path: path.to_path_buf(), header, steps, evaluations, _lock: lock })
    }

    /// Begins another sitting behind `segment.from_step`: the lines of later steps, and a last line cut in half, are
    /// removed.
    ///
    /// # Errors
    /// A line before that step is missing or damaged.
    pub fn begin_again(&mut self, mut segment: TrainingSegment) -> Result<(), TrainingError> {
        let last = segment.from_step;
        let path = self.path.join(STEPS);
        // Nothing is cut before it is known that all that is needed is there.
        let mut whole = 0;
        let counted = self.steps.seek(SeekFrom::Start(0)).and_then(|_| {
            whole_lines(&mut self.steps, |line| {
                let next = serde_json::from_slice::<StepRecord>(line).is_ok_and(|record| record.step == whole + 1);
                whole += u64::from(next);
                next
            })
        });
        counted.map_err(|e| write_error(&path, &e))?;
        if whole < last {
            let reason = format!("step {} is missing, and the checkpoint is of step {last}", whole + 1);
            return Err(TrainingError::Damaged { place: Place::file(&path), reason });
        }
        cut(&mut self.steps, &path, |record: &StepRecord| record.step <= last)?;
        let path = self.path.join(EVALUATIONS);
        cut(&mut self.evaluations, &path, |record: &EvaluationRecord| record.step <= last)?;
        segment.started = now();
        self.header.segments.push(segment);
        self.header.status = Status::Started;
        self.header.ended = None;
        self.header.outcome = None;
        self.write_header()
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of its checkpoints.
    #[must_use]
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join(CHECKPOINTS)
    }

    /// The file of its steps; line n is step n.
    #[must_use]
    pub fn steps(&self) -> PathBuf {
        self.path.join(STEPS)
    }

    /// What the run was made with.
    #[must_use]
    pub fn header(&self) -> &TrainingHeader {
        &self.header
    }

    /// Changes the header and writes it.
    pub fn note(&mut self, change: impl FnOnce(&mut TrainingHeader)) -> Result<(), TrainingError> {
        change(&mut self.header);
        self.write_header()
    }

    /// Appends a step and hands it to the system.
    pub fn step(&mut self, record: &StepRecord) -> Result<(), TrainingError> {
        append(&mut self.steps, record).map_err(|e| write_error(&self.path.join(STEPS), &e))
    }

    /// Appends an evaluation and hands it to the system.
    pub fn evaluation(&mut self, record: &EvaluationRecord) -> Result<(), TrainingError> {
        append(&mut self.evaluations, record).map_err(|e| write_error(&self.path.join(EVALUATIONS), &e))
    }

    /// Waits until the lines are on the disk.
    pub fn sync(&self) -> Result<(), TrainingError> {
        self.steps.sync_data().map_err(|e| write_error(&self.path.join(STEPS), &e))?;
        self.evaluations.sync_data().map_err(|e| write_error(&self.path.join(EVALUATIONS), &e))
    }

    /// The evaluations so far.
    pub fn evaluations(&self) -> Result<Vec<EvaluationRecord>, TrainingError> {
        read_evaluations(&self.path)
    }

    /// Notes how the run ended. The lock is held until the folder is dropped.
    pub fn close(&mut self, status: Status) -> Result<(), TrainingError> {
        self.header.status = status;
        let ended = now();
        if let Some(segment) = self.header.segments.last_mut() {
            segment.ended = Some(ended.clone());
        }
        self.header.ended = Some(ended);
        self.write_header()
    }

    fn write_header(&self) -> Result<(), TrainingError> {
        let file = self.path.join(HEADER);
        write_json(&file, &self.header).map_err(|e| write_error(&file, &e))
    }
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

fn write_error(file: &Path, error: &std::io::Error) -> TrainingError {
    TrainingError::Write { place: Place::file(file), reason: error.to_string() }
}

fn lock(path: &Path) -> Result<File, TrainingError> {
    if !path.join(HEADER).is_file() && !path.is_dir() {
        return Err(TrainingError::Read { place: Place::file(path), reason: "there is no such folder".into() });
    }
    let locked = lock_folder(path).map_err(|(at, e)| write_error(&at, &e))?;
    locked.ok_or_else(|| TrainingError::Busy { place: Place::file(path) })
}

/// A file of lines, made where there is none; what is written goes behind what is there.
fn open(path: &Path) -> Result<File, TrainingError> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    options.open(path).map_err(|e| write_error(path, &e))
}

/// One write, so that a kill leaves at most one line cut in half.
fn append(file: &mut File, record: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    file.write_all(&line)?;
    file.flush()
}

/// Cuts a file of lines before the first that is not kept, is damaged or has no end.
fn cut<T: DeserializeOwned>(
    file: &mut File,
    path: &Path,
    mut keep: impl FnMut(&T) -> bool,
) -> Result<(), TrainingError> {
    let kept = |line: &[u8]| serde_json::from_slice(line).is_ok_and(|record| keep(&record));
    let work = || -> std::io::Result<()> {
        file.seek(SeekFrom::Start(0))?;
        let whole = whole_lines(file, kept)?;
        file.set_len(whole)
    };
    work().map_err(|e| write_error(path, &e))
}

/// Reads what a training run was made with.
pub fn read_training(path: &Path) -> Result<TrainingHeader, TrainingError> {
    Ok(files::read_header(&path.join(HEADER), "recipe_name", SCHEMA)?)
}

/// The steps of a training run; a last line without its end is passed over.
pub fn read_steps(path: &Path) -> Result<Vec<StepRecord>, TrainingError> {
    read_lines(&path.join(STEPS))
}

/// The evaluations of a training run; a last line without its end is passed over.
pub fn read_evaluations(path: &Path) -> Result<Vec<EvaluationRecord>, TrainingError> {
    read_lines(&path.join(EVALUATIONS))
}

fn read_lines<T: DeserializeOwned>(file: &Path) -> Result<Vec<T>, TrainingError> {
    let mut records = Vec::new();
    files::read_lines(file, |line| {
        records.push(serde_json::from_slice(line)?);
        Ok(())
    })?;
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::super::{FileRecord, Material, MemoryRecord, latest};
    use super::*;
    use std::collections::BTreeMap;

    fn header() -> TrainingHeader {
        TrainingHeader {
            schema: SCHEMA,
            run: String::new(),
            status: Status::Started,
            tripos: "0".into(),
            llama_cpp: String::new(),
            features: vec![],
            recipe_name: "r".into(),
            recipe_path: "r.yaml".into(),
            recipe: serde_json::Value::Null,
            recipe_sha256: String::new(),
            flags: BTreeMap::new(),
            base: FileRecord { path: "m.gguf".into(), sha256: String::new() },
            material: Material::default(),
            labels: vec![],
            parameters: 10,
            trained: 2,
            steps: 5,
            parity: None,
            memory: MemoryRecord::default(),
            segments: vec![],
            started: String::new(),
            ended: None,
            best: None,
            outcome: None,
        }
    }

    fn segment(from_step: u64) -> TrainingSegment {
        TrainingSegment { started: String::new(), ended: None, from_step, lr: 1e-3, build: "b".into(), threads: 1 }
    }

    fn step(step: u64) -> StepRecord {
        StepRecord {
            step,
            loss: (step != 4).then_some(1.5),
            lr: 1e-3,
            grad_norm: Some(0.5),
            tokens: 7,
            targets: 3,
            tokens_per_s: 70.0,
            peak_mib: None,
            elapsed_s: 0.1,
            practice: None,
        }
    }

    fn evaluation(step: u64) -> EvaluationRecord {
        EvaluationRecord {
            step,
            held_out_loss: 1.0,
            perplexity: None,
            accuracy: None,
            scores: BTreeMap::new(),
            left_out: 0,
            run: None,
            best: true,
            says: vec![],
            elapsed_s: 0.1,
        }
    }

    /// A run of four steps that was killed in the middle of writing the fifth.
    fn killed(parent: &Path) -> PathBuf {
        let mut folder = TrainingFolder::create(parent, header(), segment(0)).unwrap();
        folder.evaluation(&evaluation(0)).unwrap();
        for number in 1..=4 {
            folder.step(&step(number)).unwrap();
            if number % 2 == 0 {
                folder.evaluation(&evaluation(number)).unwrap();
            }
        }
        let path = folder.path().to_path_buf();
        drop(folder);
        let mut file = OpenOptions::new().append(true).open(path.join(STEPS)).unwrap();
        file.write_all(b"{\"step\":5,\"lo").unwrap();
        path
    }

    #[test]
    fn what_is_appended_can_be_read_while_the_run_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = TrainingFolder::create(dir.path(), header(), segment(0)).unwrap();
        folder.step(&step(1)).unwrap();
        folder.evaluation(&evaluation(0)).unwrap();
        assert_eq!(read_steps(folder.path()).unwrap(), [step(1)]);
        assert_eq!(read_evaluations(folder.path()).unwrap(), [evaluation(0)]);
        folder.close(Status::Complete).unwrap();
        assert_eq!(&read_training(folder.path()).unwrap(), folder.header());
        assert!(folder.header().run.starts_with("r-20") && folder.checkpoints().is_dir());
    }

    #[test]
    fn going_on_behind_a_checkpoint_leaves_each_step_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = killed(dir.path());
        assert_eq!(read_steps(&path).unwrap().len(), 4, "half a line is passed over");
        let mut folder = TrainingFolder::open(&path).unwrap();
        folder.begin_again(segment(3)).unwrap();
        folder.step(&step(4)).unwrap();
        let steps: Vec<u64> = read_steps(&path).unwrap().iter().map(|record| record.step).collect();
        assert_eq!(steps, [1, 2, 3, 4]);
        let evaluations: Vec<u64> = folder.evaluations().unwrap().iter().map(|record| record.step).collect();
        assert_eq!(evaluations, [0, 2]);
        assert_eq!(folder.header().segments.iter().map(|s| s.from_step).collect::<Vec<_>>(), [0, 3]);
    }

    #[test]
    fn a_checkpoint_ahead_of_the_record_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = killed(dir.path());
        let error = TrainingFolder::open(&path).unwrap().begin_again(segment(6)).unwrap_err();
        assert!(error.to_string().contains("step 5 is missing, and the checkpoint is of step 6"), "{error}");
    }

    #[test]
    fn a_second_writer_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = TrainingFolder::create(dir.path(), header(), segment(0)).unwrap();
        let path = folder.path().to_path_buf();
        assert!(matches!(TrainingFolder::open(&path).unwrap_err(), TrainingError::Busy { .. }));
        drop(folder);
        assert!(TrainingFolder::open(&path).is_ok());
        assert!(matches!(TrainingFolder::open(&dir.path().join("no")).unwrap_err(), TrainingError::Read { .. }));
    }

    #[test]
    fn the_latest_run_of_a_recipe_is_found_among_others() {
        let dir = tempfile::tempdir().unwrap();
        let make = |recipe: &str| {
            let header = TrainingHeader { recipe_path: recipe.into(), ..header() };
            TrainingFolder::create(dir.path(), header, segment(0)).unwrap().path().to_path_buf()
        };
        let (_, second, _) = (make("r.yaml"), make("r.yaml"), make("other.yaml"));
        std::fs::create_dir(dir.path().join("half-made")).unwrap();
        assert_eq!(latest(dir.path(), Path::new("r.yaml")).unwrap(), second);
        let none = latest(dir.path(), Path::new("third.yaml")).unwrap_err();
        assert!(matches!(none, TrainingError::None { .. }));
        assert!(latest(Path::new("no/such/folder"), Path::new("r.yaml")).is_err());
    }

    #[test]
    fn a_damaged_line_and_a_newer_schema_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let header = TrainingHeader { schema: SCHEMA + 1, ..header() };
        let folder = TrainingFolder::create(dir.path(), header, segment(0)).unwrap();
        std::fs::write(folder.steps(), "{}\n").unwrap();
        let error = read_steps(folder.path()).unwrap_err();
        assert!(matches!(&error, TrainingError::Damaged { place, .. } if place.line == 1), "{error:?}");
        assert!(matches!(read_training(folder.path()).unwrap_err(), TrainingError::Newer { found: 2, .. }));
    }
}
