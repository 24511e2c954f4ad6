use super::super::record::tests::judged;
use super::*;
use crate::error::Place;

fn file(judgements: Vec<Judgement>) -> Rankings {
    let place = Place::file("r.jsonl");
    let judgements = judgements.into_iter().map(|one| (place.clone(), one)).collect();
    Rankings { judgements, withdrawn: 0, cut: None }
}

fn order(places: &[usize]) -> Verdict {
    Verdict::Order(places.iter().map(|i| vec![*i]).collect())
}

fn case(i: usize) -> String {
    format!("c{i}")
}

/// Answers are the same texts, shown in another order: `shown` names them by their places in x, y, z.
fn shown(rater: &str, i: usize, shown: [&str; 3], best: [&str; 3]) -> Judgement {
    let at = |text: &&str| shown.iter().position(|other| other == text).unwrap();
    let verdict = order(&best.iter().map(at).collect::<Vec<_>>());
    let mut one = judged(rater, &case(i), &shown, verdict);
    for answer in &mut one.answers {
        answer.variant = format!("v-{}", answer.text);
    }
    one
}

#[test]
fn raters_who_agree_on_texts_agree_whatever_the_order_on_the_screen() {
    let all = (0..12).flat_map(|i| {
        let best = if i % 2 == 0 { ["x", "y", "z"] } else { ["y", "x", "z"] };
        [shown("ann", i, ["x", "y", "z"], best), shown("bob", i, ["z", "x", "y"], best)]
    });
    let report = RankReport::of(&[file(all.collect())]);
    let found = &report.axes[0].agreement;
    assert_eq!((found.alpha, found.agreed, found.cases, found.pairs), (Some(1.0), Some(1.0), 12, 36));
    let names: Vec<&str> = report.axes[0].standings.iter().map(|one| one.variant.as_str()).collect();
    assert_eq!(names[2], "v-z");
    assert_eq!(report.axes[0].standings[0].bouts, 48);
}

#[test]
fn a_rater_who_turns_everything_round_disagrees_by_system() {
    let all = (0..12).flat_map(|i| {
        [shown("ann", i, ["x", "y", "z"], ["x", "y", "z"]), shown("bob", i, ["x", "y", "z"], ["z", "y", "x"])]
    });
    let found = RankReport::of(&[file(all.collect())]).axes[0].agreement.clone();
    assert!(found.alpha.unwrap() < -0.4 && found.agreed == Some(0.0), "{found:?}");
}

#[test]
fn the_last_word_of_a_rater_on_a_showing_counts_and_axes_stay_apart() {
    let honest = |one: Judgement| Judgement { axis: Some("honest".into()), ..one };
    let (xy, yx) = (["x", "y", "z"], ["y", "x", "z"]);
    let all = vec![
        shown("ann", 1, xy, xy),
        shown("ann", 1, xy, yx),
        shown("bob", 1, xy, yx),
        honest(shown("ann", 1, xy, xy)),
    ];
    let report = RankReport::of(&[file(all)]);
    assert_eq!((report.judgements, report.axes.len(), report.cases), (3, 2, 1));
    assert_eq!(report.axes[0].agreement.agreed, Some(1.0));
    assert_eq!(report.axes[1].axis.as_deref(), Some("honest"));
}

#[test]
fn a_second_showing_measures_the_rater_against_himself_and_nothing_else() {
    let again = |one: Judgement| Judgement { again: true, ..one };
    let (xyz, zyx) = (["x", "y", "z"], ["z", "y", "x"]);
    let mut all: Vec<Judgement> = (0..10).map(|i| shown("ann", i, xyz, xyz)).collect();
    all.extend((0..4).map(|i| again(shown("ann", i, zyx, if i == 0 { zyx } else { xyz }))));
    let report = RankReport::of(&[file(all)]);
    let within = &report.raters[0].again;
    assert_eq!((within.cases, within.pairs), (4, 12));
    assert!((within.agreed.unwrap() - 0.75).abs() < 1e-12);
    assert_eq!(report.axes[0].agreement.cases, 0, "one rater");
    assert_eq!(report.axes[0].standings[0].bouts, 20, "ten first showings, two others each");
}

/// One rater who always takes what is shown first, and one whose taste is the text.
#[test]
fn who_is_swayed_by_the_place_is_seen() {
    let places = [["x", "y", "z"], ["y", "z", "x"], ["z", "x", "y"], ["z", "y", "x"], ["y", "x", "z"], ["x", "z", "y"]];
    let all = (0..60).flat_map(|i| {
        let screen = places[i % 6];
        [shown("first", i, screen, screen), shown("fair", i, screen, ["x", "y", "z"])]
    });
    let report = RankReport::of(&[file(all.collect())]);
    let (fair, first) = (&report.raters[0].leaning, &report.raters[1].leaning);
    assert_eq!((first.first, first.pairs), (Some(1.0), 180));
    assert!((fair.first.unwrap() - 0.5).abs() < 1e-12 && fair.first_ci.unwrap()[1] < 0.6, "{fair:?}");
}

#[test]
fn simulated_raters_are_never_among_people() {
    let (xyz, zyx) = (["x", "y", "z"], ["z", "y", "x"]);
    let all = (0..5).flat_map(|i| [shown("ann", i, xyz, xyz), shown("simulated:exact", i, xyz, zyx)]);
    let report = RankReport::of(&[file(all.collect())]);
    assert_eq!((report.raters.len(), report.simulated.len()), (1, 1));
    let axis = &report.axes[0];
    assert_eq!(axis.agreement.cases, 0);
    assert_eq!((axis.standings[0].variant.as_str(), axis.simulated[0].variant.as_str()), ("v-x", "v-z"));
}

#[test]
fn scores_agree_by_their_size_and_not_by_their_order_alone() {
    let all = (0..10).flat_map(|i| {
        let low = u8::try_from(i % 3).unwrap() + 1;
        let of = |rater: &str, more: u8| judged(rater, &case(i), &["x", "y"], Verdict::Scores(vec![low, low + more]));
        [of("ann", 1), of("bob", 4)]
    });
    let found = RankReport::of(&[file(all.collect())]).axes[0].agreement.clone();
    assert!(found.agreed == Some(1.0) && found.alpha.unwrap() < 0.9, "{found:?}");
}

#[test]
fn the_report_is_said_in_tables() {
    let (xyz, yxz) = (["x", "y", "z"], ["y", "x", "z"]);
    let mut all: Vec<Judgement> = (0..20).map(|i| shown("ann", i, xyz, if i < 14 { xyz } else { yxz })).collect();
    all.extend((0..20).map(|i| shown("bob", i, yxz, if i < 11 { xyz } else { yxz })));
    all.push(Judgement { again: true, ..shown("ann", 3, yxz, xyz) });
    all.push(judged("ann", "c77", &["x", "y"], Verdict::CantTell));
    all.push(shown("simulated:exact", 1, xyz, xyz));
    insta::assert_snapshot!(tables(&RankReport::of(&[file(all)])), @r"
    43 judgements of 21 cases by 2 people and 1 simulated rater.

    rater  judged  can't tell  median s  alpha, again        same, again         first wins
    ───────────────────────────────────────────────────────────────────────────────────────
    ann        22           1       2.0          1.00  1.00 [0.21, 1.00]  0.89 [0.79, 0.95]
    bob        20           0       2.0             -                  -  0.82 [0.70, 0.89]

    simulated        judged  can't tell  median s  alpha, again  same, again         first wins
    ───────────────────────────────────────────────────────────────────────────────────────────
    simulated:exact       1           0       2.0             -            -  1.00 [0.21, 1.00]

    overall: raters agree with alpha 0.93 [0.85, 1.00], same 0.95 [0.86, 0.98], over 20 cases
    variant  compared  wins against another
    ───────────────────────────────────────
    v-x            80     0.81 [0.71, 0.90]
    v-y            80     0.69 [0.60, 0.79]
    v-z            80                  0.00
    variant (simulated)  compared  wins against another
    ───────────────────────────────────────────────────
    v-x                         2                  1.00
    v-y                         2                  0.50
    v-z                         2                  0.00

    alpha (Krippendorff, ordinal): 1 perfect, 0 chance; same: pairs that both put in one order;
    first wins: how often the answer shown first does, 0.5 without bias; intervals 95 %
    ");
}
