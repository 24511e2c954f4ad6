//! `tripos chat`, through the program: piped, on a terminal (`script` of util-linux makes one), and stopped by Ctrl-C.

use crate::tiny_models::write_talking;
use crate::workspace::{Said, Workspace, model, root, said, samples_of};
use serde_json::Value;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// Runs the program with a message on stdin.
pub(crate) fn piped(workspace: &Workspace, arguments: &[&str], message: &str) -> Said {
    let mut command = workspace.command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that refuses its arguments does not read to the end.
    let _ = child.stdin.take().unwrap().write_all(message.as_bytes());
    said(&child.wait_with_output().unwrap())
}

fn tiny() -> String {
    model().display().to_string()
}

#[test]
fn a_piped_message_is_answered_as_a_run_answers_it() {
    let workspace = Workspace::new();
    workspace.write("chat.yaml", "- system: Think step by step.\n- user: '{{ q }}'\n");
    let suite = "suite: s\nmodel: MODEL\ncases: [{vars: {q: 'What is 47 + 38?'}, target: '85'}]\nscorers: [number]\n\
                 variants: [{name: plain, prompt: chat.yaml}]\n";
    workspace.write("suite.yaml", suite.replace("MODEL", &tiny()));
    workspace.ok(&["run", "suite.yaml", "--no-cache"]);
    let recorded = samples_of(&workspace.run_folder()).remove(0);
    let text = recorded["completion"]["text"].as_str().unwrap();
    let model = tiny();
    let chat = ["chat", &model, "--system", "Think step by step.", "--threads", "1"];
    let answered = piped(&workspace, &chat, "What is 47 + 38?\n");
    assert_eq!((answered.code, answered.stdout.as_str()), (Some(0), format!("{text}\n").as_str()));
    assert_eq!(answered.stderr, "", "nothing but the answer");
    let document = piped(&workspace, &[&chat[..], &["--format", "json"]].concat(), "What is 47 + 38?\n").stdout;
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!((&document["text"], &document["stop_reason"]), (&text.into(), &"stop".into()));
    assert_eq!(document["prompt_tokens"], recorded["completion"]["prompt_tokens"]);
    // Other flags, other answers.
    let cut = piped(&workspace, &[&chat[..], &["--max-tokens", "3"]].concat(), "What is 47 + 38?");
    assert!(text.starts_with(cut.stdout.trim_end()) && cut.stderr.contains("cut at --max-tokens"), "{cut:?}");
    let stopped = piped(&workspace, &[&chat[..], &["--stop", "write"]].concat(), "What is 47 + 38?");
    assert_eq!(stopped.stdout.trim_end(), text.split("write").next().unwrap().trim_end());
    let bare = piped(&workspace, &["chat", &model, "--format", "json"], "What is 47 + 38?").stdout;
    let bare: Value = serde_json::from_str(&bare).unwrap();
    let asked = |document: &Value| document["prompt_tokens"].as_u64().unwrap();
    assert!(asked(&bare) + 5 < asked(&document), "without a system message the prompt is shorter: {bare} {document}");
    let warm = |seed: &str| {
        piped(&workspace, &["chat", &model, "--temperature", "3", "--max-tokens", "24", "--seed", seed], "Hi").stdout
    };
    assert!(warm("1") == warm("1") && warm("1") != warm("2"));
}

#[test]
fn each_answer_is_judged_by_the_reward_model() {
    let workspace = Workspace::new();
    let (model, reward) = (tiny(), root().join("models/tripos-tiny-reward.gguf").display().to_string());
    let chat = ["chat", &model, "--reward", &reward];
    let told = piped(&workspace, &chat, "What is 47 + 38?");
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    let judged = ["judge", "--reward", &reward, "--prompt", "What is 47 + 38?", "--format", "json"];
    let judged = workspace.ok(&[&judged[..], &["--completion", told.stdout.trim_end()]].concat()).stdout;
    let wanted = serde_json::from_str::<Value>(&judged).unwrap()["items"][0]["reward"].as_f64().unwrap();
    assert!(told.stderr.contains(&format!("(reward {wanted:+.3})")), "{} {wanted}", told.stderr);
    let document = piped(&workspace, &[&chat[..], &["--format", "json"]].concat(), "What is 47 + 38?").stdout;
    let document: Value = serde_json::from_str(&document).unwrap();
    assert!((document["reward"].as_f64().unwrap() - wanted).abs() < 1e-3, "{document}");
}

#[test]
fn says_why_it_cannot_chat() {
    let workspace = Workspace::new();
    crate::tiny_models::write(crate::tiny_models::Kind::Llama, &workspace.path().join("mute.gguf"));
    let refused = |arguments: &[&str], message: &str| {
        let said = piped(&workspace, arguments, message);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{}", said.stderr);
        said.stderr
    };
    insta::assert_snapshot!(refused(&["chat", "mute.gguf"], "Hello"), @r"
    error: this model has no chat template, so it cannot tell who speaks
      --> mute.gguf
      help: chat with a model that was taught to (`tripos model show` says `can chat`), teach this one conversations (`tripos train`, kind sft), or let it go on with a text: tripos lm next
    ");
    let model = tiny();
    insta::assert_snapshot!(
        refused(&["chat", &model], " \n"),
        @"error: nothing came on stdin: echo TEXT | tripos chat …, or start it on a terminal"
    );
    insta::assert_snapshot!(refused(&["chat", &model, "--top-p", "2", "--max-tokens", "0"], "Hello"), @r"
    error: `max_tokens` is 0, which is outside 1 or more
      help: tripos chat --help says what each means
    error: `top_p` is 2, which is outside above 0, at most 1
      help: tripos chat --help says what each means
    ");
    let long = refused(&["chat", &model], &"far too long ".repeat(200));
    assert!(long.contains("error: the message does not fit: ") && long.contains("> 512 context tokens"), "{long}");
    assert!(refused(&["chat", "nowhere.gguf"], "Hello").contains("there is no such model file"));
}

/// A model that talks on and on.
fn rambling(workspace: &Workspace) -> Vec<&'static str> {
    write_talking(&workspace.path().join("rambling.gguf"));
    vec!["chat", "rambling.gguf", "--context", "30000", "--threads", "1"]
}

fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn an_answer_is_heard_while_it_is_said_and_a_signal_ends_it() {
    let workspace = Workspace::new();
    let arguments = rambling(&workspace);
    let mut command = workspace.command(&arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"What is it?").unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut first = [0; 16];
    stdout.read_exact(&mut first).unwrap();
    assert!(child.try_wait().unwrap().is_none(), "it still speaks");
    interrupt(&child);
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    let said = said(&child.wait_with_output().unwrap());
    assert_eq!(said.code, Some(130), "{}", said.stderr);
    assert!(said.stderr.contains("(stopped)"), "{}", said.stderr);
    let whole = [&first[..], &rest].concat();
    assert!(String::from_utf8(whole).is_ok_and(|text| text.ends_with('\n')), "whole characters, and a line end");
}

/// The program on a terminal of its own.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: Arc<Mutex<String>>,
}

impl Terminal {
    /// `None` where there is no `script` to make one.
    fn open(workspace: &Workspace, arguments: &[&str]) -> Option<Self> {
        if Command::new("script").arg("--version").output().is_err() {
            println!("skipped: there is no `script` (util-linux) to make a terminal with");
            return None;
        }
        let quoted = arguments.iter().map(|argument| format!("'{argument}'")).collect::<Vec<_>>().join(" ");
        // In the shell's place: one that waits (dash) would end with 130 after any Ctrl-C, whatever the program says.
        let program = format!("exec '{}' {quoted}", env!("CARGO_BIN_EXE_tripos"));
        let mut command = Command::new("script");
        command.args(["-qefc", &program, "/dev/null"]).current_dir(workspace.path());
        command.env("TRIPOS_CACHE", workspace.path().join("cache")).env("TERM", "xterm").env("NO_COLOR", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (keys, mut out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let screen = Arc::new(Mutex::new(String::new()));
        let seen = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count) = out.read(&mut buffer) {
                if count == 0 {
                    break;
                }
                seen.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        });
        Some(Self { child, keys, screen })
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits until nothing more comes up.
    fn settle(&self) {
        let (mut before, begun) = (usize::MAX, Instant::now());
        while self.screen().len() != before {
            assert!(begun.elapsed() < PATIENCE, "it does not settle: {:?}", self.screen());
            before = self.screen().len();
            std::thread::sleep(Duration::from_millis(400));
        }
    }

    fn enter(&mut self, line: &str) {
        self.settle();
        self.press(&format!("{line}\r"));
    }

    /// Waits until a text has come up so many times.
    fn wait_for(&self, text: &str, times: usize) {
        let begun = Instant::now();
        while self.screen.lock().unwrap().matches(text).count() < times {
            assert!(begun.elapsed() < PATIENCE, "no {times} × {text:?} in {:?}", self.screen.lock().unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn screen(&self) -> String {
        self.screen.lock().unwrap().clone()
    }

    fn code(mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end: {:?}", self.screen());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_chat_on_a_terminal_remembers_obeys_and_ends() {
    let workspace = Workspace::new();
    let model = tiny();
    let Some(mut terminal) = Terminal::open(&workspace, &["chat", &model, "--system", "Think step by step."]) else {
        return;
    };
    terminal.wait_for("> ", 1);
    // One message in two lines: a backslash at the end of the first.
    terminal.enter("What is\\");
    terminal.wait_for("... ", 1);
    terminal.enter("47 + 38?");
    terminal.wait_for("answer is", 1);
    terminal.enter("What is 21 + 14?");
    terminal.wait_for("answer is", 2);
    terminal.enter("/tokens");
    terminal.wait_for("tokens of context; the last answer", 1);
    let screen = terminal.screen();
    let counts = regex::Regex::new(r"(\d+) of (\d+) tokens read anew").unwrap();
    let counts = counts.captures(&screen).unwrap();
    let [new, all] = [1, 2].map(|at| counts[at].parse::<usize>().unwrap());
    assert!(new * 2 < all, "only the second question is read: {}", &counts[0]);
    terminal.enter("/rest");
    terminal.wait_for("did you mean `/reset`?", 1);
    terminal.enter("/reward");
    terminal.wait_for("there is no reward model: begin with --reward FILE", 1);
    terminal.enter("/save talk.jsonl");
    terminal.wait_for("added to talk.jsonl", 1);
    terminal.enter("/reset");
    terminal.wait_for("what was said is forgotten", 1);
    terminal.enter("/system -");
    terminal.wait_for("no system message", 1);
    terminal.enter("/system");
    terminal.wait_for("(none)", 1);
    terminal.enter("/save talk.jsonl");
    terminal.wait_for("nothing was said yet", 1);
    // Ctrl-C with nothing to stop, then Ctrl-D.
    terminal.settle();
    terminal.press("half a line\x03");
    terminal.wait_for("Ctrl-D ends the chat", 1);
    terminal.settle();
    terminal.press("\x04");
    assert_eq!(terminal.code(), Some(0));
    let saved: Value = serde_json::from_str(&workspace.read("talk.jsonl")).unwrap();
    let roles: Vec<&str> =
        saved["messages"].as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user", "assistant"]);
    assert_eq!(saved["messages"][1]["content"], "What is\n47 + 38?");
}

/// What comes in one piece, or while the model is speaking, is read line by line when its turn comes.
#[test]
fn what_is_typed_ahead_is_not_lost() {
    let workspace = Workspace::new();
    let model = tiny();
    let Some(mut terminal) = Terminal::open(&workspace, &["chat", &model]) else { return };
    terminal.wait_for("> ", 1);
    terminal.enter("What is 47 + 38?\r/system\rWhat is 21 + 14?\r/reward\r/save talk.jsonl");
    terminal.wait_for("(none)", 1);
    terminal.wait_for("there is no reward model", 1);
    terminal.wait_for("added to talk.jsonl", 1);
    terminal.settle();
    terminal.press("\x04");
    assert_eq!(terminal.code(), Some(0));
    let saved: Value = serde_json::from_str(&workspace.read("talk.jsonl")).unwrap();
    let said: Vec<&str> =
        saved["messages"].as_array().unwrap().iter().map(|said| said["content"].as_str().unwrap()).collect();
    assert_eq!((said.len(), said[0], said[2]), (4, "What is 47 + 38?", "What is 21 + 14?"));
}

#[test]
fn ctrl_c_stops_the_answer_and_not_the_chat() {
    let workspace = Workspace::new();
    let arguments = rambling(&workspace);
    let Some(mut terminal) = Terminal::open(&workspace, &arguments) else { return };
    for turn in 1..=2 {
        terminal.wait_for("> ", turn);
        terminal.enter("What is it?");
        let before = terminal.screen().len();
        let begun = Instant::now();
        // More than the echo of what was typed.
        while terminal.screen().len() < before + 3000 {
            assert!(begun.elapsed() < PATIENCE, "{:?}", terminal.screen());
            std::thread::sleep(Duration::from_millis(5));
        }
        terminal.press("\x03");
        terminal.wait_for("(stopped)", turn);
    }
    terminal.enter("/tokens");
    terminal.wait_for("tokens of context; the last answer", 1);
    terminal.settle();
    terminal.press("\x04");
    assert_eq!(terminal.code(), Some(0));
}
