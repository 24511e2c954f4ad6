//! What every training run begins and ends with: its header, and its trained file.

use super::checkpoint::{self, Identity};
use super::failure::TrainingFailure;
use super::maker::Maker;
use super::observer::Watch;
use super::product::Product;
use super::progress::Progress;
use super::recipe::Recipe;
use super::trainer::Ended;
use crate::error::{Place, Problems};
use crate::gguf::{Gguf, sha256_file};
use crate::model::{Estimate, Lineage, Saved};
use crate::run::RunSettings;
use crate::store::Status;
use crate::store::training::{
    FileRecord, JudgingRecord, Material, MemoryRecord, Outcome, SCHEMA, Stop, TrainingFolder, TrainingHeader,
    TrainingSegment,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a run is recorded with when it begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun<'a> {
    pub recipe: &'a Recipe,
    pub identity: &'a Identity,
    pub machine: &'a RunSettings,
    pub flags: &'a BTreeMap<String, Value>,
}

impl Begun<'_> {
    pub(super) fn header(
        &self,
        material: Material,
        (needs, memory): (Estimate, MemoryRecord),
        steps: u64,
    ) -> TrainingHeader {
        let Self { recipe, identity, machine, flags } = self;
        let from_root = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        TrainingHeader {
            schema: SCHEMA,
            run: String::new(),
            status: Status::Started,
            tripos: env!("CARGO_PKG_VERSION").to_owned(),
            llama_cpp: machine.llama_cpp.clone(),
            features: machine.features.clone(),
            recipe_name: recipe.name.clone(),
            recipe_path: from_root(&recipe.path),
            recipe: recipe.json(),
            recipe_sha256: identity.recipe.clone(),
            flags: (*flags).clone(),
            base: FileRecord {
                path: if recipe.from_nothing.is_some() { "from nothing".into() } else { from_root(&recipe.model) },
                sha256: identity.base.clone(),
            },
            material,
            labels: Vec::new(),
            parameters: needs.parameters,
            trained: needs.trained,
            steps,
            parity: None,
            memory,
            segments: Vec::new(),
            started: String::new(),
            ended: None,
            best: None,
            outcome: None,
        }
    }

    /// A sitting that begins behind a step.
    pub(super) fn segment(&self, from_step: u64, lr: f64) -> TrainingSegment {
        let build = format!("tripos {}, {}", env!("CARGO_PKG_VERSION"), self.machine.llama_cpp);
        TrainingSegment { started: String::new(), ended: None, from_step, lr, build, threads: self.machine.threads }
    }
}

/// Where the trained file will say that it comes from.
pub(super) fn lineage(recipe: &Recipe, base: &Gguf, identity: &Identity) -> Lineage {
    let file = recipe.model.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Lineage {
        base: recipe.from_nothing.is_none().then(|| (identity.base.clone(), file)),
        recipe_sha256: identity.recipe.clone(),
        parent: base.metadata().text("tripos.recipe.sha256").map(|_| identity.base.clone()),
        rewards: Vec::new(),
    }
}

/// Notes how a sitting ended. Where it failed, the problem at hand is what is said, not that the header could not be written.
pub(super) fn closed(mut folder: TrainingFolder, ended: Result<Ended, Problems>) -> Result<(PathBuf, Ended), Problems> {
    let status = match &ended {
        Ok(Ended::Complete(_)) => Status::Complete,
        Ok(Ended::Interrupted) => Status::Interrupted,
        Err(_) => Status::Failed,
    };
    let closed = folder.close(status);
    let ended = ended?;
    closed?;
    Ok((folder.path().to_path_buf(), ended))
}

/// Whether everything that was learned is a finite number: from anything else no run can go on.
pub(super) fn is_finite(saved: &[Saved]) -> bool {
    saved.iter().flat_map(|one| &one.values).all(|value| value.is_finite())
}

/// Whether a run was begun with the same recipe, base and material; `what` the two parts of that are called.
///
/// # Errors
/// Each that is another now.
pub(super) fn unchanged(
    recorded: &TrainingHeader,
    (identity, now): (&Identity, &Material),
    what: [&'static str; 2],
    run: &Path,
) -> Result<(), Problems> {
    let mut problems = Problems::new();
    let heads = [&recorded.material.heads, &now.heads].map(|heads| heads.join(", "));
    for (what, recorded, now) in [
        ("the recipe", &recorded.recipe_sha256, &identity.recipe),
        ("the base model", &recorded.base.sha256, &identity.base),
        (what[0], &recorded.material.sha256, &now.sha256),
        (what[1], &recorded.material.held_out_sha256, &now.held_out_sha256),
        ("a model that judges", &heads[0], &heads[1]),
    ] {
        if recorded != now {
            problems.push(TrainingFailure::Changed { what, place: Place::file(run) });
        }
    }
    problems.or_ok(())
}

/// The numbers of a step went out of bounds.
pub(super) fn not_finite(
    recipe: &Recipe,
    folder: &TrainingFolder,
    (what, peak): (String, f64),
    (step, lr, grad_norm): (u64, f64, f64),
) -> TrainingFailure {
    TrainingFailure::NotFinite {
        what,
        step,
        lr,
        grad_norm,
        batch: recipe.batch,
        sequence: recipe.sequence,
        place: Place::new(folder.steps(), usize::try_from(step).unwrap_or(0), 0),
        recipe: recipe.path.clone(),
        good: checkpoint::list(&folder.checkpoints()).last().map(|(step, _)| *step),
        peak,
    }
}

/// A run that has learned all that it was to.
pub(super) struct Finished<'a> {
    pub recipe: &'a Recipe,
    pub identity: &'a Identity,
    pub copy: bool,
    pub watch: Watch<'a>,
}

impl Finished<'_> {
    /// The step that was best, the last that was made, and what was learned by the best one. Warns where none was better than
    /// the beginning.
    pub(super) fn best(&self, folder: &TrainingFolder) -> Result<(u64, u64, Vec<Saved>), Problems> {
        let progress = Progress::of(&folder.evaluations()?);
        if let (Some(before), Some(best)) = (progress.first(), progress.best())
            && best.loss >= before
        {
            let place = Place::file(folder.path());
            self.watch.observer.warning(&TrainingFailure::NoBetter { loss: best.loss, before, place });
        }
        let kept = checkpoint::list(&folder.checkpoints());
        let last = kept.last().map_or(0, |(step, _)| *step);
        let step = progress.best().map_or(last, |best| best.step);
        let (_, saved) = checkpoint::read(&checkpoint::path(&folder.checkpoints(), step), self.identity)?;
        Ok((step, last, saved))
    }

    /// Writes what was learned best as the run's file, and copies it where the recipe says.
    pub(super) fn write(
        &self,
        folder: &mut TrainingFolder,
        maker: &Maker,
        (exported_step, steps, saved): (u64, u64, &[Saved]),
        (stop, judging): (Stop, Option<JudgingRecord>),
    ) -> Result<(), Problems> {
        let file = folder.path().join(maker.file_name());
        maker.export(saved, &file)?;
        let copied_to = match &self.recipe.output {
            Some(output) if self.copy => Some(copy(&file, output)?),
            _ => None,
        };
        let sha256 = sha256_file(&file).map_err(|e| unwritten(&file, &e))?;
        let output = FileRecord { path: PathBuf::from(maker.file_name()), sha256 };
        let outcome = Outcome { stop, steps, exported_step, output, copied_to, judging, suite_runs: Vec::new() };
        folder.note(|header| header.outcome = Some(outcome))?;
        Ok(())
    }
}

fn unwritten(file: &Path, error: &std::io::Error) -> TrainingFailure {
    TrainingFailure::Write { what: "the trained model", reason: error.to_string(), place: Place::file(file) }
}

/// Copies a file; the copy appears whole or not at all.
pub fn copy(from: &Path, to: &Path) -> Result<PathBuf, Problems> {
    let work = || -> std::io::Result<()> {
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut copied = tempfile::NamedTempFile::new_in(folder)?;
        std::io::copy(&mut std::fs::File::open(from)?, &mut copied)?;
        copied.as_file().sync_all()?;
        #[cfg(unix)]
        std::fs::set_permissions(copied.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        copied.persist(to).map_err(|e| e.error)?;
        Ok(())
    };
    work().map_err(|e| unwritten(to, &e))?;
    Ok(to.to_path_buf())
}
