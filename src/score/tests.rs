use super::*;
use crate::engine::StopReason;
use crate::suite::{
    Chrf, Command, Contains, EditDistance, Exact, Json, Label, Number, Regex, RougeL, ScorerKind, Stopped, Which,
};
use proptest::prelude::*;
use serde_json::json;

fn spec(kind: ScorerKind) -> ScorerSpec {
    let name = kind.name().to_owned();
    let place = Place::new("suites/a.yaml", 9, 5);
    ScorerSpec { name, not: false, weight: 1.0, group: None, answer: None, kind, place }
}

fn negated(kind: ScorerKind) -> ScorerSpec {
    ScorerSpec { not: true, ..spec(kind) }
}

pub(super) fn said(text: &str) -> Completion {
    Completion {
        text: text.to_owned(),
        tokens: Vec::new(),
        stop_reason: StopReason::Stop,
        prompt_tokens_decoded: 0,
        prompt_tokens: 0,
        completion_tokens: 0,
        elapsed_s: 0.0,
        logprobs: None,
        end: None,
    }
}

fn judged<'a>(case: &'a Case, completion: &'a Completion) -> Judged<'a> {
    Judged { case, prompt: "?", chat: false, completion: Some(completion), likelihood: &[], verdicts: &[] }
}

fn judge_all(specs: &[ScorerSpec], answer: Option<&Answer>, text: &str, target: Option<&str>) -> Vec<Score> {
    let case = Case::new("c", [("q", "?")], target);
    let room = Scorers::new(specs, answer, &["yes".into(), "no".into()], true).unwrap();
    let scores = room.judge(&judged(&case, &said(text)));
    assert_eq!(room.names().collect::<Vec<_>>(), scores.iter().map(|s| s.scorer.as_str()).collect::<Vec<_>>());
    scores
}

fn judge(spec: ScorerSpec, text: &str, target: Option<&str>) -> Score {
    judge_all(&[spec], None, text, target).remove(0)
}

#[test]
fn what_was_cut_did_not_stop() {
    let case = Case::new("c", [("q", "?")], None);
    let room = Scorers::new(&[spec(ScorerKind::Stopped(Stopped {}))], None, &[], true).unwrap();
    let whole = said("Yes.");
    let cut = Completion { stop_reason: StopReason::Length, ..whole.clone() };
    assert_eq!(room.judge(&judged(&case, &whole))[0].value, ScoreValue::Pass(true));
    let score = &room.judge(&judged(&case, &cut))[0];
    assert_eq!(
        (&score.value, score.explanation.as_str()),
        (&ScoreValue::Pass(false), "the completion was cut at max_tokens")
    );
}

fn contains(value: &str) -> ScorerKind {
    ScorerKind::Contains(Contains { value: Some(value.into()), case_sensitive: false })
}

fn cat() -> ScorerKind {
    let script = r#"grep -q '"answer":"7"' && echo '{"value": 0.25}' || echo '{"value": "odd"}'"#;
    ScorerKind::Command(Command {
        run: ["sh", "-c", script].map(str::to_owned).to_vec(),
        timeout_s: 20,
        folder: std::path::PathBuf::new(),
    })
}

/// Every kind that needs no program.
fn every_kind() -> Vec<ScorerSpec> {
    let schema = json!({"type": "object", "required": ["a"]});
    [
        ScorerKind::Exact(Exact::default()),
        ScorerKind::Contains(Contains::default()),
        ScorerKind::Regex(Regex { pattern: "(?i)a+".into() }),
        ScorerKind::Number(Number { tolerance: Some("0.01".into()) }),
        ScorerKind::Json(Json { schema: Some(schema) }),
        ScorerKind::Label(Label::default()),
        ScorerKind::EditDistance(EditDistance {}),
        ScorerKind::RougeL(RougeL {}),
        ScorerKind::Chrf(Chrf {}),
    ]
    .map(spec)
    .to_vec()
}

#[test]
fn a_number_is_the_last_one_unless_the_variant_or_the_scorer_says_otherwise() {
    let number = || spec(ScorerKind::Number(Number::default()));
    let text = "<think>maybe 5</think>From 12 take 5: **$7.00**";
    assert_eq!(judge(number(), text, Some("7")).value, ScoreValue::Pass(true));
    let first = Answer::Number { which: Which::First };
    let scores = judge_all(&[number()], Some(&first), text, Some("7"));
    assert_eq!((scores[0].value.clone(), scores[0].answer.as_deref()), (ScoreValue::Pass(false), Some("12")));
    let own = ScorerSpec { answer: Some(Answer::Number { which: Which::Last }), ..number() };
    assert_eq!(judge_all(&[own], Some(&first), text, Some("7"))[0].value, ScoreValue::Pass(true));
}

#[test]
fn free_text_scorers_judge_the_whole_text_unless_they_have_an_answer_of_their_own() {
    let number = Answer::Number { which: Which::Last };
    let scores = judge_all(&[spec(contains("take"))], Some(&number), "<think>x</think> take 5 ", None);
    assert_eq!((scores[0].value.clone(), scores[0].answer.as_deref()), (ScoreValue::Pass(true), Some("take 5")));
    let own = ScorerSpec { answer: Some(number), ..spec(contains("take")) };
    let score = judge(own, "take 5", None);
    assert_eq!((score.value, score.answer.as_deref()), (ScoreValue::Pass(false), Some("5")));
}

#[test]
fn a_case_that_cannot_be_judged_is_unscored_whatever_the_model_said() {
    for spec in every_kind().into_iter().filter(|spec| spec.kind.needs_target()) {
        for text in ["yes 7", ""] {
            let value = judge(spec.clone(), text, None).value;
            assert_eq!(value, ScoreValue::Unscored("the case has no target".into()), "{}", spec.name);
        }
    }
    let number = || spec(ScorerKind::Number(Number::default()));
    let unscored = |value| matches!(value, ScoreValue::Unscored(_));
    assert!(unscored(judge(number(), "", Some("many")).value));
    assert!(unscored(judge(negated(number().kind), "7", Some("many")).value), "`not` leaves it unscored");
    assert!(unscored(judge(spec(ScorerKind::Label(Label::default())), "yes", Some("maybe")).value));
}

#[test]
fn a_completion_without_an_answer_is_wrong_for_every_kind_also_under_not() {
    for spec in every_kind() {
        let target = if spec.name == "number" { "7" } else { "yes" };
        for not in [false, true].into_iter().take(if spec.name == "label" { 1 } else { 2 }) {
            for text in ["", " \n", "<think>yes 7"] {
                let score = judge(ScorerSpec { not, ..spec.clone() }, text, Some(target));
                assert_eq!((score.value, score.answer), (ScoreValue::Pass(false), None), "{} {not}", spec.name);
            }
        }
    }
    let cut = Completion { stop_reason: StopReason::Length, ..said("<think>so") };
    let case = Case::new("c", [("q", "?")], Some("7"));
    let scorers = Scorers::new(&every_kind(), None, &["7".into()], false).unwrap();
    let judged = scorers.judge(&judged(&case, &cut));
    insta::assert_snapshot!(judged[0].explanation, @"no answer could be read; the completion was cut at max_tokens");
}

#[test]
fn not_turns_passes_round_and_numbers_over() {
    assert_eq!(judge(negated(contains("sorry")), "Sorry!", None).value, ScoreValue::Pass(false));
    assert_eq!(judge(negated(contains("sorry")), "Sure.", None).value, ScoreValue::Pass(true));
    let distance = negated(ScorerKind::EditDistance(EditDistance {}));
    assert_eq!(judge(distance, "abcd", Some("abxx")).value, ScoreValue::Number(0.5));
}

#[test]
fn a_label_is_its_own_answer_and_one_not_understood_has_none() {
    let label = || spec(ScorerKind::Label(Label::default()));
    let read = judge(label(), "I say **No**.", Some("yes"));
    assert_eq!((read.value, read.answer.as_deref()), (ScoreValue::Label("no".into()), Some("no")));
    let unclear = judge(label(), "perhaps", Some("yes"));
    assert_eq!((unclear.value, unclear.answer), (ScoreValue::Pass(false), None));
    let scorers = Scorers::new(&[label()], None, &["yes".into(), "no".into()], false).unwrap();
    assert_eq!(scorers.labels("label"), Some(vec!["no", "yes"]));
    assert_eq!(scorers.labels("exact"), None);
}

#[cfg(unix)]
#[test]
fn a_program_is_told_the_answer_and_not_asked_without_one() {
    let number = Answer::Number { which: Which::Last };
    let scores = judge_all(&[spec(cat())], Some(&number), "It is 7.", None);
    assert_eq!((scores[0].value.clone(), scores[0].answer.as_deref()), (ScoreValue::Number(0.25), Some("7")));
    assert_eq!(judge_all(&[spec(cat())], Some(&number), "seven", None)[0].value, ScoreValue::Pass(false));
    let scores = judge_all(&[negated(cat())], Some(&number), "It is 7.", None);
    assert_eq!(scores[0].value, ScoreValue::Number(0.75));
    assert!(matches!(judge(negated(cat()), "odd", None).value, ScoreValue::Unscored(_)));
}

#[test]
fn groups_follow_the_scorers() {
    let in_group = |name: &str, weight, kind| ScorerSpec {
        name: name.into(),
        weight,
        group: Some("quality".into()),
        ..spec(kind)
    };
    let specs = [
        in_group("right", 3.0, ScorerKind::Exact(Exact::default())),
        spec(contains("x")),
        in_group("label", 1.0, ScorerKind::Label(Label::default())),
    ];
    let scores = judge_all(&specs, None, "No.", Some("no"));
    assert_eq!(scores[3].scorer, "quality");
    assert_eq!(scores[3].value, ScoreValue::Number(1.0));
    let scores = judge_all(&specs, None, "perhaps no", Some("no"));
    assert_eq!(scores[3].value, ScoreValue::Number(0.25), "the sentence is not the target, but holds the label");
    assert!(matches!(judge_all(&specs, None, "no", None)[3].value, ScoreValue::Unscored(_)));
}

#[test]
fn scorers_may_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Scorers>();
}

#[test]
fn all_problems_are_reported_at_once_with_their_places() {
    let specs = [
        spec(ScorerKind::Regex(Regex { pattern: "a(".into() })),
        spec(ScorerKind::Number(Number { tolerance: Some("-1".into()) })),
        ScorerSpec { name: "shape".into(), ..spec(ScorerKind::Json(Json { schema: Some(json!({"type": 3})) })) },
        negated(ScorerKind::Label(Label { labels: vec!["a".into()], ..Label::default() })),
        spec(cat()),
    ];
    let bad = Answer::Pattern { regex: "x".into(), group: Some(1), which: Which::First };
    let problems = Scorers::new(&specs, Some(&bad), &[], false).unwrap_err();
    insta::assert_snapshot!(problems, @r##"
    error: the regular expression `x` has no group 1
      --> the variant's `answer`
      help: put brackets round the part that counts, or drop `group`

    error: the regular expression `a(` does not compile: unclosed group
      --> suites/a.yaml:9:5 (scorer `regex`)
      help: the syntax is that of Rust's `regex` crate: no look-around and no back-references

    error: the tolerance `-1` is not a decimal number of 0 or more
      --> suites/a.yaml:9:5 (scorer `number`)
      help: write it as `0.01`; at most 28 digits

    error: the JSON Schema cannot be used: at /type: 3 is not valid under any of the schemas listed in the 'anyOf' keyword
      --> suites/a.yaml:9:5 (scorer `shape`)
      help: everything it refers to must stand inside it, as `#/$defs/name`

    error: `not` has no meaning for a label
      --> suites/a.yaml:9:5 (scorer `label`)
      help: drop `not`; a confusion matrix shows what was mistaken for what

    error: the scorer would run the program `sh`
      --> suites/a.yaml:9:5 (scorer `command`)
      help: read the program, then allow it with --allow-commands
    "##);
}

proptest! {
    #[test]
    fn no_completion_or_target_makes_a_scorer_panic_or_give_nan(text in any::<String>(), target in any::<String>()) {
        for score in judge_all(&every_kind(), None, &text, Some(&target)) {
            prop_assert!(score.value.as_number().is_none_or(f64::is_finite));
        }
    }

    #[test]
    fn no_text_close_to_answers_does_either(text in "[-−$€.,0-9eE<>/thinkYyeso{}\\[\\]\":`*#A-D() \n]{0,60}") {
        for score in judge_all(&every_kind(), Some(&Answer::Letter { which: Which::Last }), &text, Some("yes")) {
            prop_assert!(score.value.as_number().is_none_or(f64::is_finite));
        }
    }
}
