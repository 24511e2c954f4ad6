use super::super::record::tests::judged;
use super::super::record::{Entry, Judgement, Verdict};
use super::*;
use crate::error::render;
use std::io::Write;
use std::path::Path;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn rankings(&self, judgements: Vec<Judgement>) -> PathBuf {
        let line = |one| serde_json::to_string(&Entry::Judgement(Box::new(one))).unwrap() + "\n";
        self.write("rankings.jsonl", &judgements.into_iter().map(line).collect::<String>())
    }

    /// All that is said of a request that fails, with names instead of paths.
    fn error(&self, request: &Request) -> String {
        let problems = make(request).unwrap_err();
        let said: String = problems.iter().map(|problem| render(problem, false)).collect();
        said.replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn of(path: &Path) -> Request {
    Request { files: vec![path.to_owned()], ..Request::default() }
}

/// `chosen>rejected` of each pair.
fn pairs(made: &Made) -> Vec<String> {
    made.train.iter().map(|pair| format!("{}>{}", pair.chosen, pair.rejected)).collect()
}

fn order(groups: &[&[usize]]) -> Verdict {
    Verdict::Order(groups.iter().map(|group| group.to_vec()).collect())
}

#[test]
fn a_ranking_of_k_gives_its_pairs_in_one_group() {
    let folder = Folder::new();
    let path = folder.rankings(vec![
        judged("ann", "one", &["a", "b", "c", "d"], order(&[&[2], &[0], &[3], &[1]])),
        judged("ann", "two", &["a", "b", "c"], order(&[&[1, 2], &[0]])),
    ]);
    let made = make(&of(&path)).unwrap();
    assert_eq!(pairs(&made), ["a>b", "a>d", "c>a", "c>b", "c>d", "d>b", "b>a", "c>a"]);
    let groups: BTreeSet<_> = made.train[..6].iter().map(|pair| pair.group.clone()).collect();
    assert_eq!((groups.len(), made.train[6].group == made.train[0].group), (1, false));
    assert_eq!(made.dropped.count(Reason::Level), 1);
    assert_eq!(made.sources[0].kind, Kind::Rankings);
}

#[test]
fn scores_give_pairs_with_a_margin() {
    let folder = Folder::new();
    let path = folder.rankings(vec![judged("ann", "one", &["a", "b", "c"], Verdict::Scores(vec![7, 2, 6]))]);
    let made = make(&of(&path)).unwrap();
    assert_eq!(pairs(&made), ["a>b", "a>c", "c>b"]);
    assert_eq!(made.train.iter().map(|pair| pair.margin).collect::<Vec<_>>(), [Some(5.0), Some(1.0), Some(4.0)]);
    let made = make(&Request { min_margin: Some(4.0), ..of(&path) }).unwrap();
    assert_eq!((pairs(&made), made.dropped.count(Reason::SmallMargin)), (vec!["a>b".to_owned(), "c>b".to_owned()], 1));
}

#[test]
fn what_raters_contradict_is_left_out_both_ways_and_what_they_repeat_once() {
    let folder = Folder::new();
    let by = |rater: &str, verdict| judged(rater, "one", &["a", "b", "c"], verdict);
    let honest = Judgement { axis: Some("honest".into()), ..by("cid", order(&[&[1], &[0], &[2]])) };
    let path = folder.rankings(vec![
        by("ann", order(&[&[0], &[1], &[2]])),
        by("bob", order(&[&[1], &[0], &[2]])),
        by("dan", Verdict::CantTell),
        honest,
        judged("simulated:exact", "one", &["a", "b", "c"], order(&[&[2], &[1], &[0]])),
    ]);
    let made = make(&of(&path)).unwrap();
    let overall: Vec<_> = made.train.iter().filter(|pair| pair.axis.is_none()).map(|p| p.chosen.as_str()).collect();
    assert_eq!((overall, made.train.len()), (vec!["a", "b"], 5), "a and b over c; the other axis has its three");
    let count = |reason| made.dropped.count(reason);
    let found = [Reason::Contradiction, Reason::Duplicate, Reason::CantTell, Reason::Simulated].map(count);
    assert_eq!(found, [2, 2, 1, 1]);
    let made = make(&Request { axes: vec!["honest".into()], ..of(&path) }).unwrap();
    assert_eq!(pairs(&made), ["a>c", "b>a", "b>c"]);
    let made = make(&Request { axes: vec!["overall".into()], simulated: true, ..of(&path) });
    assert!(made.is_err(), "the scorer contradicts all that is left");
}

#[test]
fn conversations_and_preferences_are_read_in_all_their_shapes() {
    let folder = Folder::new();
    let chat = r#"[{"role":"user","content":"Hi"}]"#;
    let path = folder.write(
        "p.jsonl",
        &format!(
            "{}\n{}\n{}\n{}\n\n{}\n",
            r#"{"prompt":"Q1","chosen":"a","rejected":"b","margin":2,"tags":["t"],"id":7}"#,
            format_args!(r#"{{"prompt":{chat},"chosen":"a","rejected":"b"}}"#),
            format_args!(
                r#"{{"prompt":{chat},"chosen":[{{"role":"assistant","content":"c"}}],"rejected":[{{"role":"assistant","content":"d"}}]}}"#
            ),
            r#"{"prompt":"Hi","chosen":[{"role":"assistant","content":"e"}],"rejected":[{"role":"assistant","content":"f"}]}"#,
            r#"{"prompt":"Hi","chosen":[{"role":"user","content":"Hi"},{"role":"assistant","content":"g"}],"rejected":[{"role":"user","content":"Hi"},{"role":"assistant","content":"h"}]}"#,
        ),
    );
    let made = make(&of(&path)).unwrap();
    assert_eq!(pairs(&made), ["a>b", "a>b", "c>d", "e>f", "g>h"]);
    assert_eq!((made.train[0].margin, made.train[0].tags.len(), made.prompts), (Some(2.0), 1, 2));
    assert!(made.train[1..].iter().all(|pair| serde_json::to_string(&pair.prompt).unwrap() == chat));
}

#[test]
fn hh_rlhf_is_read_packed_or_plain_and_diverging_talks_are_left_out() {
    let folder = Folder::new();
    let text = r#"{"chosen":"\n\nHuman: Hi\n\nAssistant: Yes?\n\nHuman: Q\n\nAssistant: good","rejected":"\n\nHuman: Hi\n\nAssistant: Yes?\n\nHuman: Q\n\nAssistant: bad"}
{"chosen":"\n\nHuman: Hi\n\nAssistant: a","rejected":"\n\nHuman: Ho\n\nAssistant: b"}
{"chosen":"\n\nHuman: Hi","rejected":"\n\nHuman: Hi"}
"#;
    let plain = folder.write("hh.jsonl", text);
    let packed = folder.0.path().join("hh.jsonl.gz");
    let mut gz = flate2::write::GzEncoder::new(std::fs::File::create(&packed).unwrap(), flate2::Compression::fast());
    gz.write_all(text.as_bytes()).unwrap();
    gz.finish().unwrap();
    for path in [plain, packed] {
        let made = make(&of(&path)).unwrap();
        assert_eq!((made.sources[0].kind, made.sources[0].rows), (Kind::Conversations, 3));
        assert_eq!((pairs(&made), made.dropped.count(Reason::Diverging)), (vec!["good>bad".to_owned()], 2));
        let PromptText::Messages(messages) = &made.train[0].prompt else { panic!("a chat") };
        let said: Vec<_> = messages.iter().map(|one| (one.role.as_str(), one.content.as_str())).collect();
        assert_eq!(said, [("user", "Hi"), ("assistant", "Yes?"), ("user", "Q")]);
    }
}

#[test]
fn no_prompt_is_on_both_sides_and_none_moves_when_data_come_in() {
    let folder = Folder::new();
    let row = |i: usize| format!("{{\"prompt\":\"Q{}\",\"chosen\":\"a{i}\",\"rejected\":\"b\"}}\n", i / 2);
    let path = folder.write("p.jsonl", &(0..400).map(row).collect::<String>());
    let request = Request { test: Some(0.2), ..of(&path) };
    let made = make(&request).unwrap();
    let keys = |pairs: &[Preference]| pairs.iter().map(|pair| pair.prompt.key()).collect::<BTreeSet<_>>();
    let (train, test) = (keys(&made.train), keys(&made.test));
    assert!(train.is_disjoint(&test) && made.train.len() + made.test.len() == 400);
    assert!((25..55).contains(&test.len()), "{}", test.len());
    let more = folder.write("q.jsonl", &(0..600).map(row).collect::<String>());
    assert!(keys(&make(&Request { test: Some(0.2), ..of(&more) }).unwrap().test).is_superset(&test));
}

#[test]
fn what_cannot_be_learned_from_is_said_with_its_place() {
    let folder = Folder::new();
    let path = folder.write(
        "p.jsonl",
        "{\"prompt\":\"Q\",\"chosen\":\"a\",\"rejected\":\"b\"}\n{\"prompt\":\" \",\"chosen\":\"a\",\"rejected\":\"b\"}\n\
         {\"prompt\":\"Q\",\"chosen\":\"a\",\"rejected\":\"a \"}\n{\"prompt\":\"Q\",\"chosen\":\"c\",\"rejected\":\"c\"}\n",
    );
    let level = folder.rankings(vec![judged("ann", "one", &["a", "b"], order(&[&[0, 1]]))]);
    let made = make(&Request { files: vec![path, level], ..Request::default() }).unwrap();
    let said: String = made.warnings.iter().map(|problem| render(problem, false)).collect();
    insta::assert_snapshot!(said.replace(&format!("{}/", folder.0.path().display()), ""), @r"
    warning: all answers are level (1 row, the first here): left out
      --> rankings.jsonl:1:1
      help: they give no pairs; nothing needs to be done
    warning: the prompt is empty (1 row, the first here): left out
      --> p.jsonl:2:1
      help: give what was asked as `prompt`
    warning: chosen and rejected are the same (2 rows, the first here): left out
      --> p.jsonl:3:1
      help: nothing can be learned from them; remove the rows
    ");
    insta::assert_snapshot!(made.dropped.to_string(), @"1 judgements with all answers level, 1 empty prompts, 2 pairs of identical answers");
}

#[test]
fn bad_files_are_said_with_line_and_column() {
    let folder = Folder::new();
    let rows = folder.write(
        "rows.jsonl",
        "{\"prompt\":\"Q\",\"chosen\":\"a\",\"rejected\":\"b\"}\n{\"prompt\":\"Q\",\"chosen\":\"a\"}\n{\"prompt\":7,\"chosen\":\"a\",\"rejected\":\"b\"}\n\
         {\"prompt\":\"Q\",\"chosen\":\"a\",\"rejected\":\"b\",\"margin\":\"much\"}\n{\"prompt\":\"Q\",\"cho\n",
    );
    let kind = folder.write("kind.jsonl", "{\"question\":\"Q\",\"answer\":\"a\"}\n");
    let empty = folder.write("empty.jsonl", "\n");
    let files = vec![rows, kind, empty, folder.0.path().join("none.jsonl")];
    insta::assert_snapshot!(folder.error(&Request { files, ..Request::default() }), @r"
    error: not a line of preferences: `rejected` is missing
      --> rows.jsonl:2:1
      help: mend the line or remove it
    error: not a line of preferences: `prompt` is neither a text nor a list of messages, each with `role` and `content`
      --> rows.jsonl:3:2
      help: mend the line or remove it
    error: not a line of preferences: `margin` is no number
      --> rows.jsonl:4:43
      help: mend the line or remove it
    error: not a line of preferences: control character (\u0000-\u001F) found while parsing a string
      --> rows.jsonl:5
      help: mend the line or remove it
    error: neither rankings nor preferences: its first row has `question`, `answer`
      --> kind.jsonl:1:1
      help: rows need `prompt`, `chosen` and `rejected`; or `chosen` and `rejected` that are conversations with one beginning; or what `tripos rank` writes
    error: neither rankings nor preferences: it has no rows
      --> empty.jsonl:1:1
      help: rows need `prompt`, `chosen` and `rejected`; or `chosen` and `rejected` that are conversations with one beginning; or what `tripos rank` writes
    error: cannot read it: No such file or directory (os error 2)
      --> none.jsonl
      help: give a file of rankings, of preferences, or the folder of a run
    ");
}

#[test]
fn prompts_of_the_other_side_unknown_axes_and_empty_sides_are_refused() {
    let folder = Folder::new();
    let row = |prompt: &str| format!("{{\"prompt\":\"{prompt}\",\"chosen\":\"a\",\"rejected\":\"b\"}}\n");
    let train = folder.write("train.jsonl", &(row("Q1") + &row("Q2") + &row("Q3")));
    let test = folder.write("test.jsonl", &(row("Q4") + &row("Q3") + &row("Q2")));
    let rankings = folder.rankings(vec![judged("ann", "one", &["a", "b"], order(&[&[0], &[1]]))]);
    let said = [
        folder.error(&Request { apart_from: vec![test], ..of(&train) }),
        folder.error(&Request { axes: vec!["overal".into()], ..of(&rankings) }),
        folder.error(&Request { test: Some(0.000_001), ..of(&train) }),
        folder.error(&of(&folder.write("same.jsonl", "{\"prompt\":\"Q\",\"chosen\":\"a\",\"rejected\":\"a\"}\n"))),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    error: 2 of the prompts are also in test.jsonl:3:1, the first here
      --> train.jsonl:2:1
      help: a test would then ask what was learned: give all files together with --test 0.1 --test-out FILE, which divides them by prompt, or remove those rows from one side

    error: unknown axis `overal`
      --> rankings.jsonl
      help: did you mean `overall`? (overall)

    error: the test side of the split has none of the 3 prompts
      help: choose a larger --test, or give more data

    warning: chosen and rejected are the same (1 row, the first here): left out
      --> same.jsonl:1:1
      help: nothing can be learned from them; remove the rows
    error: no pair is left
      --> same.jsonl
      help: left out: 1 pairs of identical answers
    ");
    let apart = folder.write("apart.jsonl", &row("Q9"));
    assert!(make(&Request { apart_from: vec![apart], ..of(&train) }).is_ok(), "the negative twin");
}

#[test]
fn a_cut_last_line_of_rankings_is_a_warning_and_of_preferences_an_error() {
    let folder = Folder::new();
    let path = folder.rankings(vec![judged("ann", "one", &["a", "b"], order(&[&[0], &[1]]))]);
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{whole}{}", &whole[..40])).unwrap();
    let made = make(&of(&path)).unwrap();
    let said: String = made.warnings.iter().map(|problem| render(problem, false)).collect();
    insta::assert_snapshot!(said.replace(&format!("{}/", folder.0.path().display()), ""), @r"
    warning: the last line is cut: 40 bytes without an end are passed over
      --> rankings.jsonl:2:1
      help: a program was killed while it wrote; the next judgement mends the file
    ");
    let cut = "{\"prompt\":\"Q\",\"chosen\":\"a\",\"rejected\":\"b\"}\n{\"prompt\":\"Q";
    assert!(folder.error(&of(&folder.write("cut.jsonl", cut))).contains("cut.jsonl:2:"));
}
