//! Tasks in all their shapes, held against what the harness (0.4) does with them.

use super::*;
use crate::import::model::left_elsewhere;
use crate::suite::{Document, load};
use regex::Regex;
use tempfile::TempDir;

/// A folder with a scripted model, two rows, and files.
fn home(files: &[(&str, &str)]) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let rows = "{\"q\": \"1?\", \"a\": \"yes\", \"n\": 0}\n{\"q\": \"2?\", \"a\": \"no\", \"n\": 1}\n";
    for (name, text) in [("m.yaml", "otherwise: hi\n"), ("r.jsonl", rows)].iter().chain(files) {
        let path = home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    home
}

/// A task that reads the rows, with more lines.
fn task(name: &str, more: &str) -> String {
    format!("{}doc_to_text: '{{{{ q }}}}'\ndoc_to_target: a\n{more}", bare(name))
}

fn bare(name: &str) -> String {
    format!("task: {name}\ndataset_path: json\ndataset_kwargs: {{data_files: r.jsonl}}\n")
}

/// Brings a file in, with the rows of another where one is named.
fn bring(home: &TempDir, file: &str, data: Option<&str>) -> Result<Imported, String> {
    let at = |name: &str| home.path().join(name);
    let (model, data) = (at("m.yaml"), data.map(at));
    let options =
        Options { model: model.to_str(), out: &at("out"), data: data.as_deref(), examples: None, num_fewshot: None };
    let imported = import(&at(file), &options);
    imported.map_err(|problems| problems.to_string().replace(&format!("{}/", home.path().display()), ""))
}

/// One task alone.
fn alone(text: &str) -> (TempDir, Result<Imported, String>) {
    let home = home(&[("t.yaml", text)]);
    let imported = bring(&home, "t.yaml", None);
    (home, imported)
}

/// The names of what was written. Each is a file of its own that can be read as a suite.
fn names(imported: &Imported) -> Vec<String> {
    let paths: BTreeSet<&Path> = imported.suites.iter().map(|suite| suite.path.as_path()).collect();
    assert_eq!(paths.len(), imported.suites.len(), "{paths:?}");
    for path in paths {
        let overrides = left_elsewhere(&Document::open(path, "the suite").unwrap());
        let (suite, problems) = load(path, &overrides);
        assert!(suite.is_some() && !problems.any_error(), "{problems}");
    }
    let stem = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    imported.suites.iter().map(|suite| stem(&suite.path)).collect()
}

/// What is listed, with line and column.
fn listed(imported: &Imported) -> Vec<String> {
    imported.listed.iter().map(|one| format!("{}:{} {}", one.place.line, one.place.column, one.name)).collect()
}

#[test]
fn tasks_with_long_names_alike_and_one_listed_twice_are_suites_of_their_own() {
    let of = |number: &str| format!("bbh_cot_fewshot_tracking_shuffled_objects_{number}_objects");
    let files = ["three", "five", "seven"].map(|number| (format!("{number}.yaml"), task(&of(number), "")));
    let group = format!("group: g\ntask: [{}, {}, {}, {}]\n", of("three"), of("five"), of("seven"), of("three"));
    let mut all: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    all.push(("g.yaml", &group));
    let home = home(&all);
    let imported = bring(&home, "g.yaml", None).unwrap();
    let again = format!("{}_2", of("three"));
    assert_eq!(names(&imported), [of("three"), of("five"), of("seven"), again]);
}

#[test]
fn every_suite_of_a_group_is_there_and_can_be_read() {
    let home = home(&[("a.yaml", &task("a", "")), ("g.yaml", "group: g\ntask: [a, a, {task: a, description: D.}]\n")]);
    let imported = bring(&home, "g.yaml", None).unwrap();
    assert_eq!(names(&imported), ["a", "a_2", "a_3"]);
    let prompt = |name: &str| std::fs::read_to_string(home.path().join("out/prompts").join(name)).unwrap();
    assert_eq!((prompt("a.txt").as_str(), prompt("a_2.txt").as_str()), ("{{ q }}\n", "D.{{ q }}\n"));
}

#[test]
fn a_group_that_is_a_member_of_itself_is_refused() {
    let files = [("a.yaml", "group: a\ntask: [b]\n"), ("b.yaml", "group: b\ntask: [a]\n")];
    let refused = bring(&home(&files), "a.yaml", None).unwrap_err();
    assert_eq!(
        refused,
        "error: this group is a member of itself: a.yaml > b.yaml > a.yaml\n  --> b.yaml:2:8\n  \
         help: take one of them out of the other\n"
    );
}

/// The harness's MMLU: groups name tags, which tasks have through what they include, too.
#[test]
fn a_tag_stands_for_all_tasks_that_have_it() {
    let template = format!("{}tag: from_template\n", task("x", "").replace("task: x\n", ""));
    let member = |name: &str, tag: &str| format!("include: _template\ntask: {name}\n{tag}");
    let home = home(&[
        ("_template", &template),
        ("_mmlu.yaml", "group: mmlu\ntask: [mmlu_stem, mmlu_other, from_template]\n"),
        ("_mmlu_stem.yaml", "group: mmlu_stem\ntask: [mmlu_stem_tasks]\n"),
        ("_mmlu_other.yaml", "group: mmlu_other\ntask: [{task: old_tasks, description: D.}]\n"),
        ("anatomy.yaml", &member("mmlu_anatomy", "tag: mmlu_stem_tasks\n")),
        ("birds.yaml", &member("mmlu_birds", "tag: [mmlu_stem_tasks, more]\n")),
        ("law.yaml", &member("mmlu_law", "group: old_tasks\n")),
        ("tea.yaml", &member("mmlu_tea", "tag: null\n")),
    ]);
    let imported = bring(&home, "_mmlu.yaml", None).unwrap();
    assert_eq!(names(&imported), ["mmlu_anatomy", "mmlu_birds", "mmlu_law", "mmlu_law_2"]);
    let refused = bring(&home, "_mmlu.yaml", Some("gone.jsonl")).unwrap_err();
    assert!(refused.contains("one file cannot hold the rows of 3 tasks"), "{refused}");
}

/// The shape of `flan_held_in`: groups in a group's list, whose tasks only their includes say.
#[test]
fn groups_and_tasks_are_read_where_a_group_writes_them() {
    let template = task("x", "").replace("task: x\n", "");
    let group = "\
group: flan
task:
- group: anli_flan
  group_alias: ANLI
  aggregate_metric_list: [{metric: acc}]
  task:
  - {task: anli_r1, task_alias: prompt-0, include: _template}
  - {task: anli_r1, task_alias: prompt-1, include: _template, doc_to_text: 'Q: {{ q }}'}
- {task: anli_r2, include: _template}
";
    let home = home(&[("_template", &template), ("flan.yaml", group)]);
    let imported = bring(&home, "flan.yaml", None).unwrap();
    assert_eq!(names(&imported), ["anli_r1", "anli_r1_2", "anli_r2"]);
    assert_eq!(listed(&imported)[0], "5:3 `aggregate_metric_list` of the group");
    let missing = [("g.yaml", "group: g\ntask: [gone, {task: [lost]}]\n")];
    let refused = bring(&self::home(&missing), "g.yaml", None).unwrap_err();
    for name in ["gone", "lost"] {
        let what = format!("no file beside this one has `task: {name}`, `group: {name}` or `tag: {name}`");
        assert!(refused.contains(&what), "{refused}");
    }
}

#[test]
fn a_setting_that_no_suite_takes_is_refused_where_it_stands_and_nothing_stays() {
    for (kwargs, wanted) in [
        ("{do_sample: true, temperature: hot}", "`temperature: hot` of `generation_kwargs` is refused"),
        ("{max_gen_toks: '{{ env.N }}'}", "`max_gen_toks: {{ env.N }}` of `generation_kwargs` is refused"),
        ("{max_gen_toks: 0}", "`max_tokens` is 0, which is outside 1 or more"),
        ("{do_sample: true, top_p: -1}", "`top_p` is -1, which is outside above 0, at most 1"),
    ] {
        let text = task("t", &format!("generation_kwargs: {kwargs}\n"));
        let (home, imported) = alone(&text);
        let refused = imported.unwrap_err();
        assert!(refused.contains(wanted) && refused.contains("--> t.yaml:6:"), "{refused}");
        assert!(refused.contains("help: ") && !home.path().join("out").exists(), "{refused}");
        std::fs::write(home.path().join("t.yaml"), task("t", "")).unwrap();
        assert_eq!(names(&bring(&home, "t.yaml", None).unwrap()), ["t"]);
    }
    let (_, imported) = alone(&task("t", "num_fewshot: 2\nfewshot_config: {samples: []}\n"));
    let refused = imported.unwrap_err();
    assert!(refused.contains("`samples` holds no example, and 2 are to be shown\n  --> t.yaml:7:"), "{refused}");
    let (_, imported) = alone(&task("t", "num_fewshot: some\n"));
    assert!(imported.unwrap_err().contains("`num_fewshot: some` is no number of examples\n  --> t.yaml:6:1"));
}

/// transformers draws at random only where `do_sample` says so; vLLM and it turn `top_k` off by -1 and 0.
#[test]
fn settings_without_sampling_are_listed_and_those_that_are_off_are_not() {
    let (home, imported) =
        alone(&task("t", "generation_kwargs: {until: [''], temperature: 0.7, top_p: 1.0, seed: -1}\n"));
    let imported = imported.unwrap();
    assert_eq!(listed(&imported), ["6:34 `temperature: 0.7`", "6:64 `seed` of `generation_kwargs`"]);
    assert!(!std::fs::read_to_string(home.path().join("out/t.yaml")).unwrap().contains("sampling"));
    let (home, imported) = alone(&task("t", "generation_kwargs: {do_sample: true, temperature: 0.7, top_k: 0}\n"));
    assert!(imported.unwrap().listed.is_empty());
    let suite = std::fs::read_to_string(home.path().join("out/t.yaml")).unwrap();
    assert!(suite.contains("temperature: 0.7") && !suite.contains("top_k"), "{suite}");
}

/// `wsc273`, `winogrande` and `xwinograd`: `multiple_input` of the harness.
#[test]
fn choices_that_stand_before_one_target_are_refused() {
    let choices = "doc_to_choice: ['The cup', 'The box']\noutput_type: multiple_choice\ndoc_to_target: a\n";
    for asks in ["n", "'{{ n }}'"] {
        let (home, imported) = alone(&format!("{}doc_to_text: {asks}\n{choices}", bare("t")).replace(": a\n", ": n\n"));
        let refused = imported.unwrap_err();
        assert!(refused.contains("`doc_to_text` is the position of the right choice"), "{refused}");
        assert!(refused.contains("--> t.yaml:4:1") && !home.path().join("out").exists(), "{refused}");
    }
    // A question may be a number all the same, where a column says it as a text.
    let rows = "{\"q\": \"7\", \"n\": 0}\n{\"q\": \"8\", \"n\": 1}\n";
    let text = format!(
        "{}doc_to_text: q\ndoc_to_choice: [odd, even]\ndoc_to_target: n\noutput_type: multiple_choice\n",
        bare("t")
    );
    let home = home(&[("t.yaml", &text), ("seven.jsonl", rows)]);
    assert_eq!(names(&bring(&home, "t.yaml", Some("seven.jsonl")).unwrap()), ["t"]);
}

fn filtered(steps: &str) -> (String, Vec<String>) {
    let (home, imported) = alone(&task("t", &format!("filter_list: [{{name: f, filter: [{steps}]}}]\n")));
    let imported = imported.unwrap();
    (std::fs::read_to_string(home.path().join("out/t.yaml")).unwrap(), listed(&imported))
}

/// The harness lowers "Answer is Yes" and finds "yes"; the other way round it finds nothing.
#[test]
fn what_is_read_behind_a_change_of_case_is_read_in_either_case() {
    let regex = "{function: regex, regex_pattern: 'answer is (yes|no)'}";
    for (steps, finds) in [
        (format!("{{function: lowercase}}, {regex}"), true),
        (format!("{regex}, {{function: lowercase}}"), false),
        (regex.to_owned(), false),
    ] {
        let (suite, listed) = filtered(&steps);
        let pattern = suite.lines().find_map(|line| line.trim().strip_prefix("regex: ")).unwrap();
        let regex = Regex::new(pattern.trim_matches('\'')).unwrap();
        assert_eq!(regex.captures("Answer is Yes").is_some_and(|found| &found[1] == "Yes"), finds, "{suite}");
        assert_eq!((suite.contains("case_sensitive"), listed.len()), (!steps.contains("lower"), 0), "{suite}");
    }
    let steps =
        "{function: regex, regex_pattern: '(a|b)', fallback: x, ignore_case: true}, {function: take_first, k: 2}";
    let wanted = ["`ignore_case` of the filter step `regex`", "`k` of the filter step `take_first`"];
    let (_, listed) = filtered(steps);
    assert!(listed.iter().zip(wanted).all(|(one, wanted)| one.ends_with(wanted)) && listed.len() == 2, "{listed:?}");
}

#[test]
fn filters_that_are_all_left_out_are_the_error() {
    let (_, imported) = alone(&task("t", "filter_list: [{name: f, filter: [{function: map}]}]\n"));
    let refused = imported.unwrap_err();
    assert!(
        refused.contains("none of the filters has an equivalent") && refused.contains("--> t.yaml:6:1"),
        "{refused}"
    );
    assert!(refused.contains("help: filters that have one: regex"), "{refused}");
}

/// `{% for e in … %}` hides what an example is called, so that the translation would read a field of something else.
#[test]
fn examples_are_shown_as_jinja2_shows_them() {
    let asks = "'{% for e in opts %}{{ e }} of {{ q }};{% endfor %}'";
    let text = format!("{}doc_to_text: {asks}\ndoc_to_target: a\nnum_fewshot: 1\n", bare("t"));
    let rows = "{\"q\": \"x\", \"a\": \"yes\", \"opts\": [1, 2]}\n{\"q\": \"z\", \"a\": \"no\", \"opts\": [3]}\n";
    let home = home(&[("t.yaml", &text), ("r.jsonl", rows)]);
    assert_eq!(names(&bring(&home, "t.yaml", None).unwrap()), ["t"]);
    let read = |name: &str| std::fs::read_to_string(home.path().join("out").join(name)).unwrap();
    assert!(read("prompts/t.txt").contains("{{ e.question_text }}"), "{}", read("prompts/t.txt"));
    let examples = read("cases/t.examples.jsonl");
    assert!(examples.contains("\"question_text\":\"1 of x;2 of x;\""), "{examples}");
}

#[test]
fn a_group_needs_a_folder_of_rows() {
    let files =
        [("a.yaml", task("a", "")), ("b.yaml", task("b", "")), ("g.yaml", "group: g\ntask: [a, b]\n".to_owned())];
    let home = home(&files.each_ref().map(|(name, text)| (*name, text.as_str())));
    let refused = bring(&home, "g.yaml", Some("r.jsonl")).unwrap_err();
    assert_eq!(
        refused,
        "error: one file cannot hold the rows of 2 tasks\n  --> r.jsonl\n  \
         help: give a folder with a file for each task: a.jsonl, b.jsonl and so on\n"
    );
    assert_eq!(names(&bring(&home, "a.yaml", Some("r.jsonl")).unwrap()), ["a"]);
}

/// What https://datasets-server.huggingface.co/rows answers.
fn page(truncated: &str, total: u64, partial: bool) -> Result<Imported, String> {
    let page = format!(
        "{{\"features\": [], \"rows\": [{{\"row_idx\": 4, \"row\": {{\"q\": \"1?\", \"a\": \"yes\"}}, \
         \"truncated_cells\": [{truncated}]}}], \"num_rows_total\": {total}, \"num_rows_per_page\": 100, \"partial\": {partial}}}"
    );
    bring(&home(&[("t.yaml", &task("t", "")), ("p.json", &page)]), "t.yaml", Some("p.json"))
}

#[test]
fn a_page_with_cut_cells_is_refused_and_one_of_many_is_said_to_be_one() {
    assert!(page("", 1, false).unwrap().listed.is_empty());
    for (total, partial) in [(5000, false), (1, true)] {
        let imported = page("", total, partial).unwrap();
        let said = imported.listed[0].to_string();
        assert!(said.contains(&format!("holds 1 of {total}")), "{said}");
    }
    let refused = page("\"q\", \"a\"", 1, false).unwrap_err();
    assert!(refused.contains("has cut `q`, `a` of row 4 short\n  --> p.json"), "{refused}");
}

#[test]
fn what_a_metric_says_is_listed_for_every_output() {
    let metric = |name: &str, more: &str| format!("metric_list: [{{metric: {name}, {more}}}]\n");
    for (output, name, usual) in [
        ("multiple_choice\ndoc_to_choice: ['yes', 'no']", "acc", "mean"),
        ("loglikelihood", "perplexity", "perplexity"),
        ("loglikelihood_rolling", "byte_perplexity", "weighted_perplexity"),
        ("generate_until", "exact_match", "mean"),
        ("generate_until", "chrf", "chrf"),
    ] {
        let of = |more: &str| {
            let text = task("t", &format!("output_type: {output}\n{}", metric(name, more)));
            let names = alone(&text).1.unwrap().listed.into_iter().map(|one| one.name);
            names.filter(|listed| listed.ends_with(&format!("of `{name}`"))).collect::<Vec<_>>()
        };
        assert_eq!(of(&format!("aggregation: {usual}, higher_is_better: true")), [""; 0], "{output}");
        assert_eq!(of("aggregation: !function x.y"), [format!("`aggregation: !function x.y` of `{name}`")]);
        assert_eq!(of("aggregation: median"), [format!("`aggregation: median` of `{name}`")]);
        assert_eq!(of("hf_evaluate: true"), [format!("`hf_evaluate` of `{name}`")]);
    }
}
