//! The loop, on a learner of a few hundred numbers.

use super::bigram::Bigram;
use super::checkpoint::{self, Identity};
use super::data::{Dataset, Group, Judged};
use super::learner::Learner;
use super::lessons::{Lessons, material};
use super::observer::{TrainObserver, Watch};
use super::product::Product;
use super::recipe::{
    By, Checkpoint, Evaluate, HeldOut, Judging, Kind, Length, Optimiser, Overrides, Recipe, Schedule, Shape, TooLong,
    load_text,
};
use super::reference::Reference;
use super::trainer::{Ended, Lesson, Trainer};
use crate::engine::Render;
use crate::error::{Explain, Problems};
use crate::model::{Document, Precision, Saved, Trained};
use crate::store::Status;
use crate::store::training::{
    FileRecord, MemoryRecord, SCHEMA, Said, StepRecord, Stop, TrainingFolder, TrainingHeader, TrainingSegment,
    read_evaluations, read_steps,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

const TOKENS: usize = 12;

fn recipe() -> Recipe {
    let text = "recipe: plain\nkind: sft\nmodel: models/tripos-tiny.gguf\ndata: {generate: {count: 4, let: {a: {int: [1, 9]}}, \
                case: {vars: {q: \"{{ a }}\"}, target: \"{{ a }}\"}}, text: \"{{ q }}\"}\ntrain: full\nsteps: 1\n";
    let (plain, problems) = load_text(Path::new("plain.yaml"), text, &Overrides::default());
    let plain = plain.unwrap_or_else(|| panic!("{problems:?}"));
    Recipe {
        name: "bigram".into(),
        path: "bigram.yaml".into(),
        train: Trained::Full,
        sequence: 16,
        batch: 4,
        micro_batch: 2,
        length: Length::Steps(30),
        schedule: Schedule { lr: 0.1, warmup: 0.1, shape: Shape::Cosine, r#final: 0.1, warmdown: 0.9 },
        optimiser: Optimiser { betas: (0.9, 0.95), eps: 1e-8, weight_decay: 0.0, clip: 1.0 },
        precision: Precision::F32,
        too_long: TooLong::Cut,
        evaluate: Evaluate { every: 10, patience: None, prompts: vec![], max_tokens: 4 },
        checkpoint: Checkpoint { every: 7, keep: 2 },
        held_out: HeldOut::Share(0.2),
        ..plain
    }
}

/// Documents in which each token is followed by a certain other one, more or less.
fn dataset(from: u32, count: u32) -> Dataset {
    let tokens = |i: u32| (0..7).map(|at| (i * 5 + at * (1 + i % 2)) % 12).collect::<Vec<u32>>();
    let document = |i| Document::new(tokens(i), vec![false, false, true, true, true, true, true]);
    Dataset {
        documents: (from..from + count).map(document).collect(),
        labels: (from..from + count).map(|i| (i % 2) as usize).collect(),
        ..Dataset::default()
    }
}

/// Two answers to a prompt, of which that is better which ends in an even token.
fn judgements(from: u32, count: u32) -> Dataset {
    let answers = |i: u32| Document {
        branches: vec![2, 4],
        ..Document::new(
            vec![i % 12, 1, 3, 2 * (i % 5), 7, 2 * (i % 6) + 1],
            vec![false, false, true, true, false, false],
        )
    };
    let judged = Judged { better: 0, worse: 1, ..Judged::default() };
    Dataset {
        documents: (from..from + count).map(answers).collect(),
        groups: (0..count).map(|_| Group { judged: vec![judged.clone()], ..Group::default() }).collect(),
        ..Dataset::default()
    }
}

/// The same, as a policy reads it: all tokens of both answers.
fn preferences(from: u32, count: u32) -> Dataset {
    let mut all = judgements(from, count);
    all.documents.iter_mut().for_each(|document| document.learn = (0..6).map(|at| at > 1).collect());
    all
}

/// Writes the numbers as they are, and says how many files it wrote.
#[derive(Default)]
struct Scribe {
    written: RefCell<usize>,
    fails: bool,
}

impl Product for Scribe {
    fn speaks(&self) -> bool {
        true
    }

    fn file_name(&self) -> String {
        "bigram.gguf".into()
    }

    fn export(&self, saved: &[Saved], file: &Path) -> Result<(), Problems> {
        if self.fails {
            return Err(crate::engine::EngineError::Decode { reason: "no voice".into() }.into());
        }
        *self.written.borrow_mut() += 1;
        std::fs::write(file, format!("{:?}", saved[0].values)).unwrap();
        Ok(())
    }

    fn says(&self, _file: &Path, _stop: &AtomicBool) -> Result<Vec<Said>, Problems> {
        Ok(vec![Said { prompt: "one".into(), completion: self.written.borrow().to_string() }])
    }
}

/// Stops a run behind a step, and keeps what was said.
#[derive(Default)]
struct Witness<'a> {
    stop_at: Option<(u64, &'a AtomicBool)>,
    warnings: RefCell<Vec<String>>,
}

impl TrainObserver for Witness<'_> {
    fn step(&self, record: &StepRecord) {
        if let Some((step, stop)) = self.stop_at.filter(|(step, _)| *step == record.step) {
            stop.store(step > 0, Ordering::Relaxed);
        }
    }

    fn warning(&self, problem: &dyn Explain) {
        self.warnings.borrow_mut().push(problem.to_string());
    }
}

fn identity() -> Identity {
    Identity { recipe: "r".into(), base: "b".into() }
}

fn segment(from_step: u64) -> TrainingSegment {
    TrainingSegment { started: String::new(), ended: None, from_step, lr: 0.1, build: "t".into(), threads: 1 }
}

fn folder(parent: &Path, recipe: &Recipe, lessons: &Lessons, sets: [&Dataset; 2]) -> TrainingFolder {
    let header = TrainingHeader {
        schema: SCHEMA,
        run: String::new(),
        status: Status::Started,
        tripos: "0".into(),
        llama_cpp: String::new(),
        features: vec![],
        recipe_name: recipe.name.clone(),
        recipe_path: recipe.path.clone(),
        recipe: recipe.json(),
        recipe_sha256: "r".into(),
        flags: BTreeMap::new(),
        base: FileRecord { path: "b".into(), sha256: "b".into() },
        material: material(lessons, sets[0], sets[1]),
        labels: vec![],
        parameters: 1,
        trained: 1,
        steps: lessons.steps(),
        parity: None,
        memory: MemoryRecord::default(),
        segments: vec![],
        started: String::new(),
        ended: None,
        best: None,
        outcome: None,
    };
    TrainingFolder::create(parent, header, segment(0)).unwrap()
}

/// A run: what it came to, what was learned, and its folder.
struct Done {
    ended: Result<Ended, Problems>,
    learned: Bigram,
    folder: TrainingFolder,
    warnings: Vec<String>,
}

struct Run<'a> {
    recipe: &'a Recipe,
    learner: Bigram,
    product: Scribe,
    /// Stop behind this step.
    stop_at: u64,
    /// What is learned: so many documents from a number on.
    data: fn(u32, u32) -> Dataset,
}

impl<'a> Run<'a> {
    fn of(recipe: &'a Recipe) -> Self {
        let learner = Bigram::new(TOKENS, 2).with_dropout(0.2);
        Self { recipe, learner, product: Scribe::default(), stop_at: 0, data: dataset }
    }

    fn stopped_at(self, stop_at: u64) -> Self {
        Self { stop_at, ..self }
    }

    fn begin(mut self, parent: &Path) -> Done {
        let (train, held_out) = ((self.data)(0, 19), (self.data)(19, 5));
        let lessons = Lessons::new(self.recipe, &train, &held_out);
        let folder = folder(parent, self.recipe, &lessons, [&train, &held_out]);
        let reference = self.reference(&lessons);
        self.go((&lessons, reference), folder)
    }

    /// Goes on from the newest checkpoint of a folder.
    fn go_on(mut self, path: &Path) -> Done {
        let (train, held_out) = ((self.data)(0, 19), (self.data)(19, 5));
        let lessons = Lessons::new(self.recipe, &train, &held_out);
        let reference = self.reference(&lessons);
        let mut folder = TrainingFolder::open(path).unwrap();
        let newest = checkpoint::list(&folder.checkpoints()).pop();
        let from = newest.map_or(0, |(_, file)| {
            let (step, saved) = checkpoint::read(&file, &identity()).unwrap();
            self.learner.restore(&saved).unwrap();
            step
        });
        folder.begin_again(segment(from)).unwrap();
        self.go((&lessons, reference), folder)
    }

    /// What the learner says before it learned.
    fn reference(&mut self, lessons: &Lessons) -> Reference {
        Reference::read(&mut self.learner, lessons, &AtomicBool::new(false)).unwrap()
    }

    fn go(mut self, (lessons, reference): (&Lessons, Reference), mut folder: TrainingFolder) -> Done {
        let stop = AtomicBool::new(false);
        let witness = Witness { stop_at: Some((self.stop_at, &stop)), ..Witness::default() };
        let identity = identity();
        let lesson = Lesson {
            recipe: self.recipe,
            schedule: &self.recipe.schedule,
            lessons,
            identity: &identity,
            reference: &reference,
        };
        let watch = Watch { observer: &witness, stop: &stop };
        let trainer = Trainer::new(lesson, (&mut self.learner, &self.product), &mut folder, watch).unwrap();
        let ended = trainer.run();
        Done { ended, learned: self.learner, folder, warnings: witness.warnings.into_inner() }
    }
}

fn losses(done: &Done) -> Vec<f64> {
    read_steps(done.folder.path()).unwrap().iter().map(|record| record.loss.unwrap()).collect()
}

#[test]
fn the_loss_falls_and_everything_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let done = Run::of(&recipe()).begin(dir.path());
    assert!(matches!(done.ended, Ok(Ended::Complete(Stop::Steps))));
    let steps = read_steps(done.folder.path()).unwrap();
    assert_eq!(steps.iter().map(|record| record.step).collect::<Vec<_>>(), (1..=30).collect::<Vec<_>>());
    let losses = losses(&done);
    assert!((losses[0] - (TOKENS as f64).ln()).abs() < 1e-6, "all tokens are alike at first: {}", losses[0]);
    assert!(losses[29] < 0.5 * losses[0], "{losses:?}");
    // Two documents of 7 tokens a row, 4 rows a step; 5 of each are learned.
    assert_eq!((steps[0].tokens, steps[0].targets), (56, 40));
    let evaluations = read_evaluations(done.folder.path()).unwrap();
    assert_eq!(evaluations.iter().map(|one| one.step).collect::<Vec<_>>(), [0, 10, 20, 30]);
    assert!(evaluations.iter().all(|one| one.best && one.says[0].prompt == "one"));
    assert!((evaluations[3].perplexity.unwrap() - evaluations[3].held_out_loss.exp()).abs() < 1e-12);
    assert_eq!(done.folder.header().best.map(|best| best.step), Some(30));
    let kept: Vec<u64> = checkpoint::list(&done.folder.checkpoints()).iter().map(|(step, _)| *step).collect();
    assert_eq!(kept, [28, 30]);
}

#[test]
fn a_run_stopped_anywhere_and_gone_on_with_learns_the_same_to_the_last_bit() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = recipe();
    let whole = Run::of(&recipe).begin(dir.path());
    for stop in 1..30 {
        let first = Run::of(&recipe).stopped_at(stop).begin(dir.path());
        assert!(matches!(first.ended, Ok(Ended::Interrupted)), "{stop}");
        let path = first.folder.path().to_path_buf();
        drop(first);
        let rest = Run::of(&recipe).go_on(&path);
        assert!(matches!(rest.ended, Ok(Ended::Complete(Stop::Steps))));
        assert!(rest.learned == whole.learned, "stopped behind step {stop}");
        assert_eq!(losses(&rest), losses(&whole));
        let of = |done: &Done| {
            let all = read_evaluations(done.folder.path()).unwrap();
            all.iter().map(|one| (one.step, one.held_out_loss, one.best)).collect::<Vec<_>>()
        };
        assert_eq!(of(&rest), of(&whole), "stopped behind step {stop}");
    }
}

/// A kill leaves no checkpoint of its own, and lines behind the newest one.
#[test]
fn a_run_killed_between_checkpoints_makes_the_lost_steps_again() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = recipe();
    let whole = Run::of(&recipe).begin(dir.path());
    for (stop, lost) in [(3, 3), (9, 9), (12, 12), (20, 20)] {
        let first = Run::of(&recipe).stopped_at(stop).begin(dir.path());
        let path = first.folder.path().to_path_buf();
        std::fs::remove_file(checkpoint::path(&first.folder.checkpoints(), lost)).unwrap();
        drop(first);
        let rest = Run::of(&recipe).go_on(&path);
        assert!(rest.learned == whole.learned, "killed behind step {stop}");
        assert_eq!(losses(&rest), losses(&whole));
    }
}

/// The negative twin: other dropout, other weights. Without it the test above would pass whatever the seed.
#[test]
fn another_seed_learns_something_else() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (recipe(), Recipe { seed: 2, ..recipe() });
    assert!(Run::of(&one).begin(dir.path()).learned != Run::of(&other).begin(dir.path()).learned);
}

#[test]
fn two_micro_batches_are_one_large_one() {
    let dir = tempfile::tempdir().unwrap();
    let (halves, whole) = (recipe(), Recipe { micro_batch: 4, ..recipe() });
    let run = |recipe: &Recipe| {
        let run = Run { learner: Bigram::new(TOKENS, 0), ..Run::of(recipe) };
        losses(&run.begin(dir.path()))
    };
    for (half, whole) in run(&halves).iter().zip(run(&whole)) {
        assert!((half - whole).abs() <= 1e-5 * whole, "{half} {whole}");
    }
}

#[test]
fn numbers_out_of_bounds_end_the_run_and_name_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let schedule = Schedule { lr: 1e38, warmup: 0.0, shape: Shape::Constant, ..recipe().schedule };
    let recipe = Recipe { schedule, checkpoint: Checkpoint { every: 1, keep: 2 }, ..recipe() };
    let done = Run::of(&recipe).begin(dir.path());
    let path = done.folder.path().to_path_buf();
    let text = done.ended.unwrap_err().to_string().replace(path.to_str().unwrap(), "RUN");
    let norm = regex::Regex::new(r"norm [^,]+,").unwrap();
    insta::assert_snapshot!(norm.replace(&text, "norm NORM,"), @r"
    error: a weight is no finite number at step 7 (lr 1.0e38, gradient norm NORM, batch 4 x 16 tokens)
      --> RUN/steps.jsonl:7
      help: the last good checkpoint is step 6: tripos train bigram.yaml --resume RUN --lr 3e37
    ");
    let steps = read_steps(&path).unwrap();
    assert!(steps.len() == 7 && steps[6].loss.is_some());
    // What was learned in step 7 is kept nowhere: from there the loss is NaN, whatever the rate of step 8.
    let good: Vec<u64> = checkpoint::list(&path.join("checkpoints")).iter().map(|(step, _)| *step).collect();
    assert_eq!(good, [5, 6]);
}

#[test]
fn patience_ends_a_run_and_the_best_checkpoint_stays() {
    let dir = tempfile::tempdir().unwrap();
    let schedule = Schedule { lr: 3.0, warmup: 0.0, shape: Shape::Constant, ..recipe().schedule };
    let evaluate = Evaluate { every: 1, patience: Some(3), ..recipe().evaluate };
    let recipe = Recipe { schedule, evaluate, length: Length::Steps(500), ..recipe() };
    let done = Run::of(&recipe).begin(dir.path());
    assert!(matches!(done.ended, Ok(Ended::Complete(Stop::Patience))));
    let evaluations = read_evaluations(done.folder.path()).unwrap();
    let (last, best) = (evaluations.last().unwrap().step, done.folder.header().best.unwrap().step);
    assert_eq!(evaluations.iter().rfind(|one| one.best).unwrap().step, best);
    assert_eq!(last, best + 3);
    let kept: Vec<u64> = checkpoint::list(&done.folder.checkpoints()).iter().map(|(step, _)| *step).collect();
    assert_eq!(kept, [best, last - 1, last]);
    // Going on with it ends at once.
    let path = done.folder.path().to_path_buf();
    drop(done);
    assert!(matches!(Run::of(&recipe).go_on(&path).ended, Ok(Ended::Complete(Stop::Patience))));
}

#[test]
fn a_head_learns_labels_and_is_measured_by_accuracy() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = Recipe { kind: Kind::Classify, ..recipe() };
    let done = Run::of(&recipe).begin(dir.path());
    let evaluations = read_evaluations(done.folder.path()).unwrap();
    assert!((evaluations[0].held_out_loss - 2_f64.ln()).abs() < 1e-6);
    let last = evaluations.last().unwrap();
    assert!(last.held_out_loss < 0.5 && last.perplexity.is_none(), "{last:?}");
    assert_eq!(last.accuracy, Some(1.0));
    // One document counts once, however long.
    assert_eq!(read_steps(done.folder.path()).unwrap()[0].targets, 8);
}

#[test]
fn a_head_learns_to_judge_beside_what_the_model_learns_to_say() {
    let dir = tempfile::tempdir().unwrap();
    let judging = |language| Some(Judging { render: Render::Text, language, by: By::Centring(0.01) });
    let of = |language, micro_batch| Recipe {
        kind: Kind::Reward,
        judging: judging(language),
        micro_batch,
        batch: 4,
        ..recipe()
    };
    let run = |recipe: &Recipe| {
        let run = Run { learner: Bigram::new(TOKENS, 1), data: judgements, ..Run::of(recipe) };
        let done = run.begin(dir.path());
        (losses(&done), read_evaluations(done.folder.path()).unwrap(), done.learned.save().unwrap())
    };
    let (halves, evaluations, learned) = run(&of(1.0, 2));
    assert!((halves[0] - 2_f64.ln() - (TOKENS as f64).ln()).abs() < 1e-6, "all are alike at first: {}", halves[0]);
    for (half, whole) in halves.iter().zip(run(&of(1.0, 4)).0) {
        assert!((half - whole).abs() <= 1e-5 * whole, "{half} {whole}");
    }
    let (first, last) = (&evaluations[0], &evaluations[3]);
    assert!((first.held_out_loss - 2_f64.ln()).abs() < 1e-6 && first.accuracy == Some(0.0), "{first:?}");
    assert_eq!(last.accuracy, Some(1.0));
    // 3 follows 1, the trunk's last token, in the better answers; the 7 of the worse ones is not said.
    let follows = |saved: &[Saved], token| saved[0].values[TOKENS + token];
    assert!(follows(&learned, 3) > 1.0 && follows(&learned, 7) < 0.0, "{:?}", &learned[0].values[TOKENS..2 * TOKENS]);
    let alone = run(&of(0.0, 2)).2;
    assert!(alone[0].values.iter().all(|value| *value == 0.0), "without `language` nothing is said");
}

/// Twelve tokens, each alike at first: the worse answer ends in one that the better ones never have.
#[test]
fn a_policy_learns_what_was_preferred_and_goes_on_from_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let judging = Some(Judging { render: Render::Text, language: 0.0, by: By::Beta(0.5) });
    let recipe = Recipe { kind: Kind::Dpo, judging, ..recipe() };
    let policy = |recipe| Run { learner: Bigram::new(TOKENS, 0), data: preferences, ..Run::of(recipe) };
    let done = policy(&recipe).begin(dir.path());
    let evaluations = read_evaluations(done.folder.path()).unwrap();
    let (first, last) = (&evaluations[0], evaluations.last().unwrap());
    assert!((losses(&done)[0] - 2_f64.ln()).abs() < 1e-6, "it is its own reference: {}", losses(&done)[0]);
    assert!((first.held_out_loss - 2_f64.ln()).abs() < 1e-6 && first.accuracy == Some(0.0), "{first:?}");
    assert!(last.held_out_loss < 0.3 && last.accuracy == Some(1.0), "{last:?}");
    // Gone on with, it is held to what it was at first, not to what it had become.
    let stopped = policy(&recipe).stopped_at(11).begin(dir.path());
    let path = stopped.folder.path().to_path_buf();
    drop(stopped);
    let resumed = policy(&recipe).go_on(&path);
    assert!(resumed.learned == done.learned);
    assert_eq!(losses(&resumed), losses(&done));
}

#[test]
fn without_held_out_documents_only_steps_are_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = Recipe { evaluate: Evaluate { every: 0, ..recipe().evaluate }, ..recipe() };
    let done = Run::of(&recipe).begin(dir.path());
    assert!(matches!(done.ended, Ok(Ended::Complete(Stop::Steps))));
    assert_eq!(read_evaluations(done.folder.path()).unwrap(), []);
    assert_eq!(done.folder.header().best, None);
}

#[test]
fn a_model_that_cannot_be_asked_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = recipe();
    let run = Run { product: Scribe { fails: true, ..Scribe::default() }, ..Run::of(&recipe) };
    let done = run.begin(dir.path());
    assert!(matches!(done.ended, Ok(Ended::Complete(Stop::Steps))));
    assert_eq!(done.warnings, ["decoding failed: no voice"; 4]);
    assert!(read_evaluations(done.folder.path()).unwrap().iter().all(|one| one.says.is_empty()));
}

#[test]
fn the_shape_is_the_most_that_a_micro_batch_holds() {
    let (train, held_out) = (dataset(0, 19), dataset(19, 5));
    let lessons = Lessons::new(&recipe(), &train, &held_out);
    let shape = lessons.shape(16);
    assert_eq!((shape.rows, shape.len, shape.targets, shape.ends), (2, 16, 20, 4));
    assert_eq!(lessons.held_out().map(<[_]>::len).sum::<usize>(), 3);
    assert_eq!(lessons.examples().count(), 5);
}
