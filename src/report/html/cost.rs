//! Cost against accuracy: what a case takes, over all its repeats, and the suite's first metric.

use super::columns::Columns;
use super::metrics::tick;
use super::overview::three;
use crate::stats::Direction;
use crate::summary::{RunSummary, VariantSummary};
use maud::{Markup, html};
use std::collections::HashSet;

/// The plot in units of its picture: left, right, top, bottom.
const PLOT: [f64; 4] = [44.0, 500.0, 30.0, 230.0];

/// Where a label ends at the latest.
const RIGHTMOST: f64 = 526.0;

/// The height of a label, and about the width of a letter.
const LINE: f64 = 14.0;
const LETTER: f64 = 7.2;

/// Seconds where all variants were timed; tokens otherwise.
#[derive(Debug, Clone, Copy)]
struct Cost {
    seconds: f64,
    tokens: f64,
}

/// A variant in the plot.
#[derive(Debug)]
struct Point {
    label: String,
    cost: f64,
    value: f64,
    ci: Option<[f64; 2]>,
}

/// The mean over the cases of a variant.
fn cost_of(run: &RunSummary, variant: &VariantSummary) -> Option<Cost> {
    let mut cases = HashSet::new();
    let (mut seconds, mut tokens) = (0.0, 0.0);
    for trial in run.costs(&variant.name) {
        cases.insert(trial.case);
        seconds += trial.elapsed_s;
        tokens += (trial.prompt_tokens + trial.completion_tokens) as f64;
    }
    let count = cases.len() as f64;
    (!cases.is_empty()).then(|| Cost { seconds: seconds / count, tokens: tokens / count })
}

/// The picture; nothing where fewer than two variants have both.
pub(super) fn cost(columns: &Columns, suite: usize) -> Markup {
    let found: Vec<_> = columns
        .of_suite(suite)
        .filter_map(|(column, variant)| {
            let metric = variant.metrics.first()?;
            let cost = cost_of(columns.runs.get(column.run)?, variant)?;
            Some((column.label.clone(), cost, metric, metric.value?))
        })
        .collect();
    let Some((_, _, first, _)) = found.first().filter(|_| found.len() > 1) else { return html! {} };
    let timed = found.iter().all(|(_, cost, ..)| cost.seconds > 0.0);
    let unit = if timed { "seconds a case" } else { "tokens a case" };
    let lower = first.direction == Direction::Lower;
    let name = &first.name;
    let same = found.iter().filter(|(_, _, metric, _)| metric.name == *name);
    let points: Vec<Point> = same
        .map(|(label, cost, metric, value)| Point {
            label: label.clone(),
            cost: if timed { cost.seconds } else { cost.tokens },
            value: *value,
            ci: metric.ci,
        })
        .collect();
    html! {
        figure {
            figcaption { "Cost against " code { (name) } " " span.quiet { "right: dearer · " @if lower { "down: better" } @else { "up: better" } } }
            (picture(&points, unit))
        }
    }
}

fn picture<'p>(points: &'p [Point], unit: &str) -> Markup {
    let [left, right, top, bottom] = PLOT;
    let bounds = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)))
    };
    let (least, most) = bounds(&mut points.iter().map(|point| point.cost));
    let (mut low, mut high) =
        bounds(&mut points.iter().flat_map(|p| p.ci.unwrap_or([p.value; 2]).into_iter().chain([p.value])));
    if low >= 0.0 && high <= 1.0 {
        (low, high) = (0.0, 1.0);
    }
    let most = most * 1.04;
    // Where one costs many times another, equal distances are equal factors.
    let log = least > 0.0 && most / least > 8.0;
    let from = if log { (least / 1.3).ln() } else { 0.0 };
    let to = if log { (most * 1.3).ln() } else { most };
    let x = |cost: f64| left + (right - left) * ((if log { cost.ln() } else { cost }) - from) / (to - from).max(1e-12);
    let y = |value: f64| bottom - (bottom - top) * (value - low) / (high - low).max(1e-12);
    let ticks: Vec<f64> =
        if log { vec![least, (least * most).sqrt(), most / 1.04] } else { vec![0.0, most / 2.0, most] };
    let at = |place: f64| format!("{place:.1}");
    let dot = |Point { label, cost, value, ci }: &'p Point| {
        let [low, high] = ci.unwrap_or([*value; 2]);
        Dot { x: x(*cost), y: y(*value), ends: [y(high), y(low)], text: label }
    };
    let dots: Vec<Dot> = points.iter().map(dot).collect();
    html! {
        svg.chart viewBox="0 0 530 272" role="img" aria-label=(spoken(points, unit)) {
            @for value in [low, f64::midpoint(low, high), high] {
                line.grid x1=(at(left)) x2=(at(right)) y1=(at(y(value))) y2=(at(y(value))) {}
                text.tick x=(at(left - 8.0)) y=(at(y(value) + 4.0)) text-anchor="end" { (tick(value)) }
            }
            @for cost in ticks { text.tick x=(at(x(cost))) y=(at(bottom + 18.0)) text-anchor="middle" { (short(cost)) } }
            text.tick x=(at(f64::midpoint(left, right))) y=(at(bottom + 36.0)) text-anchor="middle" { (unit) @if log { ", logarithmic" } }
            @for point in points {
                @if let Some([low, high]) = point.ci {
                    line.interval x1=(at(x(point.cost))) x2=(at(x(point.cost))) y1=(at(y(low))) y2=(at(y(high))) {}
                }
                circle.point cx=(at(x(point.cost))) cy=(at(y(point.value))) r="5" {}
            }
            @for (dot, spot) in dots.iter().zip(spots(&dots)) {
                @if let Some(leader) = dot.leader(spot) { path.leader d=(leader) {} }
            }
            @for (point, [left, base]) in points.iter().zip(spots(&dots)) {
                text.label x=(at(left)) y=(at(base)) { (point.label) }
            }
        }
    }
}

/// A point in the picture: its place, and from where to where its interval goes.
#[derive(Debug)]
struct Dot<'p> {
    x: f64,
    y: f64,
    ends: [f64; 2],
    text: &'p str,
}

/// Where a label is put: its left end and its base line.
type Spot = [f64; 2];

/// Room that something takes: left, right, top, bottom.
type Room = [f64; 4];

impl Dot<'_> {
    fn own_room(&self) -> Room {
        [self.x - 5.0, self.x + 5.0, self.ends[0].min(self.y - 5.0), self.ends[1].max(self.y + 5.0)]
    }

    fn width(&self) -> f64 {
        LETTER * self.text.chars().count() as f64
    }

    fn room_of_label(&self, spot: Spot) -> Room {
        [spot[0], spot[0] + self.width(), spot[1] - LINE + 2.0, spot[1] + 3.0]
    }

    /// A line to the label, where it does not stand right beside.
    fn leader(&self, spot: Spot) -> Option<String> {
        let [left, right, top, bottom] = self.room_of_label(spot);
        let (x, y) = (self.x.clamp(left, right), self.y.clamp(top, bottom));
        let [_, _, above, below] = self.own_room();
        let near = (x - self.x).abs() < 11.0 && y > above - LINE && y < below + LINE;
        (!near).then(|| format!("M{:.1} {:.1}L{x:.1} {y:.1}", self.x, self.y))
    }

    /// Beside it, then ever further up and down.
    fn candidates(&self, most: usize) -> impl Iterator<Item = Spot> {
        let (right, left) = (self.x + 10.0, self.x - 10.0 - self.width());
        let middle = (self.x - self.width() / 2.0).min(RIGHTMOST - self.width());
        let base = self.y + 4.0;
        let [_, _, top, bottom] = self.own_room();
        let near = [[right, base], [left, base], [middle, bottom + LINE], [middle, top - 4.0]];
        let further = (1..=most).map(|row| LINE * row as f64);
        let further = further.flat_map(move |away| {
            [[right, base + away], [left, base + away], [right, base - away], [left, base - away]]
        });
        near.into_iter().chain(further)
    }
}

fn are_apart(a: Room, b: Room) -> bool {
    a[0] > b[1] || a[1] < b[0] || a[2] > b[3] || a[3] < b[2]
}

/// A spot for the label of each point, where it hides neither a point, an interval nor another label.
fn spots(dots: &[Dot]) -> Vec<Spot> {
    let mut taken: Vec<Room> = dots.iter().map(Dot::own_room).collect();
    let mut found = Vec::new();
    for dot in dots {
        let free = |spot: &Spot| {
            let own = dot.room_of_label(*spot);
            let inside = own[0] >= PLOT[0] && own[1] <= RIGHTMOST && own[2] >= 0.0 && own[3] <= PLOT[3];
            inside && taken.iter().all(|other| are_apart(own, *other))
        };
        let spot = dot.candidates(dots.len() + 2).find(free).unwrap_or([dot.x + 10.0, dot.y + 4.0]);
        taken.push(dot.room_of_label(spot));
        found.push(spot);
    }
    found
}

/// A cost with two digits that matter.
fn short(cost: f64) -> String {
    match cost {
        _ if cost <= 0.0 => "0".to_owned(),
        _ if cost >= 10.0 => format!("{cost:.0}"),
        _ if cost >= 1.0 => format!("{cost:.1}"),
        _ => {
            let digits = (-cost.log10()).ceil() + 1.0;
            format!("{cost:.*}", [1.0, 2.0, 3.0, 4.0, 5.0].iter().filter(|digit| **digit <= digits).count())
        }
    }
}

/// The plot in words.
fn spoken(points: &[Point], unit: &str) -> String {
    let each =
        points.iter().map(|point| format!("{}: {} at {} {unit}", point.label, three(point.value), short(point.cost)));
    each.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_hide_neither_points_nor_intervals_nor_one_another() {
        let dot = |x, y, text| Dot { x, y, ends: [y - 12.0, y + 12.0], text };
        let dots = [
            dot(100.0, 28.0, "zero_shot"),
            dot(108.0, 28.0, "self_consistency"),
            dot(95.0, 32.0, "warm"),
            dot(495.0, 190.0, "dear"),
        ];
        let rooms: Vec<Room> = spots(&dots).into_iter().zip(&dots).map(|(spot, dot)| dot.room_of_label(spot)).collect();
        for (number, own) in rooms.iter().enumerate() {
            let others = rooms.iter().enumerate().filter(|(at, _)| *at != number).map(|(_, room)| *room);
            assert!(dots.iter().map(Dot::own_room).chain(others).all(|other| are_apart(*own, other)), "{rooms:?}");
        }
        assert!(
            dots[3].leader([495.0 - 10.0 - dots[3].width(), 194.0]).is_none()
                && dots[3].leader([300.0, 100.0]).is_some()
        );
        assert!(rooms[3][1] < 495.0, "to the left where there is no room to the right");
    }

    #[test]
    fn costs_have_two_digits_that_matter() {
        assert_eq!([0.0, 0.0023, 0.045, 0.26, 3.16, 42.4].map(short), ["0", "0.0023", "0.045", "0.26", "3.2", "42"]);
    }
}
