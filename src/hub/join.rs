//! A split model made one file, as llama.cpp's `gguf-split --merge` makes it: the first part's metadata without the keys of the
//! split, and the tensors of all parts in order. Everything else in Tripos then meets a model that is whole.

use super::Watch;
use super::cache::{Cache, leftovers};
use super::download::{enough, wait_for};
use super::error::{HubError, HubProblem};
use crate::gguf::{Gguf, GgufError, TensorReader, Writer};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// The keys that only parts have.
const KEYS: [&str; 3] = ["split.no", "split.count", "split.tensors.count"];

/// Joins the parts of a model, unless another process has: one writes, and others wait for it. What one left that was killed
/// goes first.
pub(super) fn once(parts: &[PathBuf], out: &Path, uri: &str, watch: Watch) -> Result<(), HubError> {
    let lock = Cache::lock_of_joined(out);
    let held = || {
        let folder = lock.parent().unwrap_or(&lock);
        std::fs::create_dir_all(folder).map_err(HubProblem::file("make the folder", folder))?;
        wait_for(&lock, watch, "joining the parts of this model")
    };
    let _held = held().map_err(|problem| problem.about(uri))?;
    if out.is_file() {
        return Ok(());
    }
    for left in leftovers(out.parent().unwrap_or(out)) {
        // Where it cannot be removed, it takes its room: that is looked at next.
        let _ = std::fs::remove_file(left);
    }
    join(parts, out, uri, watch)
}

/// Joins the parts of a model into a file, which appears whole or not at all.
fn join(parts: &[PathBuf], out: &Path, uri: &str, watch: Watch) -> Result<(), HubError> {
    let wrong = |why: String| HubProblem::Parts { why }.about(uri);
    let unread = |error: GgufError| wrong(error.to_string());
    let headers = parts.iter().map(|part| Gguf::open(part)).collect::<Result<Vec<_>, _>>().map_err(unread)?;
    for (number, header) in headers.iter().enumerate() {
        let said = ["split.count", "split.no"].map(|key| header.metadata().u64(key));
        if said != [Some(parts.len() as u64), Some(number as u64)] {
            let name = header.path().file_name().unwrap_or_default().display().to_string();
            return Err(wrong(format!("{name} does not call itself part {} of {}", number + 1, parts.len())));
        }
    }
    let Some(first) = headers.first() else { return Err(wrong("there are none".into())) };
    let tensors: Vec<_> = headers.iter().flat_map(|header| header.tensors().iter().cloned()).collect();
    if let Some(all) = first.metadata().u64("split.tensors.count").filter(|all| *all != tensors.len() as u64) {
        return Err(wrong(format!("they hold {} tensors, and the model has {all}", tensors.len())));
    }
    let mut metadata = first.metadata().clone();
    for key in KEYS {
        metadata.remove(key);
    }
    let folder = out.parent().unwrap_or(out);
    std::fs::create_dir_all(folder).map_err(HubProblem::file("make the folder", folder)).map_err(|e| e.about(uri))?;
    let total: u64 = headers.iter().map(Gguf::file_len).sum();
    enough(folder, total).map_err(|problem| problem.about(uri))?;
    let mut writer = Writer::create(out, &metadata, &tensors).map_err(unread)?;
    watch.observer.began("the parts, joined into one file", 0, Some(total));
    let mut done = 0;
    let mut copy = || {
        for header in &headers {
            let mut reader = TensorReader::open(header).map_err(unread)?;
            for tensor in header.tensors() {
                if watch.stop.load(Ordering::Relaxed) {
                    return Err(HubProblem::Interrupted { kept: 0 }.about(uri));
                }
                let bytes = reader.read(tensor).map_err(unread)?;
                writer.tensor(&bytes).map_err(unread)?;
                done += bytes.len() as u64;
                watch.observer.came(done, Some(total));
            }
        }
        Ok(())
    };
    let copied = copy();
    watch.observer.ended();
    copied?;
    writer.finish().map_err(unread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::{Metadata, TensorData, Value, write};
    use crate::hub::Silent;
    use std::sync::atomic::AtomicBool;

    static GO: AtomicBool = AtomicBool::new(false);
    const WATCH: Watch = Watch { observer: &Silent, stop: &GO };

    fn part(path: &Path, number: u16, of: u16, tensors: &[TensorData]) {
        let mut metadata = Metadata::default();
        metadata.set("general.name", Value::Text(format!("part {number}")));
        metadata.set("split.no", Value::U16(number));
        metadata.set("split.count", Value::U16(of));
        metadata.set("split.tensors.count", Value::I32(3));
        write(path, &metadata, tensors).unwrap();
    }

    fn parts(folder: &Path) -> Vec<PathBuf> {
        let paths = vec![folder.join("m-00001-of-00002.gguf"), folder.join("m-00002-of-00002.gguf")];
        part(&paths[0], 0, 2, &[TensorData::f32("a", &[2], &[1.0, 2.0]), TensorData::f32("b", &[1], &[3.0])]);
        part(&paths[1], 1, 2, &[TensorData::f32("c", &[3], &[4.0, 5.0, 6.0])]);
        paths
    }

    #[test]
    fn the_whole_has_the_first_parts_metadata_and_all_tensors() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("joined/m.gguf");
        join(&parts(folder.path()), &out, "hf://o/r/m.gguf", WATCH).unwrap();
        let whole = Gguf::open(&out).unwrap();
        assert_eq!(whole.metadata().iter().map(|(key, _)| key).collect::<Vec<_>>(), ["general.name"]);
        assert_eq!(whole.name(), Some("part 0"));
        let mut data = TensorReader::open(&whole).unwrap();
        let numbers: Vec<f32> = whole
            .tensors()
            .iter()
            .flat_map(|tensor| data.read(tensor).unwrap())
            .collect::<Vec<u8>>()
            .chunks(4)
            .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
            .collect();
        assert_eq!(numbers, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn parts_of_different_models_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let paths = parts(folder.path());
        let out = folder.path().join("m.gguf");
        let why = |paths: &[PathBuf]| join(paths, &out, "m", WATCH).unwrap_err().to_string();
        let swapped = [paths[1].clone(), paths[0].clone()];
        assert_eq!(
            why(&swapped),
            "the parts do not make one model: m-00002-of-00002.gguf does not call itself part 1 of 2"
        );
        part(&paths[1], 1, 2, &[]);
        assert_eq!(why(&paths), "the parts do not make one model: they hold 2 tensors, and the model has 3");
        assert!(!out.exists());
    }

    #[test]
    fn two_that_join_write_once_and_what_a_killed_one_left_goes() {
        use std::sync::atomic::AtomicUsize;
        struct Count(AtomicUsize);
        impl crate::hub::Observer for Count {
            fn began(&self, _file: &str, _done: u64, _total: Option<u64>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
            fn came(&self, _done: u64, _total: Option<u64>) {}
            fn ended(&self) {}
            fn waits(&self, _why: &str) {}
        }
        let folder = tempfile::tempdir().unwrap();
        let (paths, out) = (parts(folder.path()), folder.path().join("joined/ab/m.gguf"));
        std::fs::create_dir_all(out.parent().unwrap()).unwrap();
        std::fs::write(out.with_file_name(".tmpAbCdEf"), "half a model").unwrap();
        let count = Count(AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let start = || scope.spawn(|| once(&paths, &out, "m", Watch { observer: &count, stop: &GO }).unwrap());
            let both = [start(), start()];
            for thread in both {
                thread.join().unwrap();
            }
        });
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        let left: Vec<_> =
            std::fs::read_dir(out.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["m.gguf"]);
    }

    #[test]
    fn stopped_in_the_middle_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (paths, out) = (parts(folder.path()), folder.path().join("joined/m.gguf"));
        let stop = AtomicBool::new(true);
        let stopped = join(&paths, &out, "m", Watch { observer: &Silent, stop: &stop }).unwrap_err();
        assert!(stopped.is_interrupted());
        assert_eq!(std::fs::read_dir(out.parent().unwrap()).unwrap().count(), 0);
    }
}
