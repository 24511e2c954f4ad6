//! A download killed or interrupted at any moment leaves nothing that looks whole and is not, and goes on.

use crate::hub_server::{COMMIT, FakeHub, noise, part, sha256};
use crate::moments::Moments;
use crate::workspace::Workspace;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const PULL: [&str; 3] = ["model", "pull", "hf://o/r/a.gguf"];

fn content() -> Vec<u8> {
    noise(4 << 20)
}

/// A hub that takes half a second for the file.
fn slow() -> FakeHub {
    FakeHub::new(&[("a.gguf", content())], |asked| {
        asked.path.starts_with("/bytes/").then(|| part(asked, &content()).paced(Duration::from_millis(8)))
    })
}

fn partial(workspace: &Workspace) -> PathBuf {
    workspace.path().join("hf/hub/models--o--r/blobs").join(format!("{}.incomplete", sha256(&content())))
}

fn start(hub: &FakeHub, workspace: &Workspace) -> Child {
    hub.command(workspace, &PULL).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until so many bytes are here, or it is over.
fn wait_for(child: &mut Child, workspace: &Workspace, bytes: u64) {
    let began = Instant::now();
    let here = || std::fs::metadata(partial(workspace)).map_or(0, |about| about.len());
    while here() < bytes && began.elapsed() < Duration::from_mins(1) && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn a_download_killed_at_twenty_moments_never_leaves_half_a_model_that_looks_whole() {
    let (hub, workspace) = (slow(), Workspace::new());
    let path = workspace.path().join("hf/hub/models--o--r/snapshots").join(COMMIT).join("a.gguf");
    let (mut moments, mut resumed) = (Moments::draw(), 0);
    for moment in 0..20 {
        let before = hub.bytes.asked("/bytes/").len();
        let mut child = start(&hub, &workspace);
        let from = std::fs::metadata(partial(&workspace)).map_or(0, |about| about.len());
        let left = usize::try_from((4 << 20) - from).unwrap();
        wait_for(&mut child, &workspace, from + moments.progress(left) as u64);
        std::thread::sleep(moments.pause(Duration::from_millis(20)));
        child.kill().unwrap();
        child.wait().unwrap();
        if path.exists() {
            assert!(std::fs::read(&path).unwrap() == content(), "moment {moment}: it looks whole, and is not");
            // And once more, from nothing.
            std::fs::remove_dir_all(workspace.path().join("hf")).unwrap();
        } else if let Ok(bytes) = std::fs::read(partial(&workspace)) {
            assert!(content().starts_with(&bytes), "moment {moment}: what is kept is not the beginning of the file");
        }
        let asked = hub.bytes.asked("/bytes/").split_off(before);
        resumed += usize::from(asked.iter().any(|asked| asked.header("range").is_some()));
    }
    assert!(resumed >= 5, "only {resumed} of 20 went on where the one before was killed");
    hub.ok(&workspace, &PULL);
    assert!(std::fs::read(&path).unwrap() == content());
    assert!(!partial(&workspace).exists());
}

#[test]
fn an_interrupted_download_says_how_to_go_on_and_does() {
    let (hub, workspace) = (slow(), Workspace::new());
    let mut child = start(&hub, &workspace);
    wait_for(&mut child, &workspace, 1 << 20);
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let ended = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(130), "{text}");
    let kept = std::fs::metadata(partial(&workspace)).unwrap().len();
    let said = format!(
        "interrupted: {:.1} MiB are kept\n  go on: tripos model pull hf://o/r/a.gguf\n",
        kept as f64 / 1_048_576.0
    );
    assert!(kept >= 1 << 20 && text.ends_with(&said), "{text}");
    hub.ok(&workspace, &PULL);
    let asked = hub.bytes.asked("/bytes/");
    assert_eq!(asked[1].header("range"), Some(format!("bytes={kept}-").as_str()));
}

#[test]
fn a_run_interrupted_while_its_model_comes_asks_nothing() {
    let (hub, workspace) = (slow(), Workspace::scripted());
    let suite = workspace.read("suite.yaml").replace("{scripted: model.yaml}", "hf://o/r/a.gguf");
    workspace.write("suite.yaml", suite);
    let mut child =
        hub.command(&workspace, &["run", "suite.yaml"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(&mut child, &workspace, 1 << 20);
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(workspace.run_folders().is_empty());
}
