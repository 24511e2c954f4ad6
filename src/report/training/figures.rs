//! The figures of a training run: loss, rate, gradient, speed, memory.

use super::TrainingRun;
use super::curve::{Figure, Line};
use super::scale::{Scale, short, tick};
use super::thin::Point;
use crate::store::training::{EvaluationRecord, StepRecord};
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};

/// All figures. Nothing is drawn of what was not measured.
pub(super) fn figures(run: &TrainingRun) -> Markup {
    if run.steps.is_empty() && run.evaluations.is_empty() {
        return html! { p.note { "No step has been made yet." } };
    }
    let sittings: Vec<u64> =
        run.header.segments.iter().map(|segment| segment.from_step).filter(|step| *step > 0).collect();
    let of = |title, unit, line: Line, zero| {
        let scale = Scale::of(line.points.iter().filter_map(|point| point.1), zero);
        Figure { title, unit, lines: vec![line], scale, last: run.last(), sittings: &sittings, mark: None, bound: None }
    };
    let steps = |name, value: Measure| {
        let points = run.steps.iter().map(|step| (step.step, value(step).filter(|value| value.is_finite()))).collect();
        Line { name, class: "one", points, dots: false, noisy: false }
    };
    let noisy = |line| Line { noisy: true, ..line };
    let gradient = of("Gradient norm", "before clipping", noisy(steps("gradient norm", |step| step.grad_norm)), false);
    let speed = noisy(steps("speed", |step| Some(step.tokens_per_s)));
    let speed = of("Speed", "tokens a second", speed, true);
    let memory = of("Memory", "peak so far, MiB", steps("memory", |step| step.peak_mib), true);
    html! {
        @if run.practises() {
            (reward(run, &sittings, noisy(steps("practised", |step| Some(step.practice.as_ref()?.reward)))).draw(true))
        } @else {
            (loss(run, &sittings, noisy(steps("training", |step| step.loss))).draw(true))
        }
        div.figures {
            @if let Some(figure) = accuracy(run, &sittings) { (figure.draw(false)) }
            @for name in scorers(run) { (scorer(run, name, &sittings).draw(false)) }
            @for (title, unit, value) in PRACTISED.iter().filter(|(.., value)| run.steps.iter().any(|step| value(step).is_some())) {
                (of(title, unit, noisy(steps(title, *value)), true).draw(false))
            }
            (of("Learning rate", "", steps("learning rate", |step| Some(step.lr)), true).draw(false))
            (clipped(run, gradient).draw(false))
            (speed.draw(false))
            @if run.steps.iter().any(|step| step.peak_mib.is_some()) { (memory.draw(false)) }
        }
    }
}

/// A number of a step.
type Measure = fn(&StepRecord) -> Option<f64>;

/// What is looked at of a policy that practises.
const PRACTISED: [(&str, &str, Measure); 10] = [
    ("KL", "from the model before it learned, nats a token", |step| Some(step.practice.as_ref()?.kl)),
    ("Entropy", "of what is drawn, nats a token", |step| Some(step.practice.as_ref()?.entropy)),
    ("Length", "tokens an answer", |step| Some(step.practice.as_ref()?.length)),
    ("Level prompts", "share whose answers are all worth the same", |step| Some(step.practice.as_ref()?.silent)),
    ("Unstopped", "share of answers that were cut", |step| Some(step.practice.as_ref()?.unstopped)),
    ("Spread", "of the rewards, a standard deviation", |step| Some(step.practice.as_ref()?.spread)),
    ("Ratio", "of the probability of what was drawn, now and then", |step| Some(step.practice.as_ref()?.ratio)),
    ("Clipped", "share of tokens gone as far as they may", |step| Some(step.practice.as_ref()?.clipped)),
    ("Parity", "mean |Δ log p| between trainer and engine", |step| Some(step.practice.as_ref()?.parity)),
    ("Foreseen", "share of the spread of returns", |step| step.practice.as_ref()?.foreseen),
];

/// The mean reward of what is practised and of what is held out, the best evaluation marked.
fn reward<'f>(run: &TrainingRun, sittings: &'f [u64], practised: Line) -> Figure<'f> {
    let points = evaluated(run, EvaluationRecord::reward);
    let held_out = Line { name: "held out", class: "two", points, dots: true, noisy: false };
    let lines: Vec<Line> = [practised, held_out].into_iter().filter(|line| !line.points.is_empty()).collect();
    let scale = Scale::of(lines.iter().flat_map(|line| &line.points).filter_map(|point| point.1), false);
    let best = run.best().and_then(|best| Some((best.step, best.reward()?)));
    let mark = best.map(|(step, reward)| (step, reward, format!("best: {} at step {step}", short(reward))));
    let unit = "of an answer, in the mean";
    Figure { title: "Reward", unit, lines, scale, last: run.last(), sittings, mark, bound: None }
}

/// The scorers of what was practised.
fn scorers(run: &TrainingRun) -> BTreeSet<&str> {
    let practised = run.steps.iter().filter_map(|step| step.practice.as_ref());
    practised.flat_map(|round| round.scores.keys()).map(String::as_str).collect()
}

/// The mean of a scorer over what is practised and over what is held out.
fn scorer<'f>(run: &TrainingRun, name: &'f str, sittings: &'f [u64]) -> Figure<'f> {
    let of = |scores: &BTreeMap<String, f64>| scores.get(name).copied();
    let practised =
        run.steps.iter().map(|step| (step.step, step.practice.as_ref().and_then(|round| of(&round.scores))));
    let held_out = run.evaluations.iter().map(|evaluation| (evaluation.step, of(&evaluation.scores)));
    let lines = vec![
        Line { name: "practised", class: "one", points: practised.collect(), dots: false, noisy: true },
        Line { name: "held out", class: "two", points: held_out.collect(), dots: true, noisy: false },
    ];
    let scale = Scale::of(lines.iter().flat_map(|line| &line.points).filter_map(|point| point.1), false);
    let unit = "of an answer, in the mean";
    Figure { title: name, unit, lines, scale, last: run.last(), sittings, mark: None, bound: None }
}

fn evaluated(run: &TrainingRun, value: fn(&EvaluationRecord) -> Option<f64>) -> Vec<Point> {
    let at = |evaluation| value(evaluation).filter(|value| value.is_finite());
    run.evaluations.iter().map(|evaluation| (evaluation.step, at(evaluation))).collect()
}

/// Training and held-out loss, the best evaluation marked.
fn loss<'f>(run: &TrainingRun, sittings: &'f [u64], training: Line) -> Figure<'f> {
    let points = evaluated(run, |evaluation| Some(evaluation.held_out_loss));
    let held_out = Line { name: "held out", class: "two", points, dots: true, noisy: false };
    let lines: Vec<Line> = [training, held_out].into_iter().filter(|line| !line.points.is_empty()).collect();
    let values = lines.iter().flat_map(|line| &line.points).filter_map(|point| point.1);
    let best = run.best().filter(|best| best.held_out_loss.is_finite());
    let mark = best.map(|best| {
        let words = format!("best: {} at step {}", short(best.held_out_loss), best.step);
        (best.step, best.held_out_loss, words)
    });
    let unit = if run.classifies() { "a document, natural logarithm" } else { "a token, natural logarithm" };
    let scale = Scale::of(values, false);
    Figure { title: "Loss", unit, lines, scale, last: run.last(), sittings, mark, bound: None }
}

/// The share of held-out labels that are right, where a head learns.
fn accuracy<'f>(run: &TrainingRun, sittings: &'f [u64]) -> Option<Figure<'f>> {
    let points = evaluated(run, |evaluation| evaluation.accuracy);
    let last = *points.iter().rev().find(|point| point.1.is_some())?;
    let lines = vec![Line { name: "held-out accuracy", class: "two", points, dots: true, noisy: false }];
    let mark = last.1.map(|value| (last.0, value, short(value)));
    let (title, unit) = ("Held-out accuracy", "share of labels that are right");
    Some(Figure { title, unit, lines, scale: Scale::share(), last: run.last(), sittings, mark, bound: None })
}

/// With the line above which gradients are clipped, where it is among the values.
fn clipped<'f>(run: &TrainingRun, mut figure: Figure<'f>) -> Figure<'f> {
    let clip = run.header.recipe.pointer("/optimiser/clip").and_then(serde_json::Value::as_f64);
    let norms = || run.steps.iter().filter_map(|step| step.grad_norm);
    let among = |clip: &f64| *clip > 0.0 && norms().any(|norm| norm > *clip) && norms().any(|norm| norm <= *clip);
    figure.bound = clip.filter(among).map(|clip| (clip, format!("clipped above {}", tick(clip))));
    figure
}
