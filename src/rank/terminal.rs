//! The same work without a browser: an item as text, and lines that a rater types. Reading and printing is for the caller.

use super::session::{Given, View};
use std::fmt::Write;

/// What a typed line asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Typed {
    /// A judgement; its comment and time are for the caller to fill in.
    Judgement(Given),
    /// Take the last one back.
    Undo,
    /// A comment on what is shown.
    Comment(String),
    /// How lines are written.
    Help,
    /// Stop here.
    Quit,
    /// Nothing.
    Nothing,
}

/// How lines are written; `scores` asks for scores.
#[must_use]
pub fn help(scores: bool) -> &'static str {
    if scores {
        "a score from 1 to 7 for each answer, in their order: 5 3 7\n\
         0 can't tell, c TEXT comment, u undo, ? help, q quit\n"
    } else {
        "the answers from the best to the worst: 2 1 3 (or 213); = for level: 2=1 3\n\
         0 can't tell, c TEXT comment, u undo, ? help, q quit\n"
    }
}

/// What is to be judged, as text. What others wrote cannot send escape codes to the terminal.
#[must_use]
pub fn shown(view: &View) -> String {
    let Some(item) = &view.item else { return format!("all done: {} of {}\n", view.done, view.total) };
    let mut out = format!("── {} of {} ", view.done + 1, view.total);
    if let Some(axis) = &item.axis {
        let _ = write!(out, "· {axis} ");
    }
    out += "──\n";
    for said in &item.prompt {
        if !said.role.is_empty() {
            let _ = writeln!(out, "{}:", plain(&said.role));
        }
        let _ = writeln!(out, "{}", plain(said.text.trim()));
    }
    for (number, answer) in (1..).zip(&item.answers) {
        let text = plain(answer.trim());
        let text = if text.is_empty() { "(an empty answer)" } else { text.as_str() };
        let _ = writeln!(out, "\n[{number}] {}", text.replace('\n', "\n    "));
    }
    out
}

fn plain(text: &str) -> String {
    // Marks that turn the direction of what follows would run over into the next line, too.
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' || turns(c) { '\u{fffd}' } else { c }).collect()
}

/// Reads a line on `k` answers; the error says what is wrong with it.
///
/// ```
/// use tripos::rank::terminal::{Typed, typed};
/// let Ok(Typed::Judgement(given)) = typed("2 = 1 > 3", 3, false) else { panic!() };
/// assert_eq!(given.order, Some(vec![vec![1, 0], vec![2]]));
/// assert_eq!(typed("21", 3, false).unwrap_err(), "answer 3 has no place");
/// ```
pub fn typed(line: &str, k: usize, scores: bool) -> Result<Typed, String> {
    let line = line.trim();
    match line {
        "" => return Ok(Typed::Nothing),
        "u" => return Ok(Typed::Undo),
        "q" => return Ok(Typed::Quit),
        "?" => return Ok(Typed::Help),
        "0" => return Ok(Typed::Judgement(Given { cant_tell: true, ..Given::default() })),
        _ => {}
    }
    if let Some(comment) = line.strip_prefix("c ") {
        return Ok(Typed::Comment(comment.trim().to_owned()));
    }
    let given = if scores {
        Given { scores: Some(scores_in(line, k)?), ..Given::default() }
    } else {
        Given { order: Some(order_in(line, k)?), ..Given::default() }
    };
    Ok(Typed::Judgement(given))
}

fn scores_in(line: &str, k: usize) -> Result<Vec<u8>, String> {
    let digits: Vec<char> = line.chars().filter(|c| !c.is_whitespace() && *c != ',').collect();
    let scores: Option<Vec<u8>> = digits
        .iter()
        .map(|c| c.to_digit(10).and_then(|d| u8::try_from(d).ok()).filter(|d| (1..=7).contains(d)))
        .collect();
    match scores {
        Some(scores) if scores.len() == k => Ok(scores),
        Some(scores) => Err(format!("{} scores for {k} answers", scores.len())),
        None => Err("scores go from 1 to 7; ? for help".to_owned()),
    }
}

fn order_in(line: &str, k: usize) -> Result<Vec<Vec<usize>>, String> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut level = false;
    for c in line.chars().filter(|c| !c.is_whitespace() && !matches!(c, '>' | ',')) {
        match c.to_digit(10).map(|digit| digit as usize) {
            Some(number @ 1..) if number <= k => {
                if groups.iter().flatten().any(|other| *other == number - 1) {
                    return Err(format!("answer {number} stands there twice"));
                }
                match groups.last_mut().filter(|_| level) {
                    Some(group) => group.push(number - 1),
                    None => groups.push(vec![number - 1]),
                }
                level = false;
            }
            Some(number) => return Err(format!("there is no answer {number}, they go from 1 to {k}")),
            None if c == '=' && !groups.is_empty() && !level => level = true,
            None => return Err(format!("`{c}` is nothing that an order has; ? for help")),
        }
    }
    if level {
        return Err("nothing stands behind the last =".to_owned());
    }
    match (0..k).find(|i| !groups.iter().flatten().any(|other| other == i)) {
        Some(missing) => Err(format!("answer {} has no place", missing + 1)),
        None => Ok(groups),
    }
}

#[cfg(test)]
mod tests {
    use super::super::session::{Said, Shown};
    use super::*;

    fn order(line: &str, k: usize) -> Result<Vec<Vec<usize>>, String> {
        typed(line, k, false).map(|typed| match typed {
            Typed::Judgement(given) => given.order.unwrap(),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn an_order_is_read_in_several_ways_of_writing() {
        for line in ["2 1 3", "213", "2>1>3", "2, 1, 3", " 2 > 1 3 "] {
            assert_eq!(order(line, 3).unwrap(), [vec![1], vec![0], vec![2]], "{line}");
        }
        assert_eq!(order("3=1=2", 3).unwrap(), [vec![2, 0, 1]]);
        assert_eq!(order("3 1=2", 3).unwrap(), [vec![2], vec![0, 1]]);
    }

    #[test]
    fn what_is_no_order_is_said() {
        let said =
            ["4 1 2 3", "1 2", "1 1 2", "1 2 3=", "=1 2 3", "1 == 2 3", "1 x"].map(|line| order(line, 3).unwrap_err());
        insta::assert_snapshot!(said.join("\n"), @r"
        there is no answer 4, they go from 1 to 3
        answer 3 has no place
        answer 1 stands there twice
        nothing stands behind the last =
        `=` is nothing that an order has; ? for help
        `=` is nothing that an order has; ? for help
        `x` is nothing that an order has; ? for help
        ");
        assert_eq!(typed("1 2", 3, true).unwrap_err(), "2 scores for 3 answers");
        assert_eq!(typed("1 2 8", 3, true).unwrap_err(), "scores go from 1 to 7; ? for help");
    }

    #[test]
    fn commands_are_read() {
        assert_eq!(typed(" u ", 2, false), Ok(Typed::Undo));
        assert_eq!(typed("c  both wrong ", 2, true), Ok(Typed::Comment("both wrong".into())));
        assert_eq!(typed("", 2, true), Ok(Typed::Nothing));
        assert!(matches!(typed("0", 2, true), Ok(Typed::Judgement(Given { cant_tell: true, scores: None, .. }))));
    }

    #[test]
    fn texts_cannot_drive_the_terminal() {
        let said = |role: &str, text: &str| Said { role: role.into(), text: text.into() };
        let item = Shown {
            item: 0,
            axis: Some("honest".into()),
            before: vec![],
            prompt: vec![said("user", "Q \x1b[31m")],
            answers: vec!["a\x1b]0;pwned\x07\nb".into(), " \n".into(), "\u{202e}evil".into()],
            former: None,
        };
        let view = View { rater: "ann".into(), done: 3, total: 40, can_undo: true, scores: false, item: Some(item) };
        insta::assert_snapshot!(shown(&view), @r"
        ── 4 of 40 · honest ──
        user:
        Q �[31m

        [1] a�]0;pwned�
            b

        [2] (an empty answer)

        [3] �evil
        ");
    }
}
