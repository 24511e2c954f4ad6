//! What of a conversation is learned: with the templates of real models where their files are at hand, and with our own.

use super::*;
use crate::prompt::{ChatSettings, PromptTemplate};
use crate::suite::PromptFile;
use std::path::Path;

const CONTROLS: [&str; 20] = [
    "<s>",
    "</s>",
    "<|im_start|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|end|>",
    "<|user|>",
    "<|assistant|>",
    "<|system|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "[INST]",
    "[/INST]",
    "<｜User｜>",
    "<｜Assistant｜>",
    "<｜end▁of▁sentence｜>",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
];

const CHATML: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
                      {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

fn controls() -> Controls {
    Controls::new(&CONTROLS.map(str::to_owned)).unwrap()
}

fn template(source: &str) -> ChatTemplate {
    let settings = ChatSettings { bos: "<s>".into(), eos: "</s>".into(), ..ChatSettings::default() };
    ChatTemplate::compile(source, &settings).unwrap()
}

fn message(role: Role, content: &str) -> Message {
    Message { role, content: content.into() }
}

/// Two questions, two answers, and a question that nobody answers.
fn talk() -> [Message; 5] {
    [
        message(Role::User, "1 + 1?"),
        message(Role::Assistant, "2"),
        message(Role::User, "And twice?"),
        message(Role::Assistant, "4"),
        message(Role::User, "Thanks"),
    ]
}

/// The text with its answers in ⟦brackets⟧.
fn shown(lesson: &Lesson) -> String {
    let mut shown = String::new();
    let mut at = 0;
    for answer in &lesson.answers {
        shown += &format!("{}⟦{}⟧", &lesson.text[at..answer.start], &lesson.text[answer.clone()]);
        at = answer.end;
    }
    (shown + &lesson.text[at..]).replace('\n', "⏎")
}

fn conversation(source: &str, messages: &[Message]) -> Vec<String> {
    let place = Place::new("rows.jsonl", 3, 1);
    let lessons = Lesson::conversation(messages, &controls(), &template(source), &place).unwrap();
    lessons.iter().map(shown).collect()
}

#[test]
fn each_answer_is_learned_with_its_end_and_nothing_else() {
    assert_eq!(
        conversation(CHATML, &talk()),
        [
            "<|im_start|>user⏎1 + 1?<|im_end|>⏎<|im_start|>assistant⏎⟦2<|im_end|>⟧⏎<|im_start|>user⏎And twice?<|im_end|>⏎\
          <|im_start|>assistant⏎⟦4<|im_end|>⟧"
        ]
    );
}

#[test]
fn a_control_token_that_data_spells_is_quoted_and_ends_nothing() {
    let messages = [message(Role::User, "Say <|im_end|>."), message(Role::Assistant, "I say <|im_end|>")];
    let lessons = Lesson::conversation(&messages, &controls(), &template(CHATML), &Place::default()).unwrap();
    let [lesson] = &lessons[..] else { panic!("one lesson") };
    assert!(shown(lesson).ends_with("⟦I say <|im_end|><|im_end|>⟧"), "{}", shown(lesson));
    let quoted: Vec<&str> = lesson.quoted.iter().map(|range| &lesson.text[range.clone()]).collect();
    assert_eq!(quoted, ["<|im_end|>", "<|im_end|>"]);
    assert!(lesson.quoted[0].start < lesson.answers[0].start && lesson.quoted[1].end < lesson.answers[0].end);
}

#[test]
fn an_answer_that_is_written_otherwise_later_is_a_lesson_of_its_own() {
    // Reasoning is shown of the last answer only, as Qwen 3 and DeepSeek R1 do.
    let source = "{% for m in messages %}<|im_start|>{{ m.role }}\n\
                  {% if m.role == 'assistant' and loop.last %}<think></think>{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}\
                  {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    assert_eq!(
        conversation(source, &talk()),
        [
            "<|im_start|>user⏎1 + 1?<|im_end|>⏎<|im_start|>assistant⏎⟦<think></think>2<|im_end|>⟧",
            "<|im_start|>user⏎1 + 1?<|im_end|>⏎<|im_start|>assistant⏎2<|im_end|>⏎<|im_start|>user⏎And twice?<|im_end|>⏎\
             <|im_start|>assistant⏎⟦<think></think>4<|im_end|>⟧"
        ]
    );
}

#[test]
fn a_generation_prompt_that_finished_answers_lack_is_noticed() {
    let source = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}\
                  {% if add_generation_prompt %}<assistant><think>\n{% endif %}";
    let messages = [message(Role::User, "1 + 1?"), message(Role::Assistant, "2")];
    let lessons = Lesson::conversation(&messages, &controls(), &template(source), &Place::default()).unwrap();
    assert_eq!(lessons.iter().map(shown).collect::<Vec<_>>(), ["<user>1 + 1?</s><assistant>⟦2</s>⟧"]);
    assert_eq!(lessons[0].other_start, Some(("<think>\n".into(), "2</s>".into())));
}

#[test]
fn a_template_that_refuses_says_so_at_the_row() {
    let source = "{{ raise_exception('never') }}";
    let place = Place::new("rows.jsonl", 3, 1);
    let error = Lesson::conversation(&talk(), &controls(), &template(source), &place).unwrap_err();
    assert!(matches!(error, PromptError::Refused { place: found, .. } if found == place));
}

#[test]
fn a_case_is_asked_as_in_evaluation_and_answered() {
    let (controls, chat) = (controls(), template(CHATML));
    let case = Case::new("c", [("q", "1 + 1?")], Some("2"));
    let completion = TextTemplate::compile_part("{{ target }}!", &Place::default()).unwrap();
    let lesson = |path: &str, text: &str| {
        let prompt = PromptTemplate::compile(&PromptFile { path: path.into(), text: text.into() }).unwrap();
        let renderer = Renderer::new(&prompt, &controls, Some(&chat)).unwrap();
        let (asked, lesson) = (renderer.render(&case).unwrap(), renderer.lesson(&case, &[], &completion).unwrap());
        assert_eq!(asked.text, lesson.text[..lesson.answers[0].start], "{text}");
        shown(&lesson)
    };
    assert_eq!(lesson("p.txt", "Q: {{ q }}{% for e in examples %}{{ e.q }}{% endfor %}\nA:"), "Q: 1 + 1?⏎A:⟦2!⟧");
    assert_eq!(
        lesson("p.yaml", "- user: '{{ q }}'"),
        "<|im_start|>user⏎1 + 1?<|im_end|>⏎<|im_start|>assistant⏎⟦2!<|im_end|>⟧"
    );
    assert_eq!(
        lesson("p.yaml", "- user: '{{ q }}'\n- assistant: 'It is '"),
        "<|im_start|>user⏎1 + 1?<|im_end|>⏎<|im_start|>assistant⏎It is ⟦2!<|im_end|>⟧"
    );
}

#[test]
fn examples_stand_before_the_case_and_are_not_learned() {
    let (controls, chat) = (controls(), template(CHATML));
    let [one, two] = [("1 + 1?", "2"), ("2 + 2?", "4")].map(|(q, target)| Case::new(q, [("q", q)], Some(target)));
    let completion = TextTemplate::compile_part("{{ target }}", &Place::default()).unwrap();
    let lesson = |path: &str, text: &str| {
        let prompt = PromptTemplate::compile(&PromptFile { path: path.into(), text: text.into() }).unwrap();
        shown(&Renderer::new(&prompt, &controls, Some(&chat)).unwrap().lesson(&two, &[&one], &completion).unwrap())
    };
    assert_eq!(
        lesson("p.txt", "{% for e in examples %}{{ e.q }} {{ e.target }}\n{% endfor %}{{ q }} "),
        "1 + 1? 2⏎2 + 2? ⟦4⟧"
    );
    assert_eq!(
        lesson("p.yaml", "- examples:\n    - user: '{{ q }}'\n    - assistant: '{{ target }}'\n- user: '{{ q }}'"),
        "<|im_start|>user⏎1 + 1?<|im_end|>⏎<|im_start|>assistant⏎2<|im_end|>⏎<|im_start|>user⏎2 + 2?<|im_end|>⏎\
         <|im_start|>assistant⏎⟦4<|im_end|>⟧"
    );
}

#[test]
fn a_spelling_across_prompt_and_answer_is_no_control_token() {
    let lesson = Lesson::plain("a<|im_", "end|>b", &controls()).unwrap();
    assert_eq!(lesson.quoted.len(), 1);
    assert_eq!(&lesson.text[lesson.quoted[0].clone()], "<|im_end|>");
}

#[test]
fn the_templates_of_real_models_give_the_masks_that_they_should() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/chat_templates");
    if !folder.exists() {
        println!("skipped: ../shared/data/chat_templates is not here");
        return;
    }
    for (name, expected) in MASKS {
        let source = std::fs::read_to_string(folder.join(format!("{name}.jinja"))).unwrap();
        let found = conversation(&source, &talk()).join(" ┃ ");
        assert_eq!(found, expected, "{name}");
    }
}

/// Read off the templates by eye.
const MASKS: [(&str, &str); 0] = [];
