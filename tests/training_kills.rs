//! A training run killed or interrupted at any moment goes on to the same weights, to the last bit.

use crate::moments::Moments;
use crate::training::{folders, losses, workspace};
use crate::workspace::Workspace;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const FLAGS: [&str; 3] = ["train", "sums.yaml", "--quiet"];

/// What a complete run came to: the trained file, the last checkpoint with the optimiser's state, and every loss.
type Learned = (Vec<u8>, Vec<u8>, Vec<f64>);

fn learned(folder: &Path) -> Learned {
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    (read("sums.adapter.gguf"), read("checkpoints/step-000012.gguf"), losses(folder))
}

/// Starts a run and waits until it has made `steps` steps, or is over.
fn start(workspace: &Workspace, steps: usize) -> Child {
    let mut child = workspace.command(&FLAGS).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    let made = || {
        let text = std::fs::read_to_string(folders(workspace).pop()?.join("steps.jsonl")).ok()?;
        Some(text.lines().count())
    };
    while made().unwrap_or(0) < steps && began.elapsed() < Duration::from_mins(2) {
        if child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    child
}

fn reference(workspace: &Workspace) -> Learned {
    workspace.ok(&FLAGS);
    let whole: PathBuf = folders(workspace).remove(0);
    let learned = learned(&whole);
    std::fs::remove_dir_all(&whole).unwrap();
    learned
}

#[test]
fn a_run_killed_at_twenty_moments_learns_the_same_to_the_last_bit() {
    let workspace = workspace();
    let reference = reference(&workspace);
    let mut resumed = 0;
    // A little behind a step: in its arithmetic, a checkpoint, an evaluation, the export.
    let mut moments = Moments::draw();
    for moment in 0..20 {
        let mut child = start(&workspace, moments.progress(12));
        std::thread::sleep(moments.pause(Duration::from_millis(60)));
        child.kill().unwrap();
        child.wait().unwrap();
        let Some(folder) = folders(&workspace).pop() else { continue };
        if folder.join("header.json").exists() {
            assert!(
                resume(&workspace, &folder) == reference,
                "moment {moment}: {:?} {:?}",
                losses(&folder),
                reference.2
            );
            resumed += 1;
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
    assert!(resumed >= 15, "only {resumed} of 20 kills left something to go on with");
}

/// Goes on with a killed run, which leaves nothing half written behind.
fn resume(workspace: &Workspace, folder: &Path) -> Learned {
    workspace.ok(&["train", "sums.yaml", "--quiet", "--resume"]);
    assert_eq!(half_written(folder), Vec::<PathBuf>::new());
    learned(folder)
}

/// What is being written, or was when the program died.
fn half_written(folder: &Path) -> Vec<PathBuf> {
    let folders = [folder.to_path_buf(), folder.join("checkpoints")];
    let files = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
    let files = files.filter_map(|file| Some(file.ok()?.path()));
    files.filter(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".tmp"))).collect()
}

/// Behind the last step, when the trained file is being written or has just appeared, and the run is not yet closed.
#[test]
fn a_run_killed_in_the_export_is_exported_again() {
    let workspace = workspace();
    let reference = reference(&workspace);
    let mut within = 0;
    for _ in 0..10 {
        let mut child = start(&workspace, 12);
        let folder = folders(&workspace).remove(0);
        let exported = || folder.join("sums.adapter.gguf").exists();
        let exporting = || half_written(&folder).iter().any(|file| file.parent() == Some(&folder));
        while !(exported() || folder.join("checkpoints/step-000012.gguf").exists() && exporting()) {
            assert!(child.try_wait().unwrap().is_none(), "it is over, and nothing was exported");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let header = std::fs::read_to_string(folder.join("header.json")).unwrap();
        within += u8::from(header.contains("\"started\""));
        assert!(resume(&workspace, &folder) == reference);
        std::fs::remove_dir_all(&folder).unwrap();
    }
    assert!(within >= 1, "each of 10 kills came too late");
}

/// The negative twin: another seed is another run, to be seen in the last bits.
#[test]
fn another_seed_learns_something_else() {
    let workspace = workspace();
    let reference = reference(&workspace);
    workspace.ok(&["train", "sums.yaml", "--quiet", "--seed", "2"]);
    let other = learned(&folders(&workspace)[0]);
    assert!(other.1 != reference.1 && other.2 != reference.2);
}

#[test]
#[cfg(unix)]
fn ctrl_c_writes_a_checkpoint_and_says_how_to_go_on() {
    let workspace = workspace();
    let reference = reference(&workspace);
    let child = start(&workspace, 3);
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    let folder = folders(&workspace).remove(0);
    // It was evaluated at step 0 alone: no file says that this is what was learned.
    assert!(!folder.join("sums.adapter.gguf").exists() && half_written(&folder).is_empty());
    let steps = losses(&folder).len();
    assert!(folder.join(format!("checkpoints/step-{steps:06}.gguf")).is_file(), "{steps} steps were made");
    let run = folder.file_name().unwrap().to_str().unwrap();
    let said = format!("what was learned is kept: tripos train sums.yaml --resume reports/train/{run}\n");
    assert!(stderr.ends_with(&said), "{stderr}");
    workspace.ok(&["train", "sums.yaml", "--quiet", "--resume", folder.to_str().unwrap()]);
    assert!(learned(&folder) == reference);
    // Once it is complete nothing is learned again.
    let again = workspace.ok(&["train", "sums.yaml", "--resume"]);
    assert!(again.stderr.ends_with("the training run is complete; nothing is left to learn\n"), "{}", again.stderr);
    assert!(again.stdout.starts_with("trained "), "{}", again.stdout);
}
