//! The room as a whole: prompt files and cases in, prompts out.

use super::*;
use crate::error::render as explain;
use crate::suite::{Case, ExampleChoice, Select};
use serde_json::json;

const CHATML: &str = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}\
                      {% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

fn controls() -> Controls {
    Controls::new(&["<|im_start|>".to_owned(), "<|im_end|>".to_owned()]).unwrap()
}

fn chatml() -> ChatTemplate {
    ChatTemplate::compile(CHATML, &ChatSettings::default()).unwrap()
}

fn pool() -> Vec<Case> {
    let sums = [("0", "1 + 1", "2"), ("1", "2 + 3", "5"), ("2", "4 + 4", "8")];
    sums.iter().map(|(id, question, target)| Case::new(id, [("question", *question)], Some(target))).collect()
}

/// One case through a whole prompt file, `shots` examples of [`pool`] and ChatML.
fn prompt_of(path: &str, text: &str, shots: usize, case: &Case) -> Result<Prompt, PromptError> {
    let (pool, controls, chat) = (pool(), controls(), chatml());
    let template = PromptTemplate::compile(&PromptFile { path: path.into(), text: text.into() })?;
    let renderer = Renderer::new(&template, &controls, Some(&chat))?;
    let choice = ExampleChoice { count: shots, select: Select::First, seed: 0 };
    renderer.with_examples(ExampleOrder::new(&choice, &pool, 0))?.render(case)
}

fn text_of(text: &str, shots: usize) -> Prompt {
    prompt_of("qa.txt", text, shots, &asked("6 + 7?")).unwrap()
}

fn asked(question: &str) -> Case {
    Case::new("c-1", [("question", question)], Some("13"))
}

fn spelt(prompt: &Prompt) -> Vec<(usize, &str)> {
    prompt.quoted.iter().map(|range| (range.start, &prompt.text[range.clone()])).collect()
}

const FEW: &str =
    "Add.\n\n{% for e in examples %}Q: {{ e.question }}\nA: {{ e.target }}\n\n{% endfor %}Q: {{ question }}\nA:";

#[test]
fn a_text_prompt_shows_its_examples_and_knows_where_the_case_begins() {
    let prompt = text_of(FEW, 2);
    assert_eq!(prompt.text, "Add.\n\nQ: 1 + 1\nA: 2\n\nQ: 2 + 3\nA: 5\n\nQ: 6 + 7?\nA:");
    assert_eq!(&prompt.text[prompt.case_start..], "Q: 6 + 7?\nA:");
    let prompt = text_of(FEW, 0);
    assert_eq!((prompt.text.as_str(), prompt.case_start), ("Add.\n\nQ: 6 + 7?\nA:", 0));
}

#[test]
fn the_case_begins_behind_what_the_loop_writes_and_not_only_behind_its_values() {
    let prompt =
        text_of("{% for e in examples %}{{ e.question }} = {{ e.target }}\n---\n{% endfor %}{{ question }}", 2);
    assert_eq!(&prompt.text[prompt.case_start..], "6 + 7?");
}

#[test]
fn the_case_begins_behind_the_examples_even_if_the_template_computes_with_them() {
    let text =
        "{% for e in examples %}{% if e.target == \"2\" %}two{% else %}more{% endif %};{% endfor %} {{ question }}";
    let prompt = text_of(text, 2);
    assert_eq!(prompt.text, "two;more; 6 + 7?");
    assert_eq!(&prompt.text[prompt.case_start..], "6 + 7?");
}

#[test]
fn a_prompt_that_ignores_its_examples_is_all_case() {
    assert_eq!(text_of("Q: {{ question }}", 3).case_start, 0);
}

#[test]
fn a_prompt_that_asks_before_it_shows_has_its_case_at_the_end() {
    let prompt = text_of("{{ question }} Like {{ examples[0].question }}!", 1);
    assert_eq!(&prompt.text[prompt.case_start..], "!");
}

#[test]
fn data_spelling_a_control_token_is_quoted_and_the_template_s_own_is_not() {
    let text = "<|im_start|>{% for e in examples %}{{ e.question }}{{ e.target }} {% endfor %}{{ question | upper }}{{ question | trim }}<|im_end|>";
    let prompt = prompt_of("qa.txt", text, 1, &asked("say <|im_end|>")).unwrap();
    assert_eq!(prompt.text, "<|im_start|>1 + 12 SAY <|IM_END|>say <|im_end|><|im_end|>");
    assert_eq!(spelt(&prompt), [(37, "<|im_end|>")]);
    assert_eq!(&prompt.text[prompt.case_start..], "SAY <|IM_END|>say <|im_end|><|im_end|>");
}

#[test]
fn a_spelling_inside_lists_maps_and_examples_is_quoted() {
    let mut case = Case::new("c", [("list", json!(["<|im_end|>", {"<|im_start|>": 1}]))], None);
    case.vars.insert("question".into(), json!("?"));
    let prompt = prompt_of("qa.txt", "{{ list | join(sep=' ') }}", 0, &case).unwrap();
    assert_eq!(prompt.text, "<|im_end|> {\"<|im_start|>\": 1}");
    assert_eq!(spelt(&prompt), [(0, "<|im_end|>"), (13, "<|im_start|>")]);
    let prompt = prompt_of("qa.txt", "{{ list[0] }}{% for k, v in list[1] %}{{ k }}{% endfor %}", 0, &case).unwrap();
    assert_eq!(spelt(&prompt), [(0, "<|im_end|>"), (10, "<|im_start|>")]);

    let pool = [Case::new("0", [("question", "<|im_end|>")], Some("x"))];
    let template = PromptTemplate::compile(&PromptFile { path: "q.txt".into(), text: FEW.into() }).unwrap();
    let controls = controls();
    let order = ExampleOrder::new(&ExampleChoice { count: 1, select: Select::First, seed: 0 }, &pool, 0);
    let renderer = Renderer::new(&template, &controls, None).unwrap().with_examples(order).unwrap();
    let prompt = renderer.render(&asked("?")).unwrap();
    assert_eq!(prompt.text, "Add.\n\nQ: <|im_end|>\nA: x\n\nQ: ?\nA:");
    assert_eq!(spelt(&prompt), [(9, "<|im_end|>")]);
    assert_eq!(&prompt.text[prompt.case_start..], "Q: ?\nA:");
}

#[test]
fn a_case_is_not_shown_itself() {
    let prompt = prompt_of("qa.txt", FEW, 2, &pool()[0]).unwrap();
    assert_eq!(prompt.text, "Add.\n\nQ: 2 + 3\nA: 5\n\nQ: 4 + 4\nA: 8\n\nQ: 1 + 1\nA:");
    assert_eq!(&prompt.text[prompt.case_start..], "Q: 1 + 1\nA:");
}

#[test]
fn the_answer_of_the_case_cannot_be_printed() {
    let error = prompt_of("qa.txt", "{{ question }} {{ target }}", 1, &asked("?")).unwrap_err();
    insta::assert_snapshot!(explain(&error, false), @r"
    error: undefined variable `target`
      --> qa.txt:1:19 (case `c-1`)
      help: `target` is known inside examples only, so that no answer leaks into a prompt
    ");
}

const CHAT: &str = "- system: Add.\n- examples:\n    - user: '{{ question }}'\n    - assistant: '{{ target }}'\n- user: '{{ question }}'\n";

#[test]
fn a_chat_prompt_repeats_its_examples_and_knows_where_the_case_begins() {
    let prompt = prompt_of("qa.yaml", CHAT, 1, &asked("6 + 7? <|im_end|>")).unwrap();
    assert_eq!(
        prompt.text,
        "<|im_start|>system\nAdd.<|im_end|>\n<|im_start|>user\n1 + 1<|im_end|>\n<|im_start|>assistant\n2<|im_end|>\n\
         <|im_start|>user\n6 + 7? <|im_end|><|im_end|>\n<|im_start|>assistant\n"
    );
    let case = "<|im_start|>user\n6 + 7? <|im_end|><|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(&prompt.text[prompt.case_start..], case);
    assert_eq!(spelt(&prompt), [(prompt.text.find("<|im_end|><|im_end|>").unwrap(), "<|im_end|>")]);
    assert_eq!(prompt_of("qa.yaml", CHAT, 0, &asked("?")).unwrap().case_start, 0);
}

#[test]
fn the_start_of_the_case_does_not_depend_on_which_case_came_first() {
    let (pool, controls, chat) = (pool(), controls(), chatml());
    let file = PromptFile { path: "qa.yaml".into(), text: CHAT.replace("Add.", "'{{ question }}!'") };
    let template = PromptTemplate::compile(&file).unwrap();
    let choice = ExampleChoice { count: 1, select: Select::First, seed: 0 };
    let fresh = || {
        let order = ExampleOrder::new(&choice, &pool, 0);
        Renderer::new(&template, &controls, Some(&chat)).unwrap().with_examples(order).unwrap()
    };
    let (short, long) = (asked("a"), asked("a long question"));
    let one = fresh();
    assert_eq!(one.render(&short).unwrap(), fresh().render(&short).unwrap());
    assert_eq!(one.render(&long).unwrap(), fresh().render(&long).unwrap());
    let prompt = one.render(&long).unwrap();
    assert!(prompt.text[prompt.case_start..].starts_with("<|im_start|>user\na long question<|im_end|>"));
}

#[test]
fn a_last_assistant_message_is_continued() {
    let text = format!("{CHAT}- assistant: 'The answer to {{{{ question }}}} is '\n");
    let prompt = prompt_of("qa.yaml", &text, 0, &asked("1+<|im_end|>")).unwrap();
    assert!(prompt.text.ends_with("<|im_start|>assistant\nThe answer to 1+<|im_end|> is "), "{}", prompt.text);
    assert_eq!(prompt.quoted.len(), 2);
    let last = prompt.messages.last().unwrap();
    assert_eq!((last.role, &*last.content), (Role::Assistant, "The answer to 1+<|im_end|> is "), "without marks");
}

#[test]
fn says_that_a_model_has_no_chat_template() {
    let template = PromptTemplate::compile(&PromptFile { path: "qa.yaml".into(), text: CHAT.into() }).unwrap();
    let error = Renderer::new(&template, &controls(), None).unwrap_err();
    insta::assert_snapshot!(explain(&error, false), @r"
    error: this prompt is a chat, and the model has no chat template
      --> qa.yaml
      help: use a completion prompt (a .txt file) for this model
    ");
}

#[test]
fn says_what_the_chat_template_refuses() {
    let source = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}";
    let chat = ChatTemplate::compile(source, &ChatSettings::default()).unwrap();
    let template = PromptTemplate::compile(&PromptFile { path: "qa.yaml".into(), text: CHAT.into() }).unwrap();
    let controls = controls();
    let error = Renderer::new(&template, &controls, Some(&chat)).unwrap().render(&asked("?")).unwrap_err();
    insta::assert_snapshot!(explain(&error, false), @r"
    error: the model's chat template refuses this prompt: System role not supported
      --> qa.yaml (case `c-1`)
      help: change the roles to those the template takes, or use a completion prompt (a .txt file)
    ");
}

#[test]
fn names_the_example_that_lacks_a_variable() {
    let error = prompt_of("qa.yaml", &CHAT.replacen("question", "questions", 1), 1, &asked("?")).unwrap_err();
    insta::assert_snapshot!(explain(&error, false), @r"
    error: undefined variable `questions`
      --> qa.yaml:3:17 (example `0`)
      help: did you mean `question`? (question, target)
    ");
}

#[test]
fn every_core_renders_what_one_renders() {
    use rayon::prelude::*;
    let (pool, controls) = (pool(), controls());
    let template = PromptTemplate::compile(&PromptFile { path: "qa.txt".into(), text: FEW.into() }).unwrap();
    let order = ExampleOrder::new(&ExampleChoice { count: 3, select: Select::Random, seed: 0 }, &pool, 0);
    let renderer = Renderer::new(&template, &controls, None).unwrap().with_examples(order).unwrap();
    let cases: Vec<Case> = (0..500).map(|i| asked(&format!("What is {i} + {i}?"))).collect();
    let together: Vec<Prompt> = cases.par_iter().map(|case| renderer.render(case).unwrap()).collect();
    let alone: Vec<Prompt> = cases.iter().map(|case| renderer.render(case).unwrap()).collect();
    assert_eq!(together, alone);
}
