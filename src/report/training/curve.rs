//! One figure: lines over the steps. Texts keep their size whatever the width, since only lines are stretched.

use super::scale::{Scale, short, tick};
use super::thin::{Point, smoothed, thinned};
use maud::{Markup, html};

/// The square that lines are drawn in, before it is stretched.
const SIDE: f64 = 1000.0;

/// A line of a figure.
#[derive(Debug)]
pub(super) struct Line {
    /// What it is called.
    pub(super) name: &'static str,
    /// Its class: `one` or `two`.
    pub(super) class: &'static str,
    /// Its values.
    pub(super) points: Vec<Point>,
    /// Each value is a dot, too.
    pub(super) dots: bool,
    /// It is noisy: its course is drawn over it.
    pub(super) noisy: bool,
}

impl Line {
    fn known(&self) -> impl Iterator<Item = (u64, f64)> + Clone {
        self.points.iter().filter_map(|(step, value)| Some((*step, (*value)?)))
    }

    /// In words: where it begins, where it ends, where it is least.
    fn spoken(&self) -> String {
        let (Some(first), Some(last)) = (self.known().next(), self.known().last()) else {
            return format!("{}: nothing yet", self.name);
        };
        let least = self.known().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(last);
        let at = |(step, value): (u64, f64)| format!("{} at step {step}", short(value));
        format!("{}: {}, {}, least {}", self.name, at(first), at(last), at(least))
    }
}

/// A figure over the steps.
#[derive(Debug)]
pub(super) struct Figure<'f> {
    pub(super) title: &'f str,
    pub(super) unit: &'f str,
    pub(super) lines: Vec<Line>,
    pub(super) scale: Scale,
    /// The step at the right end.
    pub(super) last: u64,
    /// Steps from which later sittings went on.
    pub(super) sittings: &'f [u64],
    /// A value to be marked, with its words.
    pub(super) mark: Option<(u64, f64, String)>,
    /// A value that a line is drawn at, with its words.
    pub(super) bound: Option<(f64, String)>,
}

impl Figure<'_> {
    /// A share of the width, for a step.
    fn across(&self, step: u64) -> f64 {
        step as f64 / self.last as f64
    }

    fn path(&self, points: &[Point]) -> String {
        let mut path = String::new();
        let mut pen = 'M';
        for (step, value) in thinned(points) {
            if let Some(value) = value {
                path += &format!("{pen}{:.1} {:.1}", SIDE * self.across(step), SIDE * self.scale.down(value));
                pen = 'L';
            } else {
                pen = 'M';
            }
        }
        path
    }

    /// The figure.
    pub(super) fn draw(&self, wide: bool) -> Markup {
        let spoken: Vec<String> = self.lines.iter().map(Line::spoken).collect();
        let mark = self.mark.as_ref().map_or_else(String::new, |(.., words)| format!("; {words}"));
        let unit = if self.unit.is_empty() { String::new() } else { format!(", {}", self.unit) };
        html! {
            figure.steps.main[wide] {
                figcaption {
                    (self.title) " " span.quiet { (self.unit) @if self.scale.is_log() { ", logarithmic" } }
                    @if self.lines.len() > 1 {
                        span.legend { @for line in &self.lines { span.key.(line.class) { (line.name) } } }
                    }
                }
                div.frame {
                    svg.values aria-hidden="true" {
                        @for value in self.scale.ticks() {
                            text.tick x="100%" y=(percent(self.scale.down(value))) dy="4" text-anchor="end" { (tick(value)) }
                        }
                    }
                    svg.plot role="img" aria-label=(format!("{}{}, over the steps. {}{mark}", self.title, unit, spoken.join("; "))) {
                        (self.grid())
                        svg width="100%" height="100%" viewBox="0 0 1000 1000" preserveAspectRatio="none" {
                            @for line in &self.lines { (self.line(line)) }
                        }
                        @for line in self.lines.iter().filter(|line| line.dots) {
                            @for (step, value) in line.known() {
                                circle.(line.class) cx=(percent(self.across(step))) cy=(percent(self.scale.down(value))) r="3" {}
                            }
                        }
                        (self.marked())
                        line.cross x1="0" x2="0" y1="0" y2="100%" {}
                        (self.numbers())
                    }
                }
            }
        }
    }

    fn line(&self, line: &Line) -> Markup {
        let course = if line.noisy { smoothed(&line.points) } else { None };
        html! {
            @if let Some(course) = course {
                path.noise.(line.class) d=(self.path(&line.points)) {}
                path.course.(line.class) d=(self.path(&course)) {}
            } @else {
                path.course.(line.class) d=(self.path(&line.points)) {}
            }
        }
    }

    /// Lines behind the curves: the grid, a bound, where a later sitting began.
    fn grid(&self) -> Markup {
        html! {
            @for value in self.scale.ticks() {
                @let y = percent(self.scale.down(value));
                line.grid x1="0" x2="100%" y1=(y) y2=(y) {}
            }
            @for step in self.sittings {
                @let x = percent(self.across(*step));
                line.sitting x1=(x) x2=(x) y1="0" y2="100%" { title { "went on from step " (step) } }
            }
            @if let Some((value, words)) = &self.bound {
                @let y = percent(self.scale.down(*value));
                line.bound x1="0" x2="100%" y1=(y) y2=(y) {}
                text.tick x="100%" y=(y) dy="-4" text-anchor="end" { (words) }
            }
        }
    }

    fn marked(&self) -> Markup {
        let Some((step, value, words)) = &self.mark else { return html! {} };
        let (across, down) = (self.across(*step), self.scale.down(*value));
        let anchor = match across {
            _ if across < 0.2 => "start",
            _ if across > 0.8 => "end",
            _ => "middle",
        };
        // Below the dot, where a falling curve leaves room; above it at the foot of the figure.
        let below = down < 0.85;
        html! {
            circle.best cx=(percent(across)) cy=(percent(down)) r="6" {}
            text.label x=(percent(across)) y=(percent(down)) dy=(if below { "22" } else { "-12" }) text-anchor=(anchor) { (words) }
        }
    }

    /// The steps along the foot.
    fn numbers(&self) -> Markup {
        let middle = self.last / 2;
        html! {
            text.tick x="0" y="100%" dy="16" { "0" }
            @if middle > 0 && self.last.is_multiple_of(2) {
                text.tick x="50%" y="100%" dy="16" text-anchor="middle" { (middle) }
            }
            text.tick x="100%" y="100%" dy="16" text-anchor="end" { "step " (self.last) }
        }
    }
}

fn percent(share: f64) -> String {
    format!("{:.2}%", 100.0 * share)
}
