//! Jinja and Nunjucks as Tera: the expressions that the two families write differently.
//!
//! The translation may fail, and is never trusted: [`says_the_same`] compares it with the original, case by case.

use crate::prompt::{Controls, ExampleOrder, PromptTemplate, Renderer};
use crate::suite::{Case, ExampleChoice, PromptFile, Select, Vars};
use std::collections::BTreeMap;

/// Other names for variables.
pub(super) type Names = BTreeMap<String, String>;

/// Filters: the name there, the name in Tera, and what Tera calls the arguments.
const FILTERS: [(&str, &str, &[&str]); 12] = [
    ("default", "default", &["value"]),
    ("d", "default", &["value"]),
    ("join", "join", &["sep"]),
    ("replace", "replace", &["from", "to"]),
    ("truncate", "truncate", &["length"]),
    ("round", "round", &["precision"]),
    ("split", "split", &["pat"]),
    ("dump", "json_encode", &[]),
    ("tojson", "json_encode", &[]),
    ("string", "str", &[]),
    ("count", "length", &[]),
    ("safe", "safe", &[]),
];

/// Python's methods that are filters in Tera.
const METHODS: [(&str, &str, &[&str]); 7] = [
    ("strip", "trim", &[]),
    ("lstrip", "trim_start", &[]),
    ("rstrip", "trim_end", &[]),
    ("lower", "lower", &[]),
    ("upper", "upper", &[]),
    ("title", "title", &[]),
    ("replace", "replace", &["from", "to"]),
];

/// A template in Tera, its variables renamed.
pub(super) fn to_tera(source: &str, names: &Names) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = next_tag(rest) {
        let (text, tag) = rest.split_at(at);
        out += text;
        let length = tag_length(tag);
        let (tag, behind) = tag.split_at(length);
        rest = behind;
        // A comment, or what no tag ends: neither is an expression.
        let parts = [("{{", "}}"), ("{%", "%}")]
            .into_iter()
            .find_map(|(open, close)| Some((open, tag.strip_prefix(open)?.strip_suffix(close)?, close)));
        let Some((open, inside, close)) = parts else {
            out += tag;
            continue;
        };
        if inside.trim_matches(|c: char| c == '-' || c.is_whitespace()) == "raw" {
            let end =
                rest.find("endraw").and_then(|at| Some(at + rest.get(at..)?.find("%}")? + 2)).unwrap_or(rest.len());
            out += tag;
            out += &rest[..end];
            rest = &rest[end..];
            continue;
        }
        out += open;
        out += &expression(inside, names);
        out += close;
    }
    out + rest
}

/// The name of a column or a variable of the source as a variable here: prompts know something else by three names.
pub(super) fn variable_name(name: &str) -> String {
    if matches!(name, "target" | "examples" | "completion") { format!("{name}_") } else { name.to_owned() }
}

/// A text that Tera prints as it stands.
pub(super) fn literal(text: &str) -> String {
    if next_tag(text).is_none() { text.to_owned() } else { format!("{{% raw %}}{text}{{% endraw %}}") }
}

/// Whether a prompt of ours says for each case what is wanted, to the letter.
pub(super) fn says_the_same(text: &str, cases: &[Case], wanted: &[String]) -> bool {
    let file = PromptFile { path: "prompt.txt".into(), text: text.to_owned() };
    let (Ok(template), Ok(controls)) = (PromptTemplate::compile(&file), Controls::new(&[])) else { return false };
    let Ok(renderer) = Renderer::new(&template, &controls, None) else { return false };
    let same = |(case, wanted): (&Case, &String)| renderer.render(case).is_ok_and(|prompt| prompt.text == *wanted);
    cases.len() == wanted.len() && cases.iter().zip(wanted).all(same)
}

/// Whether a block that shows one example, called `e`, says for each of them what is wanted, to the letter.
pub(super) fn shows_the_same(block: &str, examples: &[Case], wanted: &[String]) -> bool {
    let text = format!("{{% for e in examples %}}{block}{{% endfor %}}");
    let file = PromptFile { path: "prompt.txt".into(), text };
    let (Ok(template), Ok(controls)) = (PromptTemplate::compile(&file), Controls::new(&[])) else { return false };
    // Nobody is asked anything: the prompt is what is shown.
    let asked = Case { id: String::new(), vars: Vars::new(), target: None, tags: Vec::new(), probe: None };
    let choice = ExampleChoice { count: 1, select: Select::First, seed: 0 };
    let same = |(example, wanted): (&Case, &String)| {
        let order = ExampleOrder::new(&choice, std::slice::from_ref(example), 0);
        let renderer = Renderer::new(&template, &controls, None).and_then(|renderer| renderer.with_examples(order));
        renderer.and_then(|renderer| renderer.render(&asked)).is_ok_and(|prompt| prompt.text == *wanted)
    };
    examples.len() == wanted.len() && examples.iter().zip(wanted).all(same)
}

fn next_tag(text: &str) -> Option<usize> {
    ["{{", "{%", "{#"].iter().filter_map(|open| text.find(open)).min()
}

/// How many bytes a tag takes, whose end is not looked for inside of texts.
fn tag_length(tag: &str) -> usize {
    let close = match tag.get(..2) {
        Some("{{") => "}}",
        Some("{%") => "%}",
        _ => return tag.find("#}").map_or(tag.len(), |at| at + 2),
    };
    let mut quote = None;
    for (at, c) in tag.char_indices().skip(2) {
        match quote {
            Some(q) => quote = Some(q).filter(|q| *q != c),
            None if c == '\'' || c == '"' => quote = Some(c),
            None if tag[at..].starts_with(close) => return at + 2,
            None => {}
        }
    }
    tag.len()
}

/// The pieces of an expression.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Piece<'a> {
    Word(&'a str),
    /// A text in quotes, or anything else, as it stands.
    Other(&'a str),
}

fn pieces(inside: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut rest = inside;
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let length = if first.is_alphabetic() || first == '_' {
            rest.find(|c| !word(c)).unwrap_or(rest.len())
        } else if first == '\'' || first == '"' {
            rest.get(1..).and_then(|text| text.find(first)).map_or(rest.len(), |at| at + 2)
        } else if first.is_ascii_digit() {
            rest.find(|c| !word(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (piece, behind) = rest.split_at(length);
        let is_word = first.is_alphabetic() || first == '_';
        found.push(if is_word { Piece::Word(piece) } else { Piece::Other(piece) });
        rest = behind;
    }
    found
}

fn expression(inside: &str, names: &Names) -> String {
    let pieces = pieces(inside);
    let mut out = String::new();
    let mut at = 0;
    // How deep in round brackets, where `name=` names an argument.
    let mut depth = 0_usize;
    while let Some(piece) = pieces.get(at) {
        at += 1;
        let word = match piece {
            Piece::Other(text) => {
                match *text {
                    "(" => depth += 1,
                    ")" => depth = depth.saturating_sub(1),
                    _ => {}
                }
                out += text;
                continue;
            }
            Piece::Word(word) => *word,
        };
        let before = out.trim_end().chars().next_back();
        let next = pieces[at..].iter().find(|piece| !matches!(piece, Piece::Other(" ")));
        let known = match before {
            Some('|') => FILTERS.iter().find(|(name, ..)| *name == word),
            Some('.') if next == Some(&Piece::Other("(")) => METHODS.iter().find(|(name, ..)| *name == word),
            _ => None,
        };
        if let Some((_, name, arguments)) = known {
            if before == Some('.') {
                out.truncate(out.trim_end().len() - 1);
                out += " | ";
            }
            out += name;
            let (given, length) = arguments_of(&pieces[at..]);
            at += length;
            out += &named(&given, arguments, names);
            continue;
        }
        let names_an_argument = depth > 0
            && next == Some(&Piece::Other("="))
            && !pieces[at..].windows(2).next().is_some_and(|pair| pair == [Piece::Other("="), Piece::Other("=")]);
        let is_variable = !matches!(before, Some('.' | '|')) && !names_an_argument;
        out += names.get(word).filter(|_| is_variable).map_or(word, String::as_str);
    }
    out
}

/// The arguments in brackets that follow, as text, and how many pieces they take with their brackets.
fn arguments_of(pieces: &[Piece<'_>]) -> (Vec<String>, usize) {
    let text = |piece: &Piece<'_>| match piece {
        Piece::Word(text) | Piece::Other(text) => (*text).to_owned(),
    };
    if pieces.first() != Some(&Piece::Other("(")) {
        return (Vec::new(), 0);
    }
    let (mut depth, mut arguments) = (0_usize, vec![String::new()]);
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Other("(" | "[" | "{") => depth += 1,
            Piece::Other(")" | "]" | "}") => depth = depth.saturating_sub(1),
            _ => {}
        }
        match (depth, piece) {
            (0, _) => return (arguments.into_iter().filter(|text| !text.trim().is_empty()).collect(), at + 1),
            (1, Piece::Other(",")) => arguments.push(String::new()),
            _ if at > 0 => arguments.iter_mut().next_back().into_iter().for_each(|last| *last += &text(piece)),
            _ => {}
        }
    }
    (Vec::new(), 0)
}

/// Arguments with the names that Tera wants; those beyond are dropped, and a comparison will tell.
fn named(given: &[String], arguments: &[&str], names: &Names) -> String {
    let pairs: Vec<String> =
        given.iter().zip(arguments).map(|(text, name)| format!("{name}={}", expression(text.trim(), names))).collect();
    if pairs.is_empty() { String::new() } else { format!("({})", pairs.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tera(source: &str) -> String {
        let names = Names::from([("q".to_owned(), "e.q".to_owned())]);
        to_tera(source, &names)
    }

    #[test]
    fn filters_methods_and_names_become_teras() {
        for (jinja, wanted) in [
            ("Q: {{q}} {{ a.q }} {{ 'q' }}", "Q: {{e.q}} {{ a.q }} {{ 'q' }}"),
            ("{{ q | default('no, (none)') | upper }}", "{{ e.q | default(value='no, (none)') | upper }}"),
            ("{{ q.strip().replace('a', 'b') }}", "{{ e.q | trim | replace(from='a', to='b') }}"),
            ("{{ list | join(', ') }}{{ m|dump }}", "{{ list | join(sep=', ') }}{{ m|json_encode }}"),
            ("{% for x in q %}{{ loop.index }}{% endfor %}", "{% for x in e.q %}{{ loop.index }}{% endfor %}"),
            ("{# q #}{% raw %}{{ q }}{% endraw %}{{ '}}' }}{{qé", "{# q #}{% raw %}{{ q }}{% endraw %}{{ '}}' }}{{qé"),
            ("{% if q == 'x' %}é{% endif %}", "{% if e.q == 'x' %}é{% endif %}"),
        ] {
            assert_eq!(tera(jinja), wanted);
        }
    }

    #[test]
    fn a_text_with_tags_is_printed_as_it_stands() {
        let case = [Case::new("1", [("a", "b")], None)];
        for text in ["plain", "{{ a }} and {% x"] {
            assert!(says_the_same(&literal(text), &case, &[text.to_owned()]), "{text}");
        }
    }

    #[test]
    fn a_block_is_shown_with_the_variables_of_its_example() {
        let examples = [Case::new("1", [("q", "b")], Some("x")), Case::new("2", [("q", "c")], None)];
        let wanted = ["b!".to_owned(), "c!".to_owned()];
        assert!(shows_the_same("{{ e.q }}!", &examples, &wanted));
        for block in ["{{ q }}!", "{{ e.q }}?", "b!", "{% for e in ['b'] %}{{ e.q }}!{% endfor %}", "{{ e.q"] {
            assert!(!shows_the_same(block, &examples, &wanted), "{block}");
        }
    }

    #[test]
    fn a_translation_that_says_something_else_is_caught() {
        let cases = [Case::new("1", [("a", "b")], None), Case::new("2", [("a", "c")], None)];
        let wanted = ["b!".to_owned(), "c!".to_owned()];
        assert!(says_the_same("{{ a }}!", &cases, &wanted));
        assert!(!says_the_same("{{ a }}?", &cases, &wanted));
        assert!(!says_the_same("b!", &cases, &wanted), "right for the first case alone");
        assert!(!says_the_same("{{ gone }}", &cases, &wanted) && !says_the_same("{{ a", &cases, &wanted));
    }
}
