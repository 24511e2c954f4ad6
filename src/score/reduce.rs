//! The repeats of a case as one score: their mean, the answer of the majority (by heads or by rewards), the best (by the
//! score itself or by a reward), or pass@k.

use super::group::value_of;
use super::judgement::clip;
use super::normalise::{bare, fold};
use super::number::Exactly;
use super::{Score, ScoreValue};
use crate::suite::Reduce;

/// What the scores that one scorer gave to the repeats of a case come to. Repeats that are unscored do not count; where
/// all are, so is the result, for the first one's reason.
pub(super) fn reduce(
    by: &Reduce,
    scorer: &str,
    (repeats, weights): (&[&Score], &[Option<f64>]),
    target: Option<&str>,
) -> Score {
    let scored: Vec<&Score> = repeats.iter().copied().filter(|s| !matches!(s.value, ScoreValue::Unscored(_))).collect();
    if scored.is_empty() {
        let reason = repeats.first().map_or_else(
            || "no repeat is recorded".to_owned(),
            |first| match &first.value {
                ScoreValue::Unscored(reason) => reason.clone(),
                _ => String::new(),
            },
        );
        return named(scorer, ScoreValue::Unscored(reason), String::new());
    }
    match by {
        Reduce::Majority => {
            if let Some(score) = majority(scorer, &scored, repeats.len()) {
                return score;
            }
        }
        Reduce::BestOf(reward) => return chosen(scorer, repeats, (reward, weights)),
        Reduce::Weighted(reward) => {
            if let Some(score) = weighted(repeats, (reward, weights)) {
                return score;
            }
        }
        Reduce::Mean | Reduce::Max | Reduce::PassAt(_) => {}
    }
    let numbers = match scored.iter().map(|score| value_of(score, target)).collect::<Result<Vec<f64>, _>>() {
        Ok(numbers) => numbers,
        Err(reason) => return named(scorer, ScoreValue::Unscored(reason), String::new()),
    };
    match by {
        Reduce::Mean | Reduce::Majority | Reduce::BestOf(_) | Reduce::Weighted(_) => {
            let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
            named(scorer, ScoreValue::number(mean), format!("the mean of {}", count(&numbers, repeats)))
        }
        Reduce::Max => best(&scored, &numbers, repeats.len()),
        Reduce::PassAt(k) => pass_at(scorer, *k, &numbers, repeats),
    }
}

/// Self-consistency (Wang et al. 2022, arXiv 2203.11171): the answer given most often counts, of equals the one that came
/// up first, with the score of the first repeat that gave it. Numbers are the same as decimals (29 and 29.00), texts
/// after case, white space, quotes and trailing punctuation are set aside. A repeat whose answer could not be read has
/// no vote; where none could, the case is wrong. `None` for a scorer that has no answers, such as a perplexity.
fn majority(scorer: &str, scored: &[&Score], repeats: usize) -> Option<Score> {
    let mut votes: Vec<(Vote, &Score, usize)> = Vec::new();
    for score in scored {
        let Some(answer) = &score.answer else { continue };
        let vote = Vote::of(answer);
        match votes.iter_mut().find(|(other, ..)| *other == vote) {
            Some((.., count)) => *count += 1,
            None => votes.push((vote, score, 1)),
        }
    }
    let most = votes.iter().map(|(.., count)| *count).max();
    let Some((_, winner, count)) = votes.into_iter().find(|(.., count)| Some(*count) == most) else {
        let unread = scored.iter().all(|score| score.value == ScoreValue::Pass(false));
        let explanation = format!("none of {repeats} gave an answer that could be read");
        return unread.then(|| named(scorer, ScoreValue::Pass(false), explanation));
    };
    let answer = clip(winner.answer.as_deref().unwrap_or_default());
    Some(Score { explanation: behind(format!("{count} of {repeats} said `{answer}`"), winner), ..winner.clone() })
}

/// Best of n (Stiennon et al. 2020, arXiv 2009.01325, section 4.3): the repeat with the highest reward counts, the first of
/// equals, whatever it is. A repeat without a reward is never chosen; where none has one, the case is unscored.
fn chosen(scorer: &str, repeats: &[&Score], (reward, rewards): (&str, &[Option<f64>])) -> Score {
    let known: Vec<(usize, f64)> =
        rewards.iter().enumerate().filter_map(|(at, reward)| Some((at, (*reward)?))).collect();
    let numbers: Vec<f64> = known.iter().map(|(_, reward)| *reward).collect();
    let best = (!numbers.is_empty()).then(|| known[super::candidate::first_best(&numbers)]);
    let Some((winner, worth)) = best.and_then(|(at, worth)| Some((*repeats.get(at)?, worth))) else {
        let reason = format!("no repeat has a `{reward}` to choose by");
        return named(scorer, ScoreValue::Unscored(reason), String::new());
    };
    let what = format!("the best of {} by `{reward}` ({worth:.3})", repeats.len());
    Score { explanation: behind(what, winner), ..winner.clone() }
}

/// A vote in which each answer counts e^reward, as heavily as a reward model finds it likelier than an average one
/// (Bradley-Terry odds). Answers are told apart as in a majority. `None` for a scorer that has no answers.
fn weighted(repeats: &[&Score], (reward, rewards): (&str, &[Option<f64>])) -> Option<Score> {
    let mut votes: Vec<(Vote, &Score, f64)> = Vec::new();
    let mut all = 0.0;
    for (score, reward) in repeats.iter().zip(rewards) {
        let (Some(answer), Some(reward)) = (&score.answer, reward) else { continue };
        let (vote, weight) = (Vote::of(answer), reward.clamp(-50.0, 50.0).exp());
        all += weight;
        match votes.iter_mut().find(|(other, ..)| *other == vote) {
            Some((.., sum)) => *sum += weight,
            None => votes.push((vote, score, weight)),
        }
    }
    let heaviest = votes.iter().map(|(.., weight)| *weight).fold(f64::NEG_INFINITY, f64::max);
    let (_, winner, weight) = votes.into_iter().find(|(.., weight)| *weight >= heaviest)?;
    let answer = clip(winner.answer.as_deref().unwrap_or_default());
    let what = format!("`{answer}` has {:.0} % of the votes, weighted by `{reward}`", 100.0 * weight / all);
    Some(Score { explanation: behind(what, winner), ..winner.clone() })
}

/// An answer as it is counted.
#[derive(Debug, PartialEq)]
enum Vote {
    Number(Exactly),
    Text(String),
}

impl Vote {
    fn of(answer: &str) -> Self {
        match Exactly::parse(answer) {
            Some(number) => Self::Number(number),
            None => Self::Text(bare(&fold(answer, false)).to_owned()),
        }
    }
}

/// The repeat of the highest number; the first of equals.
fn best(scored: &[&Score], numbers: &[f64], repeats: usize) -> Score {
    let at = super::candidate::first_best(numbers);
    let winner = scored[at];
    Score { explanation: behind(format!("the best of {repeats}"), winner), ..winner.clone() }
}

/// pass@k without bias (Chen et al. 2021, arXiv 2107.03374): of n repeats of which c pass, the chance that k drawn without
/// replacement hold one that passes, `1 − C(n−c, k) / C(n, k)`, as the product `1 − Π_{i = n−c+1}^{n} (1 − k/i)`, which
/// does not overflow. A repeat passes where it counts 1.
fn pass_at(scorer: &str, k: u32, numbers: &[f64], repeats: &[&Score]) -> Score {
    let (n, k) = (numbers.len(), k as usize);
    let passes = numbers.iter().filter(|number| **number >= 1.0).count();
    if k == 0 || n < k {
        let reason = format!("pass@{k} needs {k} scored repeats, and there are {n}");
        return named(scorer, ScoreValue::Unscored(reason), String::new());
    }
    let value = if n - passes < k {
        1.0
    } else {
        1.0 - (n - passes + 1..=n).map(|i| 1.0 - k as f64 / i as f64).product::<f64>()
    };
    named(scorer, ScoreValue::number(value), format!("{passes} of {} pass", count(numbers, repeats)))
}

/// `8 repeats`, or `7 repeats (1 unscored)`.
fn count(scored: &[f64], repeats: &[&Score]) -> String {
    match repeats.len() - scored.len() {
        0 => format!("{} repeats", scored.len()),
        unscored => format!("{} repeats ({unscored} unscored)", scored.len()),
    }
}

fn behind(what: String, winner: &Score) -> String {
    if winner.explanation.is_empty() { what } else { format!("{what}; {}", winner.explanation) }
}

fn named(scorer: &str, value: ScoreValue, explanation: String) -> Score {
    Score { scorer: scorer.to_owned(), value, answer: None, explanation, parts: serde_json::Map::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(value: ScoreValue, answer: Option<&str>) -> Score {
        Score { answer: answer.map(str::to_owned), ..named("s", value, String::new()) }
    }

    fn said(answer: &str, right: bool) -> Score {
        score(ScoreValue::Pass(right), Some(answer))
    }

    fn unread() -> Score {
        score(ScoreValue::Pass(false), None)
    }

    fn unscored(reason: &str) -> Score {
        score(ScoreValue::Unscored(reason.into()), None)
    }

    #[allow(clippy::needless_pass_by_value, reason = "tests read better")]
    fn reduced(by: Reduce, repeats: &[Score]) -> Score {
        rewarded(&by, repeats, &[])
    }

    fn rewarded(by: &Reduce, repeats: &[Score], rewards: &[Option<f64>]) -> Score {
        reduce(by, "s", (&repeats.iter().collect::<Vec<_>>(), rewards), Some("yes"))
    }

    #[test]
    fn the_answer_of_the_highest_reward_counts_right_or_wrong() {
        let by = Reduce::BestOf("reward".into());
        let repeats = [said("30", true), said("29", false), unread(), said("28", true)];
        let score = rewarded(&by, &repeats, &[Some(0.5), Some(1.5), None, Some(1.5)]);
        assert_eq!((score.value, score.answer.as_deref()), (ScoreValue::Pass(false), Some("29")));
        insta::assert_snapshot!(score.explanation, @"the best of 4 by `reward` (1.500)");
        let silent = rewarded(&by, &repeats, &[None, None, Some(-3.0), None]);
        assert_eq!((silent.value, silent.answer), (ScoreValue::Pass(false), None), "even an empty answer");
        let none = rewarded(&by, &repeats, &[None; 4]);
        assert_eq!(none.value, ScoreValue::Unscored("no repeat has a `reward` to choose by".into()));
    }

    /// e^1 of one answer against e^0.2 + e^0.4 of another: 2.718 of 5.431; with e^0.6 of it, 2.718 of 5.762.
    #[test]
    fn a_vote_weighs_as_much_as_its_reward_says() {
        let by = Reduce::Weighted("reward".into());
        let repeats = [said("30", true), said("29", false), said("29.0", false), unread()];
        let score = rewarded(&by, &repeats, &[Some(1.0), Some(0.2), Some(0.4), Some(9.0)]);
        assert_eq!((score.value, score.answer.as_deref()), (ScoreValue::Pass(true), Some("30")));
        insta::assert_snapshot!(score.explanation, @"`30` has 50 % of the votes, weighted by `reward`");
        let other = rewarded(&by, &repeats, &[Some(1.0), Some(0.2), Some(0.6), None]);
        assert_eq!(other.answer.as_deref(), Some("29"));
        // A reward itself has no answers: its mean.
        let number = |value| score_of(ScoreValue::Number(value));
        assert_eq!(rewarded(&by, &[number(1.0), number(3.0)], &[Some(1.0), Some(3.0)]).value, ScoreValue::Number(2.0));
    }

    fn score_of(value: ScoreValue) -> Score {
        score(value, None)
    }

    #[test]
    fn the_majority_counts_equal_numbers_and_texts_together() {
        let votes =
            [said("30", false), said("29", true), said("$29.00", true), said(" 30.0 ", false), said("29.", true)];
        let score = reduced(Reduce::Majority, &votes);
        assert_eq!((score.value, score.answer.as_deref()), (ScoreValue::Pass(true), Some("29")));
        insta::assert_snapshot!(score.explanation, @"3 of 5 said `29`");
        let texts = [said("Rome", false), said("**paris.**", true), said("Paris", true)];
        assert_eq!(reduced(Reduce::Majority, &texts).answer.as_deref(), Some("**paris.**"));
    }

    #[test]
    fn of_equally_frequent_answers_the_first_wins_and_the_unread_have_no_vote() {
        let votes = [unread(), said("7", false), unread(), said("8", true), unread(), unscored("too long")];
        let score = reduced(Reduce::Majority, &votes);
        assert_eq!((score.value, score.answer.as_deref()), (ScoreValue::Pass(false), Some("7")));
        insta::assert_snapshot!(score.explanation, @"1 of 6 said `7`");
        let none = reduced(Reduce::Majority, &[unread(), unread()]);
        assert_eq!((none.value, none.answer), (ScoreValue::Pass(false), None));
        insta::assert_snapshot!(none.explanation, @"none of 2 gave an answer that could be read");
    }

    #[test]
    fn the_winner_keeps_its_explanation_and_parts() {
        let mut right = said("a", true);
        right.explanation = "why".into();
        right.parts.insert("brier".into(), 0.5.into());
        let score = reduced(Reduce::Majority, &[right.clone(), said("a", true)]);
        assert_eq!((score.explanation.as_str(), &score.parts), ("2 of 2 said `a`; why", &right.parts));
    }

    #[test]
    fn the_mean_counts_passes_numbers_and_right_labels() {
        let label = |text: &str| score(ScoreValue::Label(text.into()), Some(text));
        let values =
            [said("x", true), unread(), label("yes"), label("no"), score(ScoreValue::Number(0.5), None), unscored("x")];
        let score = reduced(Reduce::Mean, &values);
        assert_eq!((score.value, score.answer), (ScoreValue::Number(0.5), None));
        insta::assert_snapshot!(score.explanation, @"the mean of 5 repeats (1 unscored)");
    }

    #[test]
    fn a_scorer_without_answers_has_no_majority_but_a_mean() {
        let number = |value| score(ScoreValue::Number(value), None);
        assert_eq!(reduced(Reduce::Majority, &[number(3.0), number(5.0)]).value, ScoreValue::Number(4.0));
    }

    #[test]
    fn the_best_is_the_first_of_the_highest() {
        let number = |value, answer| score(ScoreValue::Number(value), Some(answer));
        let best = reduced(Reduce::Max, &[number(0.2, "a"), number(0.9, "b"), unscored("x"), number(0.9, "c")]);
        assert_eq!((best.value, best.answer.as_deref()), (ScoreValue::Number(0.9), Some("b")));
        insta::assert_snapshot!(best.explanation, @"the best of 4");
        let label = |text: &str| score(ScoreValue::Label(text.into()), Some(text));
        assert_eq!(reduced(Reduce::Max, &[label("no"), label("yes")]).value, ScoreValue::Label("yes".into()));
    }

    /// ```python
    /// from math import comb
    /// f = lambda n, c, k: 1 - comb(n - c, k) / comb(n, k)
    /// f(8, 3, 1), f(8, 3, 5), f(8, 3, 6), f(10, 0, 3), f(200, 20, 100)
    /// ```
    #[test]
    fn pass_at_k_agrees_with_the_binomials() {
        for (n, passes, k, wanted) in [
            (8, 3, 1, 0.375),
            (8, 3, 5, 0.982_142_857_142_857_2),
            (8, 3, 6, 1.0),
            (10, 0, 3, 0.0),
            (200, 20, 100, 0.999_999_667_831_292_2),
        ] {
            let repeats: Vec<Score> = (0..n).map(|i| said("x", i < passes)).collect();
            let score = reduced(Reduce::PassAt(k), &repeats);
            assert!((score.value.as_number().unwrap() - wanted).abs() < 1e-12, "{n} {passes} {k}: {score:?}");
        }
        let score = reduced(Reduce::PassAt(2), &[said("x", true), unread(), unscored("x")]);
        assert_eq!(
            (score.value, score.explanation.as_str()),
            (ScoreValue::Number(1.0), "1 of 2 repeats (1 unscored) pass")
        );
        let few = reduced(Reduce::PassAt(3), &[said("x", true), unread(), unscored("x")]);
        assert_eq!(few.value, ScoreValue::Unscored("pass@3 needs 3 scored repeats, and there are 2".into()));
    }

    #[test]
    fn unscored_everywhere_is_unscored_for_the_first_reason() {
        for by in [Reduce::Mean, Reduce::Majority, Reduce::Max, Reduce::PassAt(1)] {
            let score = reduced(by.clone(), &[unscored("first"), unscored("second")]);
            assert_eq!(score.value, ScoreValue::Unscored("first".into()));
            assert!(matches!(reduced(by, &[]).value, ScoreValue::Unscored(_)));
        }
    }
}
