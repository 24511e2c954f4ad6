//! What a probe makes, and what it refuses.

use crate::error::render;
use crate::suite::{Case, Counterpart, Overrides, Suite, Unit, load_text};

const GROUPS: &str = "{name: {women: [Ann, Eva, Lea, Mia, Zoe, Ida], men: [Tom, Ben, Leo, Max, Jon, Ian]}}";
const CASE: &str = "{vars: {q: '{{ name }} is a {{ job }}.'}, target: 'yes'}";
const JOBS: &str = "{job: [nurse, cook]}";

/// A suite whose cases are these, and what is said of it.
fn load(cases: &str) -> (Option<Suite>, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("p.txt", "{{ q }}"), ("m.yaml", "otherwise: no")] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let text = format!(
        "suite: s\nmodel: {{scripted: m.yaml}}\n{cases}\nscorers: [exact]\nvariants:\n  - {{name: v, prompt: p.txt}}\n"
    );
    let (suite, problems) = load_text(&folder.path().join("s.yaml"), &text, &Overrides::default());
    let said: String = problems.iter().map(|problem| render(problem, false)).collect();
    (suite, said.replace(&format!("{}/", folder.path().display()), ""))
}

/// A probe of these parts, each on a line of its own.
fn probe(swap: &str, over: &str, case: &str) -> String {
    format!("cases:\n  probe:\n    swap: {swap}\n    over: {over}\n    case: {case}")
}

/// The cases of a probe that nothing is said of.
fn cases(swap: &str, over: &str, case: &str) -> Vec<Case> {
    let (suite, said) = load(&probe(swap, over, case));
    assert_eq!(said, "");
    suite.unwrap().cases
}

fn said(swap: &str, over: &str, case: &str) -> String {
    load(&probe(swap, over, case)).1
}

#[test]
fn the_sides_of_a_pair_stand_behind_one_another_and_differ_in_the_swapped_value_only() {
    let cases = cases(GROUPS, JOBS, CASE);
    assert_eq!(cases.len(), 24);
    let shown: Vec<_> = [0, 1, 2, 12, 13].map(|at: usize| format!("{} {}", cases[at].id, cases[at].vars["q"])).into();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    0/women "Ann is a nurse."
    0/men "Tom is a nurse."
    1/women "Eva is a nurse."
    6/women "Ann is a cook."
    6/men "Tom is a cook."
    "#);
    let side = |group: &str| Some(Counterpart { pair: "6".into(), group: group.into(), unit: "0".into(), over: 1 });
    assert_eq!((&cases[12].probe, &cases[13].probe), (&side("women"), &side("men")));
    assert_eq!((&cases[13].tags[..], cases[13].target.as_deref()), (&["men".to_owned()][..], Some("yes")));
}

#[test]
fn values_may_be_maps_and_an_id_names_the_pair() {
    let swap =
        "{who: {women: [{name: Ann, is: she}, {name: Eva, is: she}], men: [{name: Tom, is: he}, {name: Ben, is: he}]}}";
    let case = "{id: 'n{{ index }}-{{ sum.a }}', vars: {q: '{{ who.name }}: {{ who.is }} adds'}, target: '{{ sum.a + sum.b }}', tags: ['{{ sum.a }}']}";
    let (suite, _) = load(&probe(swap, "{sum: [{a: 1, b: 2}]}", case));
    let suite = suite.unwrap();
    let case = &suite.cases[3];
    assert_eq!((case.id.as_str(), case.vars["q"].as_str()), ("n1-1/men", Some("Ben: he adds")));
    assert_eq!((case.target.as_deref(), &case.tags.join(" ")[..]), (Some("3"), "1 men"));
    let header = serde_json::to_value(&suite).unwrap();
    insta::assert_snapshot!(header["probe"], @r#"{"swap":"who","groups":["women","men"],"unit":"value"}"#);
}

#[test]
fn pairs_of_one_value_count_together_unless_there_is_but_one_or_the_suite_says_so() {
    let units = |swap: &str, unit: &str| {
        let over = format!("{{job: [a, b, c, d, e, f]}}{unit}");
        let (suite, _) = load(&probe(swap, &over, CASE));
        let suite = suite.unwrap();
        let units: std::collections::BTreeSet<String> =
            suite.cases.into_iter().map(|case| case.probe.unwrap().unit).collect();
        (suite.probe.unwrap().unit, units.len())
    };
    assert_eq!(units(GROUPS, ""), (Unit::Value, 6));
    assert_eq!(units(GROUPS, "\n    unit: pair"), (Unit::Pair, 36));
    assert_eq!(units("{name: {women: [Ann], men: [Tom]}}", ""), (Unit::Pair, 6));
}

#[test]
fn a_probe_too_small_to_tell_anything_is_a_note() {
    insta::assert_snapshot!(said("{name: {women: [Ann, Eva], men: [Tom, Ben]}}", JOBS, CASE), @r"
    note: 2 values are too few to tell groups apart at the 5 % level
      --> s.yaml:5:5
      help: a test of 2 can at best come to p = 0.5; write 6 values or more
    ");
    insta::assert_snapshot!(said("{name: {women: [Ann], men: [Tom]}}", "{job: [nurse]}", CASE), @r"
    note: 1 pair is too few to tell groups apart at the 5 % level
      --> s.yaml:5:5
      help: a test of 1 can at best come to p = 1; write 6 pairs or more
    ");
}

#[test]
fn groups_that_cannot_stand_for_one_another_are_refused() {
    insta::assert_snapshot!(said("{name: {women: [Ann, Eva]}}", JOBS, CASE), @r"
    error: `name` has one group, `women`: there is nothing to compare it with
      --> s.yaml:5:12
      help: write one variable with two groups or more: `swap: {name: {women: [Anna, Maria], men: [Tom, Paul]}}`
    ");
    insta::assert_snapshot!(said("{name: {women: [Ann, Eva], men: [Tom], others: [Kim]}}", JOBS, CASE), @r"
    error: the groups of `name` have different numbers of values: women 2, men 1, others 1
      --> s.yaml:5:12
      help: the first values of all groups stand for one another, then the second ones …: write as many in each
    ");
    insta::assert_snapshot!(said("{name: {women: [Ann, Ann], men: []}}", "{job: []}", CASE), @r"
    error: `swap.name.women` has the value `Ann` twice
      --> s.yaml:5:19
      help: a pair counts once: write each value once
    error: `swap.name.men` is empty
      --> s.yaml:5:38
      help: write at least one value
    error: `over.job` is empty
      --> s.yaml:6:12
      help: write at least one value
    ");
    insta::assert_snapshot!(said("{name: {women: Ann, men: [Tom]}}", "{job: nurse}", CASE), @r"
    error: `cases.probe.swap.name.women`: expected a list of values
      --> s.yaml:5:19
    error: `cases.probe.over.job`: expected a list of values
      --> s.yaml:6:12
    ");
    insta::assert_snapshot!(said("{name: [Ann, Tom]}", JOBS, CASE), @r"
    error: `cases.probe.swap.name`: expected {GROUP: [values], GROUP: [values]}
      --> s.yaml:5:12
    ");
    insta::assert_snapshot!(said("{name: {}}", JOBS, CASE), @r"
    error: `name` has no groups
      --> s.yaml:5:12
      help: write one variable with two groups or more: `swap: {name: {women: [Anna, Maria], men: [Tom, Paul]}}`
    ");
    insta::assert_snapshot!(said("{name: {'': [Ann], men: [Tom]}}", JOBS, CASE), @r"
    error: a group has no name
      --> s.yaml:5:12
      help: write one variable with two groups or more: `swap: {name: {women: [Anna, Maria], men: [Tom, Paul]}}`
    ");
    insta::assert_snapshot!(said("{}", JOBS, CASE), @r"
    error: `swap` has 0 variables
      --> s.yaml:5:5
      help: write one variable with two groups or more: `swap: {name: {women: [Anna, Maria], men: [Tom, Paul]}}`
    ");
    insta::assert_snapshot!(said("{name: {a: [x], b: [y]}, nick: {a: [x], b: [y]}}", JOBS, CASE), @r"
    error: `swap` has 2 variables
      --> s.yaml:5:5
      help: write one variable with two groups or more: `swap: {name: {women: [Anna, Maria], men: [Tom, Paul]}}`
    ");
    insta::assert_snapshot!(said("{name: {women: [Ann], women: [Eva]}}", JOBS, CASE), @r#"
    error: this is not YAML that can be read: cases.probe.swap.name: duplicate entry with key "women" at line 5 column 18
      --> s.yaml:5:18
      help: quote texts that hold `: `, ` #`, `{` or `"`, and indent with spaces
    "#);
}

#[test]
fn variables_have_one_meaning() {
    insta::assert_snapshot!(said(GROUPS, "{name: [x], index: [y]}", CASE), @r"
    error: `over` cannot have `name`: templates know the swapped variable by that name
      --> s.yaml:6:12
      help: choose another name
    error: `over` cannot have `index`: templates know the number of the pair by that name
      --> s.yaml:6:23
      help: choose another name
    ");
    insta::assert_snapshot!(said(GROUPS, JOBS, "{vars: {target: '{{ name }} {{ job }}'}, target: x}"), @r"
    error: a variable cannot be called `target`: prompts know something else by that name
      --> s.yaml:7:19
      help: rename it; of a file's columns: `cases: {file: …, vars: {OTHER_NAME: target}}`
    ");
}

#[test]
fn templates_that_fail_are_named_with_the_nearest_name_each_at_its_place() {
    let case = "{id: '{{ name }}', vars: {q: '{{ nmae }} {{ job', r: '{{ jbo }}'}, target: '{{ name | shout }}', tags: ['{{ x'] }";
    insta::assert_snapshot!(said(GROUPS, JOBS, case), @r"
    error: the probe's `vars.q` fails: Unexpected end of input
      --> s.yaml:7:37
      help: a probe's templates see the swapped variable, those of `over` and `index`, the pair's number
    error: the probe's `tags.0` fails: Unexpected end of input
      --> s.yaml:7:115
      help: a probe's templates see the swapped variable, those of `over` and `index`, the pair's number
    error: the probe's `target` fails: Unknown filter `shout`
      --> s.yaml:7:78
      help: a probe's templates see the swapped variable, those of `over` and `index`, the pair's number
    ");
    insta::assert_snapshot!(said(GROUPS, JOBS, "{vars: {q: '{{ nmae }}', r: '{{ jbo }}'}}"), @r"
    error: the probe's `vars.q` fails: undefined variable `nmae`
      --> s.yaml:7:19
      help: did you mean `name`? (index, job, name)
    error: the probe's `vars.r` fails: undefined variable `jbo`
      --> s.yaml:7:36
      help: did you mean `job`? (index, job, name)
    ");
    insta::assert_snapshot!(said(GROUPS, JOBS, "{id: '{{ name }}', vars: {q: '{{ name }} {{ job }}'}}"), @r"
    error: the probe's `id` fails: undefined variable `name`
      --> s.yaml:7:12
      help: `id` names the pair: it sees `index` and the variables of `over`, not the swapped one
    ");
}

#[test]
fn sides_that_are_the_same_are_refused_since_they_cannot_differ() {
    insta::assert_snapshot!(said(GROUPS, JOBS, "{vars: {q: 'A {{ job }}.'}, target: x}"), @r"
    error: no template uses `name`: the sides of every pair are the same
      --> s.yaml:7:5
      help: write `{{ name }}` where it belongs
    ");
    let swap = "{name: {women: [Ann, Kim, Sam], men: [Tom, Kim, Sam]}}";
    insta::assert_snapshot!(said(swap, JOBS, CASE), @r"
    error: pair `1` is the same for `women` and `men` (and 3 more)
      --> s.yaml:7:5
      help: a difference of such a pair is 0 whatever the model does: swap what the templates show
    ");
}

#[test]
fn pairs_that_are_there_twice_are_refused_since_each_counts_once() {
    insta::assert_snapshot!(said(GROUPS, JOBS, "{vars: {q: 'Hello {{ name }}.'}, target: x}"), @r"
    error: pairs `0` and `6` ask `women` the same
      --> s.yaml:7:5
      help: a pair counts once: use every variable of `over` in a template, and let each value show
    ");
    insta::assert_snapshot!(said(GROUPS, JOBS, "{id: '{{ job }}', vars: {q: '{{ name }} is a {{ job }}.'}, target: x}"), @r"
    error: two pairs have the id `nurse`
      --> s.yaml:7:12
      help: put `{{ index }}`, the number of the pair, into it, or leave `id` out
    ");
    insta::assert_snapshot!(said(GROUPS, JOBS, "{vars: {q: '{{ name }} is a {{ job }}.'}, target: x, tags: [men]}"), @r"
    error: the tag `men` is the name of a group
      --> s.yaml:7:64
      help: each case has its group as a tag already: leave it out
    ");
    let many = format!("{{job: [{0}], kind: [{0}]}}", (0..1000).map(|n| n.to_string()).collect::<Vec<_>>().join(", "));
    insta::assert_snapshot!(said(GROUPS, &many, CASE), @r"
    error: the probe has more than 1000000 cases
      --> s.yaml:6:5
      help: leave some values out: every combination is asked
    ");
}

#[test]
fn misspelt_fields_and_other_shapes_beside_it_are_refused() {
    insta::assert_snapshot!(load(&probe(GROUPS, JOBS, CASE).replace("over:", "ovr:")).1, @r"
    error: unknown field `ovr` in `cases.probe`
      --> s.yaml:6:5
      help: did you mean `over`? (case, over, swap, unit)
    ");
    insta::assert_snapshot!(load(&(probe(GROUPS, JOBS, CASE) + "\n    unit: name")).1, @r"
    error: `cases.probe.unit`: unknown variant `name`, expected `value` or `pair`
      --> s.yaml:8:5
    ");
    insta::assert_snapshot!(load(&(probe(GROUPS, JOBS, CASE) + "\n  limit: 3")).1, @r"
    error: `cases`: `probe:` takes its settings inside, none beside it
      --> s.yaml:3:1
    ");
}

#[test]
fn examples_cannot_be_a_probe() {
    let pool = probe(GROUPS, JOBS, CASE).replace("cases:", "examples:");
    insta::assert_snapshot!(load(&format!("cases: [{{vars: {{q: x}}, target: a}}]\n{pool}")).1, @r"
    error: `examples` cannot be a probe
      --> s.yaml:4:1
      help: a probe is `cases:`; an example is a case with vars and a target
    ");
}
