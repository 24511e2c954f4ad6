//! What a rater is shown: which cases in which order, their answers in blind, shuffled order, and which come back a second
//! time. A pure function of the run, the rater's name and the seed, so that a rater who returns finds the same.

use super::error::{RankError, RankProblem};
use super::gather::{CaseAnswers, Gathered};
use crate::seed;
use std::sync::Arc;

/// Cases between the first and the second showing of one, where there are enough.
const APART: usize = 10;

/// How answers are shown.
#[derive(Debug, Clone)]
pub struct PlanSettings {
    /// Who judges.
    pub rater: String,
    /// What by, one judgement each; `None` is an overall judgement.
    pub axes: Vec<Option<String>>,
    /// Most answers to a case.
    pub answers: usize,
    /// The share of the cases that come back.
    pub again: f64,
    /// Moves every draw.
    pub seed: u64,
}

/// One judgement to be made.
#[derive(Debug, Clone)]
pub struct Item {
    /// The case with all its answers.
    pub case: Arc<CaseAnswers>,
    /// What is judged by.
    pub axis: Option<String>,
    /// It was shown before.
    pub again: bool,
    /// Which answers are shown, in their order on the screen.
    pub shown: Vec<usize>,
}

/// All judgements that a rater is asked for.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The run's id.
    pub run: String,
    /// In the order in which they come.
    pub items: Vec<Item>,
}

/// The names in `--axes`: small letters, digits, `-` and `_`, each once.
///
/// ```
/// use tripos::rank::axis_names;
/// assert_eq!(axis_names("helpful, honest").unwrap(), ["helpful", "honest"]);
/// assert!(axis_names("helpful,,honest").is_err() && axis_names("a,a").is_err());
/// ```
pub fn axis_names(written: &str) -> Result<Vec<String>, RankError> {
    let names: Vec<String> = written.split(',').map(|name| name.trim().to_owned()).collect();
    let bad = |why| Err(RankProblem::Axes { written: written.to_owned(), why }.into());
    if names.iter().any(String::is_empty) {
        return bad("a name is empty");
    }
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    if names.iter().any(|name| name.chars().count() > 40 || !name.chars().all(allowed)) {
        return bad("a name has at most 40 letters, digits, `-` and `_`");
    }
    if names.iter().enumerate().any(|(i, name)| names[..i].contains(name)) {
        return bad("a name stands there twice");
    }
    Ok(names)
}

impl Plan {
    /// Lays out the judgements. All raters see the same answers (those that the seed draws, every variant before a second
    /// one of any), each in an order of their own.
    pub fn new(gathered: Gathered, settings: &PlanSettings) -> Result<Self, RankError> {
        if gathered.cases.is_empty() {
            let Gathered { single, without, .. } = gathered;
            return Err(RankProblem::NothingToRank { single, without }.into());
        }
        let key = |parts: &[&str]| seed::key(settings.seed, parts);
        let mut cases: Vec<Arc<CaseAnswers>> = gathered.cases.into_iter().map(Arc::new).collect();
        cases.sort_by_cached_key(|case| key(&["rank", "case", &settings.rater, &case.case]));
        let mut order: Vec<(usize, bool)> = Vec::new();
        for (at, again) in places(&cases, settings) {
            order.push((at, again));
        }
        let items =
            order.into_iter().filter_map(|(at, again)| Some((cases.get(at)?, again))).flat_map(|(case, again)| {
                let mut shown = drawn(case, settings);
                let again_text = if again { "again" } else { "first" };
                shown.sort_by_cached_key(|i| {
                    let text = case.answers.get(*i).map_or("", |one| one.answer.text.as_str());
                    key(&["rank", "shown", &settings.rater, &case.case, again_text, text])
                });
                let item = move |axis: &Option<String>| Item {
                    case: case.clone(),
                    axis: axis.clone(),
                    again,
                    shown: shown.clone(),
                };
                settings.axes.iter().map(item)
            });
        Ok(Self { run: gathered.run, items: items.collect() })
    }
}

/// The order of the showings: every case once, and some again at least [`APART`] (or half of all) cases later.
fn places(cases: &[Arc<CaseAnswers>], settings: &PlanSettings) -> Vec<(usize, bool)> {
    let n = cases.len();
    let apart = APART.min(n / 2);
    let draw = |what: &str, at: usize| {
        let case = cases.get(at).map_or("", |case| case.case.as_str());
        seed::key(settings.seed, &["rank", what, &settings.rater, case])
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
    let wanted = (settings.again.clamp(0.0, 1.0) * n as f64).ceil() as usize;
    let mut back: Vec<usize> = if apart == 0 { Vec::new() } else { (0..n - apart).collect() };
    back.sort_by_key(|at| draw("again", *at));
    back.truncate(wanted);
    let mut timed: Vec<(f64, usize, bool)> = (0..n).map(|at| (at as f64, at, false)).collect();
    for at in back {
        let part = draw("later", at) as f64 / u64::MAX as f64;
        let earliest = (at + apart) as f64 + 0.5;
        timed.push((earliest + part * (n as f64 - earliest), at, true));
    }
    timed.sort_by(|a, b| a.0.total_cmp(&b.0));
    timed.into_iter().map(|(_, at, again)| (at, again)).collect()
}

/// Which answers of a case are shown: the first of every variant before a second of any, drawn by the seed.
fn drawn(case: &CaseAnswers, settings: &PlanSettings) -> Vec<usize> {
    let variant = |i: usize| case.answers.get(i).map(|one| one.answer.variant.as_str());
    let mut all: Vec<usize> = (0..case.answers.len()).collect();
    all.sort_by_cached_key(|i| {
        let earlier = (0..*i).filter(|j| variant(*j) == variant(*i)).count();
        let text = case.answers.get(*i).map_or("", |one| one.answer.text.as_str());
        (earlier, seed::key(settings.seed, &["rank", "answer", &case.case, text]))
    });
    all.truncate(settings.answers.max(2));
    all
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::gather::ScoredAnswer;
    use super::super::record::{Answer, PromptText};
    use super::*;

    /// `n` cases with `k` answers each, all of one variant but the first two.
    pub(in crate::rank) fn gathered(n: usize, k: usize) -> Gathered {
        let answer = |case: usize, i: usize| ScoredAnswer {
            answer: Answer { variant: format!("v{}", i.min(1)), repeat: 0, text: format!("{case}/{i}"), also: vec![] },
            score: Some(i as f64),
        };
        let case = |c: usize| CaseAnswers {
            case: format!("c{c}"),
            tags: vec![],
            prompt: PromptText::Text(format!("Q{c}")),
            start: 0,
            answers: (0..k).map(|i| answer(c, i)).collect(),
        };
        Gathered { run: "r".into(), cases: (0..n).map(case).collect(), ..Gathered::default() }
    }

    pub(in crate::rank) fn settings(rater: &str) -> PlanSettings {
        PlanSettings { rater: rater.into(), axes: vec![None], answers: 4, again: 0.1, seed: 0 }
    }

    fn texts(item: &Item) -> Vec<&str> {
        item.shown.iter().map(|i| item.case.answers[*i].answer.text.as_str()).collect()
    }

    #[test]
    fn a_share_comes_back_later_and_never_soon() {
        let plan = Plan::new(gathered(60, 3), &settings("ann")).unwrap();
        assert_eq!((plan.items.len(), plan.items.iter().filter(|item| item.again).count()), (66, 6));
        for (at, item) in plan.items.iter().enumerate().filter(|(_, item)| item.again) {
            let first = plan.items.iter().position(|other| other.case.case == item.case.case).unwrap();
            assert!(at >= first + APART, "{first} {at}");
            assert!(!plan.items[first].again);
        }
        let none = PlanSettings { again: 0.0, ..settings("ann") };
        assert_eq!(Plan::new(gathered(60, 3), &none).unwrap().items.len(), 60);
        assert_eq!(Plan::new(gathered(1, 3), &settings("ann")).unwrap().items.len(), 1, "one case would be recognised");
    }

    #[test]
    fn raters_see_the_same_answers_in_orders_of_their_own() {
        let of = |rater: &str| Plan::new(gathered(40, 6), &PlanSettings { again: 0.0, ..settings(rater) }).unwrap();
        let (ann, bob) = (of("ann"), of("bob"));
        assert_eq!(
            ann.items.iter().map(texts).collect::<Vec<_>>(),
            of("ann").items.iter().map(texts).collect::<Vec<_>>()
        );
        let mut same = 0;
        for item in &ann.items {
            let other = bob.items.iter().find(|other| other.case.case == item.case.case).unwrap();
            let (mut one, mut two) = (texts(item), texts(other));
            same += usize::from(one == two);
            one.sort_unstable();
            two.sort_unstable();
            assert_eq!(one, two);
            assert!(one.iter().any(|text| text.ends_with("/0")), "the only answer of its variant: {one:?}");
        }
        assert!(same < 10, "{same} of 40 in the same order, where 1 in 24 is chance");
    }

    /// 400 cases of two answers: the first is shown first 200 times, give or take four standard deviations.
    #[test]
    fn no_answer_is_favoured_by_its_place() {
        let plan = Plan::new(gathered(400, 2), &PlanSettings { again: 0.0, ..settings("ann") }).unwrap();
        let first = plan.items.iter().filter(|item| item.shown[0] == 0).count();
        assert!(first.abs_diff(200) < 40, "{first}");
    }

    #[test]
    fn each_axis_is_a_judgement_of_the_same_screen() {
        let axes = vec![Some("helpful".to_owned()), Some("honest".to_owned())];
        let plan = Plan::new(gathered(3, 4), &PlanSettings { axes, ..settings("ann") }).unwrap();
        assert_eq!(plan.items.len(), 8);
        for pair in plan.items.chunks(2) {
            assert_eq!((texts(&pair[0]), pair[0].again), (texts(&pair[1]), pair[1].again));
            assert_ne!(pair[0].axis, pair[1].axis);
        }
    }

    #[test]
    fn nothing_to_rank_is_an_error_that_counts() {
        let empty = Gathered { single: 12, without: 3, ..Gathered::default() };
        let error = Plan::new(empty, &settings("ann")).unwrap_err();
        assert_eq!(error.to_string(), "there is nothing to rank: 12 cases have one answer only, 3 have none");
    }
}
