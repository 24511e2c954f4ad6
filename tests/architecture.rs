//! The agreement about rooms, held by tests: who may import whom, which crate and what unsafe code lives where, how
//! long files and functions may grow, what modules may be called, and that lib.rs is the tour in the agreed order.
//!
//! Every rule is a pure function from [`Source`]s to complaints (`file:line: rule`), and each has a twin that breaks
//! the rule on purpose and must be caught. Rules read tokens, so comments and texts never count. Imports and sealed
//! crates of test code are free. Not seen: paths that macros build, and what a room re-exports of another.

mod source;

use source::{ELEMENT, ITEM, Source, Token, end, mark_tests, read, shipped, tokens};
use std::path::Path;

/// The rooms in the order the data flows, and what each may use; `*` is everything but `cli`.
const ROOMS: [(&str, &str); 22] = [
    ("error", ""),
    ("seed", ""),
    ("sampling", "error"),
    ("gguf", "error"),
    ("suite", "error seed sampling"),
    ("prompt", "error seed suite"),
    ("engine", "error seed sampling gguf"),
    ("score", "error suite prompt engine"),
    ("stats", "error seed score"),
    ("store", "error suite prompt engine score"),
    ("run", "error seed sampling suite prompt engine score store"),
    ("summary", "error seed suite score stats store"),
    ("gate", "error seed suite stats store summary"),
    ("report", "error suite store stats summary gate"),
    ("ggml", "error gguf"),
    ("model", "error seed ggml gguf"),
    ("train", "error seed sampling gguf suite prompt engine score stats store run summary ggml model"),
    ("repair", "error seed sampling gguf suite prompt engine score stats store run summary gate ggml model train"),
    ("rank", "error seed suite store stats summary"),
    ("hub", "error gguf"),
    ("import", "error sampling suite prompt gguf"),
    ("cli", "*"),
];

/// Crates that are known in few places, as module paths without `.rs`.
const SEALS: [(&str, &str); 15] = [
    ("llama_cpp_2", "src/engine/llama"),
    ("llama_cpp_sys_2", "src/ggml"),
    ("tera", "src/prompt src/suite/generate"),
    ("minijinja", "src/prompt"),
    ("minijinja_contrib", "src/prompt"),
    ("clap", "src/cli src/main"),
    ("clap_complete", "src/cli"),
    ("rustyline", "src/cli/chat"),
    ("rusqlite", "src/engine/cache"),
    ("comfy_table", "src/report"),
    ("reqwest", "src/engine/endpoint src/hub"),
    ("rustls", "src/engine/endpoint src/hub"),
    ("axum", "src/rank/page"),
    ("tokio", "src/rank/page src/engine/endpoint src/hub"),
    ("getrandom", "src/rank/page"),
];

/// The only homes of unsafe code.
const UNSAFE: &str = "src/ggml src/engine/llama";
/// Names that say nothing about what a module is for.
const NAMES: [&str; 6] = ["util", "utils", "common", "helper", "helpers", "manager"];
/// Most lines of a file, tests included; of main.rs; and of a function that is no test.
const MOST_LINES: [usize; 3] = [600, 59, 60];

/// What a path names at the crate's root, `up` modules above the token `at`: the `a` and `b` of `crate::{a::x, b}`.
fn names_at_root<'a>(tokens: &[Token<'a>], at: usize, up: usize, found: &mut Vec<Token<'a>>) {
    let Some(token) = tokens.get(at) else { return };
    if token.text == "{" {
        let mut element = at + 1;
        while tokens.get(element).is_some_and(|t| t.text != "}") {
            names_at_root(tokens, element, up, found);
            element = end(tokens, element, &ELEMENT);
        }
    } else if up == 0 {
        found.push(*token);
    } else if token.text == "super" {
        names_at_root(tokens, at + 2, up - 1, found);
    }
}

/// What a file uses of the crate's root, by `crate::`, `tripos::`, or `super::` often enough.
fn uses(source: &Source) -> Vec<Token<'_>> {
    let (tokens, mut found) = (shipped(source), Vec::new());
    // The ends of the inline modules around a token: each is one `super` more.
    let mut inside: Vec<usize> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        inside.retain(|end| at < *end);
        let next = |ahead: usize| tokens.get(at + ahead).map_or("", |t| t.text);
        match token.text {
            "mod" if next(2) == "{" => inside.push(end(&tokens, at, &ITEM)),
            "crate" | "tripos" if next(1) == "::" => names_at_root(&tokens, at + 2, 0, &mut found),
            "super" if next(1) == "::" && (at == 0 || tokens[at - 1].text != "::") => {
                names_at_root(&tokens, at, source.modules().len() + inside.len(), &mut found);
            }
            _ => {}
        }
    }
    found
}

/// Rooms use only the rooms that the table gives them; main may use all.
fn imports(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let room = source.modules().first().copied().unwrap_or_default();
        let may = ROOMS.iter().find(|(name, _)| *name == room).map_or("", |(_, may)| may);
        for used in uses(source) {
            let allowed = match used.text {
                name if source.path == "src/main.rs" => ROOMS.iter().any(|(room, _)| *room == name),
                name if name == room => true,
                "cli" => false,
                name if may == "*" => ROOMS.iter().any(|(room, _)| *room == name),
                name => may.split(' ').any(|room| room == name),
            };
            if !allowed {
                let room = if room.is_empty() { &source.path } else { room };
                let rule = format!("`{room}` may not use `{}` (only: {may})", used.text);
                complaints.push(source.complain(used.line, &rule));
            }
        }
    }
    complaints
}

/// Sealed crates are used in their homes only.
fn seals(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let tokens = shipped(source);
        for (at, token) in tokens.iter().enumerate() {
            let is_path = tokens.get(at + 1).is_some_and(|next| next.text == "::")
                || at > 0 && matches!(tokens[at - 1].text, "use" | "crate");
            let seal = SEALS.iter().find(|(name, _)| *name == token.text);
            if let Some((name, homes)) = seal.filter(|(_, homes)| is_path && !source.is_in(homes)) {
                complaints.push(source.complain(token.line, &format!("`{name}` belongs in {homes} only")));
            }
        }
    }
    complaints
}

/// Unsafe code, test code included, stays in its homes.
fn unsafe_code(sources: &[Source]) -> Vec<String> {
    let elsewhere = sources.iter().filter(|source| !source.is_in(UNSAFE));
    elsewhere
        .flat_map(|source| {
            let found = tokens(&source.text).into_iter().filter(|token| token.text == "unsafe");
            found.map(|token| source.complain(token.line, &format!("`unsafe` belongs in {UNSAFE} only")))
        })
        .collect()
}

/// Files and functions stay short enough to read.
fn sizes(sources: &[Source]) -> Vec<String> {
    let [most_of_file, most_of_main, most_of_function] = MOST_LINES;
    let mut complaints = Vec::new();
    for source in sources {
        let (lines, most) =
            (source.text.lines().count(), if source.path == "src/main.rs" { most_of_main } else { most_of_file });
        if lines > most {
            complaints.push(source.complain(lines, &format!("a file of {lines} lines, at most {most}")));
        }
        let tokens = shipped(source);
        for (at, pair) in tokens.windows(2).enumerate().filter(|(_, pair)| pair[0].text == "fn") {
            let (first, name) = (pair[0].line, pair[1].text);
            let lines = tokens[end(&tokens, at, &ITEM) - 1].line + 1 - first;
            // `fn(` is a type.
            if name != "(" && lines > most_of_function {
                let rule = format!("function `{name}` of {lines} lines, at most {most_of_function}");
                complaints.push(source.complain(first, &rule));
            }
        }
    }
    complaints
}

/// Modules are called after what they do.
fn names(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let path = source.modules().into_iter().map(|name| Token { line: 1, text: name });
        let tokens = tokens(&source.text);
        let inline = tokens.windows(2).filter(|pair| pair[0].text == "mod").map(|pair| pair[1]);
        for name in path.chain(inline).filter(|name| NAMES.contains(&name.text)) {
            complaints.push(source.complain(name.line, &format!("`{}` says nothing about what is in it", name.text)));
        }
    }
    complaints
}

/// lib.rs lists every room that there is, each of them agreed, in the order the data flows.
fn tour(sources: &[Source]) -> Vec<String> {
    let Some(lib) = sources.iter().find(|source| source.path == "src/lib.rs") else {
        return vec!["src/lib.rs:1: there is no lib.rs".to_owned()];
    };
    let tokens = shipped(lib);
    let rank = |name: &str| ROOMS.iter().position(|(room, _)| *room == name);
    let modules = tokens.windows(2).filter(|pair| pair[0].text == "mod").map(|pair| pair[1]);
    let (listed, unknown): (Vec<Token>, Vec<Token>) = modules.partition(|module| rank(module.text).is_some());
    let strange = |module: &Token| lib.complain(module.line, &format!("`{}` is no room of the agreement", module.text));
    let mut complaints: Vec<String> = unknown.iter().map(strange).collect();
    for pair in listed.windows(2).filter(|pair| rank(pair[0].text) > rank(pair[1].text)) {
        complaints.push(lib.complain(pair[1].line, &format!("`{}` comes before `{}`", pair[1].text, pair[0].text)));
    }
    let mut rooms: Vec<&str> = sources.iter().filter_map(|source| source.modules().first().copied()).collect();
    rooms.dedup();
    for room in rooms.into_iter().filter(|room| listed.iter().all(|token| token.text != *room)) {
        complaints.push(lib.complain(1, &format!("`{room}` is not listed")));
    }
    complaints
}

/// Holds a rule against folders of this repository.
fn holds(rule: fn(&[Source]) -> Vec<String>, folders: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let present = folders.iter().filter(|folder| root.join(folder).is_dir());
    let sources = present.flat_map(|folder| read(root, folder).expect("the folder can be read"));
    let sources = mark_tests(sources.collect());
    assert!(sources.iter().any(|source| source.path == "src/main.rs"), "the rules see the sources");
    let complaints = rule(&sources);
    assert!(complaints.is_empty(), "{} against design.md, section 2:\n{}", complaints.len(), complaints.join("\n"));
}

/// A made-up file.
fn file(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned(), only_tests: false }
}

/// What a rule says of one made-up file.
fn said(rule: fn(&[Source]) -> Vec<String>, path: &str, text: &str) -> Vec<String> {
    rule(&[file(path, text)])
}

#[test]
fn rooms_use_only_what_the_table_gives_them() {
    holds(imports, &["src"]);
}

#[test]
fn an_import_against_the_table_is_caught() {
    for (path, text) in [
        ("src/stats/mean.rs", "use crate::report::Table;"),
        ("src/stats/mean.rs", "use crate::{error::Place, report::{Table, Row}};"),
        ("src/stats/mean.rs", "use crate::{report::{Table, Row}, error::Place};"),
        ("src/stats/mean.rs", "fn f() -> crate::report::Table { todo!() }"),
        ("src/stats/mean.rs", "use super::super::report;"),
        ("src/stats/mean.rs", "use super::{Metric, super::report::Table};"),
        ("src/stats/mod.rs", "use super::report;"),
        ("src/stats/mod.rs", "mod inner { use super::super::report; }"),
        ("src/stats/mod.rs", "use tripos::report;"),
        ("src/stats/mod.rs", "#[cfg(test)] use crate::run;\nuse crate::report;"),
        ("src/stats/mod.rs", "#[cfg(test)]\nmod tests { fn f() {} }\nuse crate::report;"),
        ("src/stats/mod.rs", "use crate::*;"),
        ("src/stats/mod.rs", "use crate::no_such_room;"),
        ("src/stats/mod.rs", "const A: &str = r#\"\"#; const B: char = '\"'; use crate::report;"),
        ("src/seed.rs", "use crate::error;"),
        ("src/report/json.rs", "use crate::cli;"),
        ("src/lib.rs", "pub use crate::error::Place;"),
        ("src/main.rs", "use crate::error_of_mine;"),
    ] {
        assert_eq!(said(imports, path, text).len(), 1, "{path}: {text}");
    }
    assert_eq!(
        said(imports, "src/rank/pairs.rs", "\n\nuse crate::{\n    error::Place,\n    engine::Engine,\n};"),
        ["src/rank/pairs.rs:5: `rank` may not use `engine` (only: error seed suite store stats summary)"]
    );
}

#[test]
fn an_import_by_the_table_is_no_offence() {
    for (path, text) in [
        ("src/stats/mean.rs", "use crate::{error::Place, score::Score, seed, stats::Metric};"),
        ("src/stats/mean.rs", "use super::report; mod inner { use super::super::report; }"),
        ("src/stats/mod.rs", "//! [`crate::report`]\n/* crate::report /* nested */ crate::run */ pub(crate) struct A;"),
        (
            "src/stats/mod.rs",
            "const A: &str = \"crate::report \\\" crate::run\"; const B: &[u8] = br#\"\" crate::run\"#;",
        ),
        ("src/stats/mod.rs", "#[cfg(test)] use crate::run;\n#[cfg(test)]\nmod tests { use crate::report; }"),
        ("src/stats/mod.rs", "#[cfg(test)] fn f<A, B>(a: A) -> B { crate::report::f() }"),
        ("src/stats/mod.rs", "#[cfg(all(test, unix))] #[test] fn f<'a>(x: [&'a u8; 2]) { crate::report::f('}') }"),
        ("src/cli/run.rs", "use crate::{report, train, cli::Args};"),
        ("src/main.rs", "fn main() { tripos::cli::main() }"),
    ] {
        assert_eq!(said(imports, path, text), [""; 0], "{path}: {text}");
    }
}

#[test]
fn only_files_declared_as_tests_may_use_what_tests_may() {
    let of = |declaration: &str| {
        imports(&mark_tests(vec![
            file("src/stats/mod.rs", &format!("pub mod mean;\n{declaration}\npub mod wilson;")),
            file("src/stats/golden.rs", "use crate::report;"),
            file("src/stats/golden/table.rs", "use crate::report;"),
            file("src/stats/wilson.rs", "use crate::seed;"),
        ]))
        .len()
    };
    assert_eq!((of("#[cfg(test)]\nmod golden;"), of("#[cfg(test)] pub(crate) mod golden;")), (0, 0));
    assert_eq!((of("mod golden;"), of("#[cfg(test)] mod other;"), of("#[cfg(test)] use x;\nmod golden;")), (2, 2, 2));
}

#[test]
fn sealed_crates_stay_in_their_homes() {
    holds(seals, &["src"]);
}

#[test]
fn a_sealed_crate_elsewhere_is_caught() {
    for (name, homes) in SEALS {
        let text = format!("use {name}::A;");
        assert_eq!(said(seals, "src/run/mod.rs", &text).len(), 1, "{name}");
        assert_eq!(said(seals, "src/run/mod.rs", &format!("extern crate {name};")).len(), 1, "{name}");
        for home in homes.split(' ') {
            assert_eq!(said(seals, &format!("{home}.rs"), &text), [""; 0], "{name} in {home}");
            assert_eq!(said(seals, &format!("{home}/mod.rs"), &text), [""; 0], "{name} in {home}");
            assert_eq!(said(seals, &format!("{home}_of_mine.rs"), &text).len(), 1, "{name} beside {home}");
        }
    }
}

#[test]
fn unsafe_code_stays_in_its_homes() {
    holds(unsafe_code, &["src"]);
}

#[test]
fn unsafe_code_elsewhere_is_caught() {
    let text = "// no unsafe code\nfn f() { unsafe { g() } }";
    assert_eq!(
        said(unsafe_code, "src/gguf/mod.rs", text),
        ["src/gguf/mod.rs:2: `unsafe` belongs in src/ggml src/engine/llama only"]
    );
    assert_eq!(said(unsafe_code, "src/gguf/mod.rs", "#[cfg(test)] mod tests { unsafe fn f() {} }").len(), 1);
    assert_eq!(said(unsafe_code, "src/engine/llama/slot.rs", text), [""; 0]);
}

#[test]
fn files_and_functions_are_short_enough() {
    holds(sizes, &["src", "tests", "benches"]);
}

#[test]
fn a_long_file_or_function_is_caught() {
    let lines = |n: usize| "//\n".repeat(n);
    assert_eq!(said(sizes, "src/seed.rs", &lines(600)), [""; 0]);
    assert_eq!(said(sizes, "src/seed.rs", &lines(601)), ["src/seed.rs:601: a file of 601 lines, at most 600"]);
    assert_eq!(said(sizes, "src/main.rs", &lines(59)), [""; 0]);
    assert_eq!(said(sizes, "src/main.rs", &lines(60)).len(), 1);
    let function = |n: usize| format!("impl A {{\n    fn b<C, D>(x: [u8; 2]) -> fn(u8) {{\n{}    }}\n}}", lines(n));
    assert_eq!(said(sizes, "src/seed.rs", &function(58)), [""; 0]);
    assert_eq!(said(sizes, "src/seed.rs", &function(59)), ["src/seed.rs:2: function `b` of 61 lines, at most 60"]);
    assert_eq!(said(sizes, "src/seed.rs", &format!("trait A {{ fn b(); }}\n{}", lines(90))), [""; 0]);
}

#[test]
fn modules_are_called_after_what_they_do() {
    holds(names, &["src", "tests", "benches"]);
}

#[test]
fn a_name_that_says_nothing_is_caught() {
    for name in NAMES {
        assert_eq!(said(names, &format!("src/stats/{name}.rs"), "").len(), 1, "{name}");
        assert_eq!(said(names, &format!("src/{name}/mean.rs"), "").len(), 1, "{name}");
        assert_eq!(said(names, "src/stats/mean.rs", &format!("mod {name} {{}}")).len(), 1, "{name}");
    }
    assert_eq!(said(names, "src/stats/commonality.rs", "// mod util\nlet common = 1;"), [""; 0]);
}

#[test]
fn the_library_lists_its_rooms_in_the_order_of_the_data() {
    holds(tour, &["src"]);
}

#[test]
fn a_room_out_of_order_unlisted_or_unknown_is_caught() {
    let of = |lib: &str| tour(&[file("src/error.rs", ""), file("src/lib.rs", lib), file("src/seed.rs", "")]);
    assert_eq!(of("//! mod x\npub mod error;\npub mod seed;"), [""; 0]);
    assert_eq!(of("pub mod seed;\npub mod error;"), ["src/lib.rs:2: `error` comes before `seed`"]);
    assert_eq!(of("pub mod error;"), ["src/lib.rs:1: `seed` is not listed"]);
    assert_eq!(of("pub mod error;\npub mod seed;\nmod util;"), ["src/lib.rs:3: `util` is no room of the agreement"]);
    assert_eq!(said(tour, "src/error.rs", "").len(), 1);
}
