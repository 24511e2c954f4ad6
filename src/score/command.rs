//! `command`: a program judges. It runs only when the user has allowed commands.

use super::judgement::{Judgement, clip};
use super::{ScoreError, ScoreValue};
use crate::suite;
use serde::Deserialize;
use serde_json::Value;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// Most bytes of standard output that are kept; more is an error, but the program is never blocked by it.
const MOST_OUTPUT: usize = 1 << 20;
/// How much of the end of standard error is kept for the reason.
const MOST_ERROR: usize = 4096;
/// How long a program's descendants may keep its output open once it has ended.
const GRACE: Duration = Duration::from_secs(1);

/// Runs a program for each completion: the sample as one JSON object on its standard input, and
/// `{"value": …, "explanation": "…"}` expected on its standard output, where `value` is a boolean, a number or
/// `{"unscored": "reason"}` and `explanation` may be missing. A text as value leaves the sample unscored: the metric of a
/// command is a number, and a label would count nowhere.
///
/// A program that cannot be started, fails, runs out of time or prints anything else leaves the sample unscored, too,
/// with the end of its standard error in the reason. It runs in the suite's folder, without a shell, in a process group of
/// its own, so that a timeout ends its children as well.
#[derive(Debug)]
pub(super) struct CommandScorer {
    program: PathBuf,
    arguments: Vec<String>,
    folder: PathBuf,
    timeout: Duration,
}

/// What a program answers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reply {
    value: ScoreValue,
    #[serde(default)]
    explanation: String,
}

/// What a program did.
struct Outcome {
    status: ExitStatus,
    output: Vec<u8>,
    error: Vec<u8>,
}

impl CommandScorer {
    pub(super) fn new(spec: &suite::Command, allowed: bool) -> Result<Self, ScoreError> {
        let Some((program, arguments)) = spec.run.split_first().filter(|(program, _)| !program.is_empty()) else {
            return Err(ScoreError::Command { what: "program" });
        };
        if spec.timeout_s == 0 {
            return Err(ScoreError::Command { what: "time to run" });
        }
        if !allowed {
            return Err(ScoreError::CommandsOff { program: program.clone() });
        }
        Ok(Self {
            program: resolve(program, &spec.folder),
            arguments: arguments.to_vec(),
            folder: spec.folder.clone(),
            timeout: Duration::from_secs(spec.timeout_s),
        })
    }

    /// Judges one sample.
    pub(super) fn judge(&self, sample: &Value) -> Judgement {
        match self.run(format!("{sample}\n").into_bytes()) {
            Ok(outcome) => read_reply(&outcome),
            Err(reason) => Judgement::unscored(format!("`{}` {reason}", self.program.display())),
        }
    }

    fn run(&self, input: Vec<u8>) -> Result<Outcome, String> {
        let mut child = self.start().map_err(|error| format!("could not be started: {error}"))?;
        // A thread each, because a program may write before it reads, and never read at all.
        if let Some(mut stdin) = child.stdin.take() {
            thread::spawn(move || stdin.write_all(&input));
        }
        let output = child.stdout.take().map(|pipe| in_background(move || read_start(pipe, MOST_OUTPUT + 1)));
        let error = child.stderr.take().map(|pipe| in_background(move || read_end(pipe, MOST_ERROR)));
        let status = wait(&mut child, self.timeout);
        if !matches!(status, Ok(Some(_))) {
            end(&mut child);
        }
        let output = collect(output, &mut child);
        let error = collect(error, &mut child).unwrap_or_default();
        match (status, output) {
            (Err(error), _) => Err(format!("could not be waited for: {error}")),
            (Ok(None), _) => Err(format!("ran longer than {} s and was ended{}", self.timeout.as_secs(), said(&error))),
            (Ok(Some(_)), None) => Err("ended, but left its output open".to_owned()),
            (Ok(Some(status)), Some(output)) => Ok(Outcome { status, output, error }),
        }
    }

    fn start(&self) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if !self.folder.as_os_str().is_empty() {
            command.current_dir(&self.folder);
        }
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.spawn()
    }
}

/// A program with a slash is relative to the suite's folder; made absolute, because the folder is also where it runs.
fn resolve(program: &str, folder: &Path) -> PathBuf {
    let path = Path::new(program);
    if path.components().count() < 2 && !program.contains('/') {
        return path.to_path_buf();
    }
    let joined = folder.join(path);
    std::path::absolute(&joined).unwrap_or(joined)
}

/// The judgement that a program's output stands for.
fn read_reply(outcome: &Outcome) -> Judgement {
    let error = said(&outcome.error);
    if !outcome.status.success() {
        return Judgement::unscored(format!("the program failed ({}){error}", outcome.status));
    }
    if outcome.output.len() > MOST_OUTPUT {
        return Judgement::unscored(format!("the program printed more than {MOST_OUTPUT} bytes"));
    }
    match serde_json::from_slice::<Reply>(&outcome.output) {
        Ok(Reply { value: ScoreValue::Number(number), explanation }) => {
            Judgement::new(ScoreValue::number(number), explanation)
        }
        Ok(Reply { value: ScoreValue::Label(text), .. }) => Judgement::unscored(format!(
            "a command gives a boolean or a number, and this one gave the text `{}`",
            clip(&text)
        )),
        Ok(Reply { value, explanation }) => Judgement::new(value, explanation),
        Err(reason) => {
            let printed = clip(&String::from_utf8_lossy(&outcome.output));
            Judgement::unscored(format!("the program printed `{printed}`, not {{\"value\": …}}: {reason}{error}"))
        }
    }
}

/// The end of what a program said on standard error, ready to be appended.
fn said(error: &[u8]) -> String {
    const MOST: usize = 300;
    let text = String::from_utf8_lossy(error);
    let text = text.trim();
    let skipped = text.chars().count().saturating_sub(MOST);
    let tail: String = text.chars().skip(skipped).collect();
    match (tail.is_empty(), skipped) {
        (true, _) => String::new(),
        (false, 0) => format!("; it said: {tail}"),
        (false, _) => format!("; it said: …{tail}"),
    }
}

/// Waits for the end of a child; `None` when its time is up.
fn wait(child: &mut Child, timeout: Duration) -> io::Result<Option<ExitStatus>> {
    let begin = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let Some(left) = timeout.checked_sub(begin.elapsed()).filter(|left| !left.is_zero()) else {
            return Ok(None);
        };
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Ends a child and everything in its process group. A signal to a group needs a system call that std does not offer,
/// so the shell's `kill` sends it.
fn end(child: &mut Child) {
    #[cfg(unix)]
    {
        let group = format!("-{}", child.id());
        let mut kill = Command::new("/bin/sh");
        kill.args(["-c", "kill -s KILL -- \"$0\"", &group]);
        kill.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Where there is no shell, the child itself is still ended below.
        let _ = kill.status();
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// What a reader has collected. A descendant that keeps the pipe open after the program's end is ended too.
fn collect(reader: Option<Receiver<Vec<u8>>>, child: &mut Child) -> Option<Vec<u8>> {
    let reader = reader?;
    reader.recv_timeout(GRACE).ok().or_else(|| {
        end(child);
        reader.recv_timeout(GRACE).ok()
    })
}

fn in_background(read: impl FnOnce() -> Vec<u8> + Send + 'static) -> Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || send.send(read()));
    receive
}

/// The first `most` bytes; the rest is read and dropped, so that the writer never blocks.
fn read_start(mut pipe: impl Read, most: usize) -> Vec<u8> {
    let mut kept = Vec::new();
    // A pipe that breaks ends like one that closes: what came is judged.
    let _ = (&mut pipe).take(most as u64).read_to_end(&mut kept);
    let _ = io::copy(&mut pipe, &mut io::sink());
    kept
}

/// The last `most` bytes.
fn read_end(mut pipe: impl Read, most: usize) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = pipe.read(&mut buffer) {
        kept.extend_from_slice(buffer.get(..count).unwrap_or_default());
        kept.drain(..kept.len().saturating_sub(most));
    }
    kept
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scorer(script: &str, timeout_s: u64) -> CommandScorer {
        let run = ["sh", "-c", script].map(str::to_owned).to_vec();
        CommandScorer::new(&suite::Command { run, timeout_s, folder: PathBuf::new() }, true).unwrap()
    }

    fn judge(script: &str) -> Judgement {
        scorer(script, 20).judge(&json!({"answer": "42"}))
    }

    fn reason(judged: &Judgement) -> &str {
        match &judged.value {
            ScoreValue::Unscored(reason) => reason,
            other => panic!("scored: {other:?}"),
        }
    }

    #[test]
    fn reads_a_pass_a_number_and_unscored() {
        let passed = judge(r#"grep -q '"answer":"42"' && echo '{"value": true, "explanation": "well done"}'"#);
        assert_eq!((passed.value, passed.explanation.as_str()), (ScoreValue::Pass(true), "well done"));
        assert_eq!(judge("echo '{\"value\": 0.5}'").value, ScoreValue::Number(0.5));
        assert_eq!(
            judge("echo '{\"value\": {\"unscored\": \"no key\"}}'").value,
            ScoreValue::Unscored("no key".into())
        );
    }

    #[test]
    fn a_text_is_unscored_because_it_would_count_nowhere() {
        let text = judge("echo '{\"value\": \"good\", \"explanation\": \"e\"}'");
        insta::assert_snapshot!(reason(&text), @"a command gives a boolean or a number, and this one gave the text `good`");
    }

    #[test]
    fn a_failure_is_unscored_with_the_end_of_what_it_said() {
        let failed = judge("echo first >&2; echo 'no such file' >&2; exit 3");
        insta::assert_snapshot!(reason(&failed), @r"
        the program failed (exit status: 3); it said: first
        no such file
        ");
        let missing = CommandScorer::new(
            &suite::Command { run: vec!["./missing.py".into()], timeout_s: 1, folder: "/tmp".into() },
            true,
        );
        insta::assert_snapshot!(reason(&missing.unwrap().judge(&json!({}))),
            @"`/tmp/missing.py` could not be started: No such file or directory (os error 2)");
    }

    #[test]
    fn output_that_is_no_score_is_unscored() {
        for script in [
            "echo NaN",
            "echo '{\"value\": NaN}'",
            "echo '{\"value\": 1e999}'",
            "echo '{\"value\": null}'",
            "echo '{\"score\": 1}'",
            "true",
            "echo '{\"value\": true} extra'",
            "printf '\\377'",
        ] {
            assert!(reason(&judge(script)).starts_with("the program printed"), "{script}");
        }
    }

    #[test]
    fn a_timeout_ends_the_program_and_its_children() {
        let begin = Instant::now();
        let folder = tempfile::tempdir().unwrap();
        let witness = folder.path().join("survived");
        // The child inherits the pipes, so the readers could hang as well.
        let script = format!("(sleep 4; touch {}) & echo waiting >&2; sleep 30", witness.display());
        let judged = scorer(&script, 1).judge(&json!({}));
        insta::assert_snapshot!(reason(&judged), @"`sh` ran longer than 1 s and was ended; it said: waiting");
        assert!(begin.elapsed() < Duration::from_millis(3800), "{:?}", begin.elapsed());
        thread::sleep(Duration::from_millis(4300).saturating_sub(begin.elapsed()));
        assert!(!witness.exists(), "a child outlived the timeout");
    }

    #[test]
    fn a_background_child_that_keeps_the_pipes_is_not_waited_for() {
        let begin = Instant::now();
        assert_eq!(judge("sleep 30 & echo '{\"value\": true}'").value, ScoreValue::Pass(true));
        assert!(begin.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_large_sample_does_not_deadlock_whether_it_is_read_or_not() {
        let sample = json!({"text": "x".repeat(4 << 20)});
        assert_eq!(scorer("echo '{\"value\": true}'", 20).judge(&sample).value, ScoreValue::Pass(true));
        let echo = scorer("cat >&2; wc -c </dev/null >&2; echo '{\"value\": 1}'", 20);
        assert_eq!(echo.judge(&sample).value, ScoreValue::Number(1.0));
    }

    #[test]
    fn a_flood_of_output_is_bounded() {
        let flood = judge("head -c 3000000 /dev/zero");
        insta::assert_snapshot!(reason(&flood), @"the program printed more than 1048576 bytes");
    }

    #[test]
    fn runs_in_the_suites_folder_which_a_program_with_a_slash_is_relative_to() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        std::fs::create_dir(folder.join("bin")).unwrap();
        std::os::unix::fs::symlink("/bin/pwd", folder.join("bin/where")).unwrap();
        let spec = suite::Command { run: vec!["bin/where".into()], timeout_s: 20, folder: folder.clone() };
        let judged = CommandScorer::new(&spec, true).unwrap().judge(&json!({}));
        assert!(reason(&judged).contains(&clip(&folder.display().to_string())), "{judged:?}");
    }

    #[test]
    fn refuses_to_run_unless_allowed_and_without_a_program() {
        let spec = |run: &[&str], timeout_s| suite::Command {
            run: run.iter().map(|&r| r.to_owned()).collect(),
            timeout_s,
            folder: PathBuf::new(),
        };
        assert_eq!(
            CommandScorer::new(&spec(&["sh"], 1), false).unwrap_err(),
            ScoreError::CommandsOff { program: "sh".into() }
        );
        assert_eq!(CommandScorer::new(&spec(&[], 1), true).unwrap_err(), ScoreError::Command { what: "program" });
        assert_eq!(
            CommandScorer::new(&spec(&["sh"], 0), true).unwrap_err(),
            ScoreError::Command { what: "time to run" }
        );
    }
}
