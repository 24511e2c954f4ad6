//! A model file that is missing, damaged, mutated or unknown is an error, never an abort of the program.

use crate::workspace::{Workspace, model};

fn run_with(workspace: &Workspace, name: &str) -> (Option<i32>, String) {
    let said = workspace.tripos(&["run", "suite.yaml", "--model", name, "--limit", "1", "--variant", "greedy"]);
    (said.code, said.stderr)
}

#[test]
fn each_way_of_not_being_a_model_has_its_own_words() {
    let workspace = Workspace::llama();
    let bytes = std::fs::read(model()).unwrap();
    workspace.write("empty.gguf", b"");
    workspace.write("short.gguf", &bytes[..bytes.len() / 2]);
    workspace.write("text.gguf", b"This is not a model at all, it is text.");
    workspace.write("pointer.gguf", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
    let known = bytes.windows(5).position(|w| w == b"llama").unwrap();
    let mut unknown = bytes.clone();
    unknown[known..known + 5].copy_from_slice(b"xyzzy");
    workspace.write("unknown.gguf", unknown);
    for (name, expected) in [
        ("nowhere.gguf", "No such file"),
        (".", "not a file"),
        ("empty.gguf", "empty"),
        ("short.gguf", "missing"),
        ("text.gguf", "not a GGUF"),
        ("pointer.gguf", "git-lfs pointer"),
        ("unknown.gguf", "xyzzy"),
    ] {
        let (code, stderr) = run_with(&workspace, name);
        assert_eq!(code, Some(2), "{name}: {stderr}");
        assert!(stderr.contains("error: ") && stderr.contains(expected), "{name}: {stderr}");
        assert!(stderr.contains("help: "), "{name}: {stderr}");
    }
    assert!(workspace.run_folders().is_empty());
}

/// The trial process is what keeps a model that passes our checks and kills llama.cpp from killing a run. Its negative
/// twin: the same kind of death, provoked in the child, must reach the user as an error.
#[test]
fn a_model_that_kills_its_trial_process_does_not_kill_the_run() {
    let workspace = Workspace::llama();
    let bytes = std::fs::read(model()).unwrap();
    let mut survived = 0;
    // Mutations of the header by a fixed rule: most are refused by our own checks, some by llama.cpp in the child.
    let mut state = 88_172_645_463_325_252_u64;
    for round in 0..12 {
        let mut mutated = bytes.clone();
        for _ in 0..4 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let at = 24 + usize::try_from(state % 20_000).unwrap();
            mutated[at] ^= 1 << (state >> 40 & 7);
        }
        let name = format!("m{round}.gguf");
        workspace.write(&name, mutated);
        let (code, stderr) = run_with(&workspace, &name);
        assert!(matches!(code, Some(0 | 2)), "the program died of {name}: {code:?} {stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        survived += usize::from(code == Some(0));
    }
    println!("{survived} of 12 mutated models still run");
}
