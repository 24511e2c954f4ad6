//! Checkpoints: what was learned and what the optimiser remembers, as a GGUF file that anything can read.
//!
//! `step-000100.gguf` holds for each trained tensor `name` its numbers, and under `name.m` and `name.v` the running means of
//! its gradient and of the gradient's squares; the metadata says of which step, recipe and base it is. Where in the data
//! a run is follows from the step. A file appears whole or not at all, and others are deleted only once it is there.

use super::failure::TrainingFailure;
use crate::error::{Place, Problems};
use crate::gguf::{self, Gguf, GgufError, Metadata, TensorData, TensorInfo, TensorType, Value};
use crate::model::Saved;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// `general.type` of a checkpoint.
const TYPE: &str = "tripos.checkpoint";
const STEP: &str = "tripos.checkpoint.step";
const RECIPE: &str = "tripos.recipe.sha256";
const BASE: &str = "tripos.base.sha256";
/// What the names of the moments end in.
const MOMENTS: [&str; 2] = [".m", ".v"];

/// What a checkpoint belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// SHA-256 of the recipe, in hex.
    pub recipe: String,
    /// SHA-256 of the base model's file, in hex.
    pub base: String,
}

/// Writes the checkpoint of a step and gives its file.
///
/// # Errors
/// The disk is full or refuses; other checkpoints are as they were.
pub fn write(folder: &Path, step: u64, of: &Identity, saved: Vec<Saved>) -> Result<PathBuf, Problems> {
    let file = path(folder, step);
    let metadata: Metadata = [
        ("general.type", Value::from(TYPE)),
        (STEP, Value::U64(step)),
        (RECIPE, Value::from(of.recipe.as_str())),
        (BASE, Value::from(of.base.as_str())),
    ]
    .into_iter()
    .collect();
    let tensors: Vec<TensorData> = saved.into_iter().flat_map(tensors).collect();
    let refused = |reason: String| TrainingFailure::Write { what: "the checkpoint", reason, place: Place::file(&file) };
    gguf::write(&file, &metadata, &tensors).map_err(|e| refused(reason(&e)))?;
    // So that after a loss of power the name is there, not only the bytes. What is no folder to the system needs none.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(file)
}

/// The three tensors of a trained one. The numbers are let go one by one as they become bytes.
fn tensors(saved: Saved) -> [TensorData<'static>; 3] {
    let Saved { name, dims, values, first_moment, second_moment } = saved;
    let dims: Vec<u64> = dims.iter().map(|dim| *dim as u64).collect();
    let tensor = |ending: &str, numbers: Vec<f32>| TensorData::f32(format!("{name}{ending}"), &dims, &numbers);
    [tensor("", values), tensor(MOMENTS[0], first_moment), tensor(MOMENTS[1], second_moment)]
}

/// The system's words where there are some, without the name of a temporary file.
fn reason(error: &GgufError) -> String {
    match &error.problem {
        gguf::GgufProblem::Unreadable(error) => {
            let text = error.to_string();
            text.split(" at path ").next().unwrap_or_default().to_owned()
        }
        other => other.to_string(),
    }
}

/// Reads a checkpoint: its step, and what was learned by then.
///
/// # Errors
/// It is of another recipe or base, or no checkpoint at all.
pub fn read(file: &Path, of: &Identity) -> Result<(u64, Vec<Saved>), Problems> {
    let bad = |reason: String| TrainingFailure::BadCheckpoint { reason, place: Place::file(file) };
    let gguf = Gguf::open(file).map_err(|e| bad(reason(&e)))?;
    let metadata = gguf.metadata();
    let step = metadata.u64(STEP).filter(|_| metadata.text("general.type") == Some(TYPE));
    let step = step.ok_or_else(|| bad("it says nothing of a step".into()))?;
    let mut problems = Problems::new();
    for (what, key, expected) in [("recipe", RECIPE, &of.recipe), ("base model", BASE, &of.base)] {
        let found = metadata.text(key).unwrap_or_default();
        if found != expected {
            let (found, expected) = (found.to_owned(), expected.clone());
            problems.push(TrainingFailure::Foreign { what, found, expected, place: Place::file(file) });
        }
    }
    problems.or_ok(())?;
    let mut source = File::open(file).map_err(|e| bad(e.to_string()))?;
    let mut saved = Vec::new();
    for tensor in gguf.tensors().iter().filter(|tensor| !MOMENTS.iter().any(|end| tensor.name.ends_with(end))) {
        let mut numbers = |ending: &str| -> Result<Vec<f32>, Problems> {
            let name = format!("{}{ending}", tensor.name);
            let part = gguf.tensor(&name).filter(|part| part.dims == tensor.dims);
            let part = part.ok_or_else(|| bad(format!("tensor `{name}` is missing or has another shape")))?;
            Ok(read_f32(&mut source, gguf.data_offset(), part).map_err(|e| bad(format!("tensor `{name}`: {e}")))?)
        };
        saved.push(Saved {
            name: tensor.name.clone(),
            dims: tensor.dims.iter().map(|dim| usize::try_from(*dim).unwrap_or(usize::MAX)).collect(),
            values: numbers("")?,
            first_moment: numbers(MOMENTS[0])?,
            second_moment: numbers(MOMENTS[1])?,
        });
    }
    Ok((step, saved))
}

fn read_f32(source: &mut File, data: u64, tensor: &TensorInfo) -> std::io::Result<Vec<f32>> {
    let wrong = |what: &str| std::io::Error::other(what.to_owned());
    let size = tensor.size().filter(|_| tensor.kind == TensorType::F32).ok_or_else(|| wrong("not of f32"))?;
    let begin = data.checked_add(tensor.offset).ok_or_else(|| wrong("out of bounds"))?;
    if begin.checked_add(size).is_none_or(|end| source.metadata().is_ok_and(|about| end > about.len())) {
        return Err(wrong("the file is cut off"));
    }
    source.seek(SeekFrom::Start(begin))?;
    let mut bytes = vec![0; usize::try_from(size).map_err(|_| wrong("too large"))?];
    source.read_exact(&mut bytes)?;
    Ok(bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect())
}

/// The file of a step's checkpoint.
#[must_use]
pub fn path(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!("step-{step:06}.gguf"))
}

/// The checkpoints in a folder, oldest first.
#[must_use]
pub fn list(folder: &Path) -> Vec<(u64, PathBuf)> {
    let step = |path: &Path| path.file_name()?.to_str()?.strip_prefix("step-")?.strip_suffix(".gguf")?.parse().ok();
    let files = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut found: Vec<(u64, PathBuf)> = files.filter_map(|file| Some((step(&file)?, file))).collect();
    found.sort();
    found
}

/// Takes a checkpoint out of the line, and keeps its file under another name. Where it cannot be renamed it stays.
pub fn set_aside(folder: &Path, step: u64) {
    let file = path(folder, step);
    let _ = std::fs::rename(&file, file.with_extension("gguf.bad"));
}

/// Deletes what a kill left half written. Only for who holds the run's lock.
pub fn tidy(folder: &Path) {
    let files = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    for file in files.filter(|file| file.file_name().to_string_lossy().starts_with(".tmp")) {
        let _ = std::fs::remove_file(file.path());
    }
}

/// Deletes all but the newest `keep` checkpoints (at least one) and the best one. What cannot be deleted stays.
pub fn prune(folder: &Path, keep: usize, best: Option<u64>) {
    let found = list(folder);
    let old = found.len().saturating_sub(keep.max(1));
    for (_, file) in found.into_iter().take(old).filter(|(step, _)| Some(*step) != best) {
        let _ = std::fs::remove_file(file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity { recipe: "r".repeat(64), base: "b".repeat(64) }
    }

    fn saved() -> Vec<Saved> {
        let one = |name: &str, dims: &[usize], first: f32| {
            let numbers = |from: f32| (0..dims.iter().product()).map(|i: usize| from + i as f32 * 0.1).collect();
            Saved {
                name: name.into(),
                dims: dims.to_vec(),
                values: numbers(first),
                first_moment: numbers(first + 1.0),
                second_moment: numbers(first + 2.0),
            }
        };
        vec![one("blk.0.attn_q.weight.lora_a", &[3, 2], 0.5), one("head.bias", &[1], f32::MIN_POSITIVE)]
    }

    #[test]
    fn what_is_read_is_what_was_written_to_the_last_bit() {
        let dir = tempfile::tempdir().unwrap();
        let file = write(dir.path(), 100, &identity(), saved()).unwrap();
        assert_eq!(file, dir.path().join("step-000100.gguf"));
        assert_eq!(read(&file, &identity()).unwrap(), (100, saved()));
    }

    #[test]
    fn a_checkpoint_of_another_recipe_or_base_is_refused_with_both_names() {
        let dir = tempfile::tempdir().unwrap();
        let file = write(dir.path(), 1, &Identity { recipe: "a".repeat(64), base: "c".repeat(64) }, saved()).unwrap();
        let text = read(&file, &identity()).unwrap_err().to_string().replace(file.to_str().unwrap(), "FILE");
        insta::assert_snapshot!(text, @r"
        error: this checkpoint is of another recipe: aaaaaaaaaaaa there, rrrrrrrrrrrr here
          --> FILE
          help: a changed recipe is another run: start it without --resume

        error: this checkpoint is of another base model: cccccccccccc there, bbbbbbbbbbbb here
          --> FILE
          help: give the base that the run was begun with, or start a run without --resume
        ");
    }

    #[test]
    fn what_is_no_checkpoint_or_cut_off_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let refusal = |file: &Path| read(file, &identity()).unwrap_err().to_string();
        assert!(refusal(Path::new("models/tripos-tiny.gguf")).contains("it says nothing of a step"));
        let file = write(dir.path(), 1, &identity(), saved()).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        for len in [0, 20, bytes.len() / 2, bytes.len() - 40] {
            std::fs::write(&file, &bytes[..len]).unwrap();
            assert!(refusal(&file).contains("this checkpoint cannot be read"), "{len}");
        }
    }

    #[test]
    fn the_newest_and_the_best_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        for step in [100, 50, 150, 1_000_000] {
            write(dir.path(), step, &identity(), saved()).unwrap();
        }
        std::fs::write(dir.path().join("other.txt"), "").unwrap();
        let steps = || list(dir.path()).into_iter().map(|(step, _)| step).collect::<Vec<_>>();
        assert_eq!(steps(), [50, 100, 150, 1_000_000]);
        prune(dir.path(), 2, Some(50));
        assert_eq!(steps(), [50, 150, 1_000_000]);
        prune(dir.path(), 0, None);
        assert_eq!(steps(), [1_000_000]);
    }

    #[test]
    fn what_is_set_aside_or_half_written_is_no_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        for step in [1, 2] {
            write(dir.path(), step, &identity(), saved()).unwrap();
        }
        std::fs::write(dir.path().join(".tmpAb12"), "half").unwrap();
        set_aside(dir.path(), 2);
        set_aside(dir.path(), 3);
        tidy(dir.path());
        assert_eq!(list(dir.path()), [(1, path(dir.path(), 1))]);
        let mut names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["step-000001.gguf", "step-000002.gguf.bad"]);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error_with_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let error = write(&dir.path().join("gone"), 3, &identity(), saved()).unwrap_err();
        assert!(error.to_string().starts_with("error: cannot write the checkpoint: "), "{error}");
    }
}
