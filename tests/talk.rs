//! A model that is asked again behind its own answers: it reads only what is new, and says what it would say had it read all.

use crate::prefix_tree::{answers, open};
use crate::tiny_models::{Kind, write, write_talking};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tripos::engine::llama::Llama;
use tripos::engine::{Answer, Ask, Completion, Engine, EngineError, KvMode, Request, Talk, Token};
use tripos::run::direct::{Conversation, LanguageModel};
use tripos::run::{RunSettings, Servers};
use tripos::sampling::{Sampling, SamplingSpec};
use tripos::suite::ModelRef;

const CONTEXT: u32 = 256;

fn model(kind: Kind) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    write(kind, &path);
    (folder, path)
}

fn engine(path: &Path) -> Llama {
    open(path, KvMode::Exact, 1, CONTEXT)
}

/// What the model says when it reads all of a text.
fn afresh(engine: &Llama, text: &[Token], sampling: &Sampling) -> Completion {
    let ask = Ask::Generate { sampling: sampling.clone(), seed: 7 };
    let (mut said, _) = answers(engine, &[Request { id: 0, tokens: text.to_vec(), ask }]);
    match said.remove(&0) {
        Some(Answer::Completion(completion)) => completion,
        other => panic!("{other:?}"),
    }
}

/// What it says in a talk, and the pieces in which that was heard.
fn say(talk: &mut dyn Talk, text: &[Token], sampling: &Sampling) -> Result<(Completion, Vec<String>), EngineError> {
    let mut heard = Vec::new();
    let never = AtomicBool::new(false);
    let said = talk.say(text, (sampling, 7), &mut |piece| heard.push(piece.to_owned()), &never)?;
    Ok((said, heard))
}

fn greedy(max_tokens: u32) -> Sampling {
    Sampling { max_tokens, ..Sampling::default() }
}

/// Of every kind of layer: a longer text, one that goes another way in the middle, and the first again.
#[test]
fn a_talk_says_what_a_model_that_reads_all_would_say() {
    for kind in Kind::ALL {
        let (_folder, path) = model(kind);
        let (talking, reading) = (engine(&path), engine(&path));
        let goes_back = !matches!(kind, Kind::Mamba | Kind::Hybrid);
        for sampling in [greedy(12), Sampling { temperature: 0.9, top_k: Some(20), ..greedy(12) }] {
            let ask = |talk: &mut dyn Talk, text: &[Token], new: usize| {
                let (said, heard) = say(talk, text, &sampling).unwrap();
                let wanted = afresh(&reading, text, &sampling);
                assert_eq!((&said.tokens, &said.text), (&wanted.tokens, &wanted.text), "{kind:?}");
                assert_eq!(heard.concat(), said.text, "{kind:?}");
                assert_eq!((said.prompt_tokens, said.prompt_tokens_decoded), (text.len(), new), "{kind:?}");
                said
            };
            let mut with = |talk: &mut dyn Talk| {
                let first = reading.tokenize("What is 12 + 3? It is the sum of", &[]);
                let said = ask(talk, &first, first.len());
                // The answer is known but for its last token, which was drawn and not read.
                let more = reading.tokenize(" and what of the others in there?", &[]);
                let second = [&first[..], &said.tokens, &more[1..]].concat();
                let new = if said.tokens.len() == 12 { more.len() } else { more.len() - 1 };
                ask(talk, &second, new);
                let (alike, mut other) = (9, second.clone());
                other[alike] = if second[alike] == 40 { 41 } else { 40 };
                ask(talk, &other, if goes_back { other.len() - alike } else { other.len() });
                // Its beginning alone: one token has to be read to know what comes next.
                let begin = &other[..alike];
                ask(talk, begin, if goes_back { 1 } else { begin.len() });
            };
            talking.talk(&mut with).unwrap();
        }
    }
}

#[test]
fn what_is_heard_ends_before_a_stop_text_and_where_it_is_stopped() {
    let (_folder, path) = model(Kind::Llama);
    let (talking, reading) = (engine(&path), engine(&path));
    let text = reading.tokenize("What is 12 + 3? It is", &[]);
    let whole = afresh(&reading, &text, &greedy(40)).text;
    // Its bytes are at random: a stop text is one that can be read.
    let from = whole.chars().count() / 2;
    let letters: Vec<char> = whole.chars().skip(from).collect();
    let stop: String = letters.windows(3).find(|three| three.iter().all(char::is_ascii)).unwrap().iter().collect();
    let wanted = &whole[..whole.find(&stop).unwrap()];
    let mut with = |talk: &mut dyn Talk| {
        let (said, heard) = say(talk, &text, &Sampling { stop: vec![stop.clone()], ..greedy(40) }).unwrap();
        assert_eq!((said.text.as_str(), heard.concat().as_str()), (wanted, wanted));
        assert!(heard.len() > 3, "piece by piece: {heard:?}");
        // Stopped after three pieces, and then asked as if nothing had been.
        let (stop, mut pieces) = (AtomicBool::new(false), 0);
        let mut hear = |_: &str| {
            pieces += 1;
            stop.store(pieces == 3, Ordering::Relaxed);
        };
        let cut = talk.say(&text, (&greedy(40), 7), &mut hear, &stop).unwrap();
        assert!(whole.starts_with(&cut.text) && cut.tokens.len() < 8, "{cut:?}");
        assert_eq!(say(talk, &text, &greedy(40)).unwrap().0.text, whole);
        assert!(say(talk, &text, &greedy(CONTEXT)).is_err(), "that does not fit");
        assert_eq!(say(talk, &text, &greedy(40)).unwrap().0.text, whole);
    };
    talking.talk(&mut with).unwrap();
}

/// The twin of the tests above: had a talk kept a beginning that is another, that would show in what it says.
#[test]
fn what_a_model_says_depends_on_the_beginning_of_the_text() {
    for kind in Kind::ALL {
        let (_folder, path) = model(kind);
        let reading = engine(&path);
        let said = |begin: &str| {
            let text = reading.tokenize(&format!("{begin} is 12 + 3? It is the sum of"), &[]);
            afresh(&reading, &text, &greedy(12)).tokens
        };
        assert_ne!(said("What"), said("Where"), "{kind:?}");
    }
}

fn settings() -> RunSettings {
    RunSettings {
        threads: 1,
        gpu_layers: None,
        kv: KvMode::Exact,
        kv_check: false,
        parallel: 1,
        probe: None,
        memory: None,
        use_cache: false,
        kept: Vec::new(),
        servers: Servers::Unasked,
        allow_commands: false,
        llama_cpp: "test".to_owned(),
        features: Vec::new(),
    }
}

#[test]
fn a_conversation_forgets_its_oldest_turns_and_never_its_system_message() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    write_talking(&path);
    let open = || LanguageModel::open(&ModelRef::Gguf(path.clone()), None, Some(96), &settings()).unwrap();
    let (model, other) = (open(), open());
    let sampling = SamplingSpec { max_tokens: Some(8), ..SamplingSpec::default() };
    let mut conversation = Conversation::new(&model, &sampling).unwrap();
    conversation.set_system(Some("Be brief.".to_owned()));
    let never = AtomicBool::new(false);
    let (mut forgotten, mut last) = (0, None);
    let mut with = |talk: &mut dyn Talk| {
        for turn in 0..8 {
            let before = conversation.messages().len();
            let said = conversation.say(talk, &format!("What is {turn} + 1?"), &mut |_| {}, &never).unwrap();
            assert!(said.completion.prompt_tokens + said.completion.completion_tokens <= 96, "{said:?}");
            assert_eq!(conversation.messages().len(), before + 2, "all is kept");
            if turn > 0 && said.forgotten == 0 {
                assert!(said.completion.prompt_tokens_decoded < said.completion.prompt_tokens, "{said:?}");
            }
            forgotten += said.forgotten;
            last = Some((turn, said));
        }
        let failed = conversation.say(talk, &"much too long ".repeat(40), &mut |_| {}, &never).unwrap_err();
        let failed = failed.to_string();
        assert!(failed.contains("before it, does not fit: ") && failed.contains("> 96 context tokens"), "{failed}");
        assert!(failed.contains("help: give --context "), "{failed}");
        assert_eq!(conversation.messages().len(), 17, "what failed is taken back");
    };
    model.engine().talk(&mut with).unwrap();
    assert!(forgotten > 2, "{forgotten}");
    // What is left is asked of another: the same answer.
    let (_, last) = last.unwrap();
    let messages = conversation.messages();
    assert_eq!(messages[0].content.as_ref(), "Be brief.");
    let seen = &messages[1 + 2 * forgotten..messages.len() - 1];
    let shown = |message: &tripos::prompt::Message| format!("{}: {}\n", message.role.name(), message.content);
    let text = format!("system: Be brief.\n{}assistant:", seen.iter().map(shown).collect::<String>());
    let tokens = other.engine().tokenize(&text, &[]);
    assert_eq!(last.completion.prompt_tokens, tokens.len());
    let mut with = |talk: &mut dyn Talk| {
        let (said, _) = say(talk, &tokens, &greedy(8)).unwrap();
        assert_eq!(said.text, last.completion.text);
    };
    other.engine().talk(&mut with).unwrap();
}
