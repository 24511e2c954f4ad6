//! Public data that Tripos' authors did not write, where it is at hand (`../shared/data`).

use crate::workspace::{Workspace, model, root};

/// Runs a suite text against `../shared/data`; false (with a printed reason) where that is absent.
fn checked(cases: &str, answer: &str) -> Option<String> {
    let data = root().join("../shared/data");
    if !data.exists() {
        println!("skipped: ../shared/data is not here");
        return None;
    }
    let workspace = Workspace::new();
    workspace.write("p.txt", "Question: {{ question }}\nAnswer:");
    workspace.write(
        "s.yaml",
        format!(
            "suite: shared\nmodel: {}\ncontext: 512\nsampling: {{max_tokens: 64}}\ncases: {}\n{answer}\nscorers: [number]\nvariants: [{{name: plain, prompt: p.txt}}]\n",
            model().display(),
            cases.replace("DATA", &data.canonicalize().unwrap().display().to_string())
        ),
    );
    Some(workspace.ok(&["run", "s.yaml", "--format", "json", "--limit", "3", "--quiet"]).stdout)
}

#[test]
fn gsm8k_truths_are_read_as_they_are() {
    let cases = "{file: DATA/gsm8k/test.jsonl, vars: {question: question}, target: answer, limit: 20}";
    let Some(said) = checked(cases, "") else { return };
    let run: serde_json::Value = serde_json::from_str(&said).unwrap();
    let metric = &run["variants"][0]["metrics"][0];
    assert_eq!((metric["n"].as_u64(), metric["unscored"].as_u64()), (Some(3), Some(0)), "{metric}");
}

#[test]
fn word_problem_sets_with_their_own_columns_run() {
    for file in ["multiarith", "addsub"] {
        let cases = format!("{{file: DATA/{file}.jsonl, vars: {{question: question}}, target: answer, id: id}}");
        let Some(said) = checked(&cases, "answer: {take: number, which: first}") else { return };
        let run: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(run["variants"][0]["metrics"][0]["unscored"], 0, "{file}");
    }
}
