//! A run killed at any moment is completed by `--resume`, and what was answered is not asked again.

use crate::moments::Moments;
use crate::workspace::{Workspace, samples_of, without_times};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A suite on the bundled model of 2 × 40 short answers: a second or two of work.
fn workspace() -> Workspace {
    let workspace = Workspace::llama();
    let suite = workspace.read("suite.yaml").replace("count: 12", "count: 40");
    workspace.write("suite.yaml", suite);
    workspace
}

/// The samples as a map from trial to text, times left out, and the lines as they are.
fn lines(folder: &Path) -> Vec<String> {
    samples_of(folder).iter().map(without_times).collect()
}

/// Kills a run once it has recorded `after` samples (or right away), and says how many lines it left.
fn kill_after(workspace: &Workspace, arguments: &[&str], after: usize) -> Option<PathBuf> {
    let before = workspace.run_folders();
    let mut child = workspace.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    loop {
        let folder = workspace.run_folders().into_iter().find(|f| !before.contains(f));
        let written = folder.as_ref().and_then(|f| std::fs::read_to_string(f.join("samples.jsonl")).ok());
        if written.is_some_and(|text| text.lines().count() >= after) || began.elapsed() > Duration::from_mins(1) {
            break;
        }
        if child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    workspace.run_folders().into_iter().find(|f| !before.contains(f))
}

#[test]
fn a_run_killed_at_twenty_moments_is_completed_without_asking_again() {
    let workspace = workspace();
    let flags = ["run", "suite.yaml", "--no-cache", "--kv", "exact", "--quiet"];
    workspace.ok(&flags);
    let reference = lines(&workspace.run_folder());
    assert_eq!(reference.len(), 80);
    let mut moments = Moments::draw();
    for moment in 0..20 {
        let Some(folder) = kill_after(&workspace, &flags, moments.progress(80)) else { continue };
        let killed = std::fs::read_to_string(folder.join("samples.jsonl")).unwrap_or_default();
        let whole = killed.rfind('\n').map_or("", |end| &killed[..=end]);
        if !folder.join("header.json").exists() {
            continue;
        }
        // As after a crash in the middle of a write.
        std::fs::write(folder.join("samples.jsonl"), format!("{whole}{{\"trial\":{{\"vari")).unwrap();
        workspace.ok(&["run", "--resume", folder.to_str().unwrap(), "--no-cache", "--quiet"]);
        let resumed = std::fs::read_to_string(folder.join("samples.jsonl")).unwrap();
        assert!(resumed.starts_with(whole), "what was answered stays as it was");
        assert_eq!(lines(&folder), reference, "moment {moment}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
fn resuming_a_complete_run_prints_its_table() {
    let workspace = Workspace::scripted();
    let ran = workspace.ok(&["run", "suite.yaml"]);
    let folder = workspace.run_folder();
    let resumed = workspace.ok(&["run", "--resume", folder.to_str().unwrap()]);
    assert_eq!(resumed.stdout, ran.stdout);
    assert!(resumed.stderr.contains("nothing is left to ask"), "{}", resumed.stderr);
}

#[test]
fn a_flag_that_would_change_the_plan_is_named() {
    let workspace = Workspace::scripted();
    workspace.ok(&["run", "suite.yaml", "--limit", "2"]);
    let folder = workspace.run_folder();
    let folder = folder.to_str().unwrap();
    workspace.ok(&["run", "suite.yaml", "--limit", "2", "--resume", folder]);
    let refused = workspace.tripos(&["run", "suite.yaml", "--limit", "3", "--seed", "4", "--resume", folder]);
    assert_eq!(refused.code, Some(2));
    for flag in ["--limit would change the plan of the run that is resumed (3, the run has 2)", "--seed would change"] {
        assert!(refused.stderr.contains(flag), "{}", refused.stderr);
    }
}

/// Cuts a complete run down to its first line, as if it had been killed there.
fn cut(folder: &Path) {
    let header = std::fs::read_to_string(folder.join("header.json")).unwrap();
    std::fs::write(folder.join("header.json"), header.replace("\"complete\"", "\"started\"")).unwrap();
    let samples = std::fs::read_to_string(folder.join("samples.jsonl")).unwrap();
    std::fs::write(folder.join("samples.jsonl"), samples.split_inclusive('\n').next().unwrap()).unwrap();
}

#[test]
fn a_changed_pool_of_examples_is_not_resumed() {
    let workspace = Workspace::scripted();
    workspace.ok(&["run", "suite.yaml"]);
    let folder = workspace.run_folder();
    cut(&folder);
    workspace.write("suite.yaml", workspace.read("suite.yaml").replace("target: 10", "target: 11"));
    let refused = workspace.tripos(&["run", "--resume", folder.to_str().unwrap()]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("the few-shot pool changed since the run began"), "{}", refused.stderr);
}

#[test]
fn a_run_is_resumed_as_it_was_decoded_without_naming_its_flags_again_from_any_folder() {
    let workspace = Workspace::llama();
    let flags = ["run", "suite.yaml", "--limit", "2", "--parallel", "3", "--no-cache", "--kv", "exact"];
    workspace.ok(&flags);
    let folder = workspace.run_folder();
    let whole = lines(&folder);
    cut(&folder);
    let elsewhere = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tripos"))
        .args(["run", "--no-cache", "--resume", folder.to_str().unwrap()])
        .current_dir(elsewhere.path())
        .env("TRIPOS_CACHE", workspace.path().join("cache"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(lines(&folder), whole);
    cut(&folder);
    let other = workspace.tripos(&["run", "./suite.yaml", "--parallel", "4", "--resume", folder.to_str().unwrap()]);
    assert!(other.stderr.contains("--parallel would change the plan"), "{}", other.stderr);
}

#[test]
fn another_build_does_not_go_on_with_an_exact_run() {
    let workspace = Workspace::scripted();
    workspace.ok(&["run", "suite.yaml", "--kv", "exact"]);
    let folder = workspace.run_folder();
    cut(&folder);
    let header = std::fs::read_to_string(folder.join("header.json")).unwrap();
    std::fs::write(folder.join("header.json"), header.replace("\"ggml ", "\"another ggml ")).unwrap();
    let refused = workspace.tripos(&["run", "--resume", folder.to_str().unwrap()]);
    assert!(refused.stderr.contains("Tripos, llama.cpp or the CPU changed"), "{}", refused.stderr);
}

#[test]
fn a_complete_run_that_lost_a_line_asks_it_again() {
    let workspace = Workspace::scripted();
    workspace.ok(&["run", "suite.yaml"]);
    let folder = workspace.run_folder();
    let samples = std::fs::read_to_string(folder.join("samples.jsonl")).unwrap();
    let (first, rest) = samples.split_once('\n').unwrap();
    std::fs::write(folder.join("samples.jsonl"), rest).unwrap();
    workspace.ok(&["run", "--resume", folder.to_str().unwrap(), "--no-cache"]);
    let again = std::fs::read_to_string(folder.join("samples.jsonl")).unwrap();
    assert_eq!(again.lines().count(), 6);
    assert!(first.contains("\"a\"") && again.lines().last().unwrap().contains("\"case\":\"one\""));
}

#[test]
fn a_suite_that_changed_since_is_not_resumed() {
    let workspace = Workspace::scripted();
    workspace.ok(&["run", "suite.yaml"]);
    let folder = workspace.run_folder();
    let header = std::fs::read_to_string(folder.join("header.json")).unwrap();
    std::fs::write(folder.join("header.json"), header.replace("\"complete\"", "\"started\"")).unwrap();
    workspace.write("b.txt", "Another prompt: {{ q }}\n");
    let refused = workspace.tripos(&["run", "--resume", folder.to_str().unwrap()]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.contains("the suite or one of its prompts changed since the run began"),
        "{}",
        refused.stderr
    );
}

#[test]
#[cfg(unix)]
fn the_first_interrupt_ends_the_run_after_what_is_in_flight_with_130() {
    let workspace = workspace();
    let mut child = workspace
        .command(&["run", "suite.yaml", "--no-cache"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let recorded = || {
        let folder = workspace.run_folders().pop()?;
        Some(std::fs::read_to_string(folder.join("samples.jsonl")).ok()?.lines().count())
    };
    while recorded().unwrap_or(0) < 5 && began.elapsed() < Duration::from_mins(1) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let _ = child.wait();
    let output = child.wait_with_output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let folder = workspace.run_folder();
    let written = samples_of(&folder).len();
    if written == 80 {
        println!("skipped: the run was faster than the signal");
        return;
    }
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stdout.contains(&format!("the run is interrupted: {written} of 80 trials")), "{stdout}");
    workspace.ok(&["run", "--resume", folder.to_str().unwrap(), "--no-cache"]);
    assert_eq!(samples_of(&folder).len(), 80);
}
