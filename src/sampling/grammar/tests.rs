use super::check_grammar;
use proptest::prelude::*;

/// The problems of a grammar, one a line: `line:column message | help`.
fn problems(text: &str) -> String {
    let line = |p: super::GrammarProblem| format!("{}:{} {} | {}\n", p.line, p.column, p.message, p.help);
    check_grammar(text).into_iter().map(line).collect()
}

/// `json.gbnf` of llama.cpp.
const JSON: &str = r#"root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null")

object ::=
  "{" (
            string ":" value
    ("," string ":" value)*
  )? "}" 

array  ::=
  "[" (
            value
    ("," value)*
  )? "]" 

string ::=
  "\"" (
    [^"\\] |
    "\\" (["\\/bfnrt] | "u" [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F]) # escapes
  )* "\""

number ::= ("-"? ([0-9] | [1-9] [0-9]*)) ("." [0-9]+)? ([eE] [-+]? [0-9]+)?
"#;

/// `chess.gbnf`, with its comments, and `list.gbnf`.
const CHESS: &str = r#"# Specifies chess moves as a list in algebraic notation, using PGN conventions

root    ::= "1. " move " " move "\n" ([1-9] [0-9]? ". " move " " move "\n")+
move    ::= (pawn | nonpawn | castle) [+#]?

# piece type, optional file/rank, optional capture, dest file & rank
nonpawn ::= [NBKQR] [a-h]? [1-8]? "x"? [a-h] [1-8]
pawn    ::= ([a-h] "x")? [a-h] [1-8] ("=" [NBKQR])?
castle  ::= "O-O" "-O"?
"#;
const LIST: &str = "root ::= item*\n\n# comment\nitem ::= \"- \" [^\\r\\n\\x0b\\x0c\\x85\\u2028\\u2029]+ \"\\n\"";

#[test]
fn what_llama_cpp_takes_is_taken() {
    for text in [
        JSON,
        CHESS,
        LIST,
        "root ::= \"yes\"",
        "root ::= # the answer\r\n  \"a\"{2} \"b\"{2,} \"c\"{0,3} \"d\" { 1 , 2 }\r\n",
        "root ::= <think> .* </think> !<[12]>+ <[4294967295]>",
        "root ::= (\n  \"a\" |\n  other\n)\nother ::= [^\\]a-c-] [-+] \"\\x41\\u00e9\\U0001f600\\\"\\\\\"",
        "root ::= \"a line\nbreak\" |\n \"\"",
        "root ::= word*\nword ::= [a-z]* |\n",
        "root ::= ws* \"a\" (ws | \"b\")*\nws ::= [ \\n]*",
        "root ::= [ぁ-ゟ]+",
    ] {
        assert_eq!(problems(text), "", "{text}");
    }
}

#[test]
fn syntax_errors_have_a_place_and_a_guess_at_what_was_meant() {
    insta::assert_snapshot!(problems("root ::= my_rule"), @"");
    insta::assert_snapshot!(problems("root ::= 'a'"), @"");
    insta::assert_snapshot!(problems("root ::= \"a\"\n  | \"b\""), @"");
    insta::assert_snapshot!(problems("root = \"a\""), @"");
    insta::assert_snapshot!(problems("root ::= \"a"), @"");
    insta::assert_snapshot!(problems("root ::= (\"a\""), @"");
    insta::assert_snapshot!(problems("root ::= [a-"), @"");
    insta::assert_snapshot!(problems("root ::= <think"), @"");
    insta::assert_snapshot!(problems("root ::= \"\\d\""), @"");
    insta::assert_snapshot!(problems("root ::= \"\\u00g0\""), @"");
    insta::assert_snapshot!(problems("root ::= *"), @"");
    insta::assert_snapshot!(problems("root ::= \"a\"{,3}"), @"");
    insta::assert_snapshot!(problems("root ::= \"a\"{3,1}"), @"");
    insta::assert_snapshot!(problems("root ::= \"a\"{2001}"), @"");
    insta::assert_snapshot!(problems("root ::= <[4294967296]>"), @"");
    insta::assert_snapshot!(problems("root ::= \"a\0\""), @"");
}

#[test]
fn rules_that_are_missing_or_there_twice_are_all_named() {
    insta::assert_snapshot!(problems("root ::= digit lettr\ndigit ::= [0-9]\nletter ::= [a-z] ditig\ndigit ::= \"x\""), @"");
    insta::assert_snapshot!(problems("rot ::= \"a\""), @"");
    insta::assert_snapshot!(problems("# nothing\n"), @"");
}

#[test]
fn a_class_that_holds_no_character_is_a_problem() {
    insta::assert_snapshot!(problems("root ::= [] [^] [z-a] [\\x00] [^\\x00-\\U0010ffff] [^a-z] [^\\x01-\\ud7ff]"), @"");
}

#[test]
fn left_recursion_is_named_at_its_rule() {
    insta::assert_snapshot!(problems("root ::= expr\nexpr ::= expr \"+\" term | term\nterm ::= [0-9]"), @"");
    insta::assert_snapshot!(problems("root ::= a\na ::= b? c\nb ::= \"b\"\nc ::= a \"c\" | \"d\""), @"");
    insta::assert_snapshot!(problems("root ::= (\"a\"?)* \"a\"**"), @"");
    // llama.cpp does not see that `a` may be empty here, and would fill the memory with stacks.
    insta::assert_snapshot!(problems("root ::= a root \"z\" | \"x\"\na ::= b\nb ::= \"b\" |\n"), @"");
}

#[test]
fn a_grammar_that_admits_nothing_is_refused() {
    insta::assert_snapshot!(problems("root ::= \"a\" root"), @"");
    insta::assert_snapshot!(problems("root ::= \"x\" | \"a\" loop\nloop ::= \"b\" (loop | other)\nother ::= \"c\" loop"), @"");
    insta::assert_snapshot!(problems("root ::= \"\" none?\nnone ::= \"\""), @"");
}

#[test]
fn hostile_grammars_are_refused_quickly() {
    let deep = format!("root ::= {}\"a\"{}", "(".repeat(100_000), ")".repeat(100_000));
    insta::assert_snapshot!(problems(&deep), @"");
    let ways: String = (0..40).map(|i| format!("a{i} ::= a{0} \"x\" | a{0} \"y\"\n", i + 1)).collect();
    insta::assert_snapshot!(problems(&format!("root ::= a0\n{ways}a40 ::= \"z\"")), @"");
    let chain: String = (0..100_000).map(|i| format!("a{i} ::= a{}\n", i + 1)).collect();
    insta::assert_snapshot!(problems(&format!("root ::= a0\n{chain}a100000 ::= \"z\"")), @"");
    let loops: String = (0..50_000).map(|i| format!("a{i} ::= \"x\" a{}\n", i + 1)).collect();
    assert_eq!(problems(&format!("root ::= a0\n{loops}a50000 ::= \"x\" a0")).lines().count(), 50);
    insta::assert_snapshot!(problems(&format!("root ::= {}", "\"abc\"{2000} ".repeat(10_000))), @"");
    insta::assert_snapshot!(problems("root ::= ((\"a\"? \"b\"){0,50}){0,50}"), @"");
    assert_eq!(problems("root ::= ((\"a\"{2000}){2000} \"b\"){2000}"), "");
}

/// Pieces that grammars are made of, in any order.
fn jumble() -> impl Strategy<Value = String> {
    let pieces =
        ["root ", "a ", "b-1 ", "::= ", "| ", "\"x\" ", "\"\" ", "[a-z] ", "[^ ", "] ", "( ", ") ", "* ", "+ ", "? "];
    let more =
        ["{2} ", "{0,3} ", "{1,} ", "{ ", "\n", "\r\n", "# c\n", "<t> ", "!<[1]> ", ". ", "\\", "\"", "_", "é", "\\x4"];
    let piece = proptest::sample::select([pieces.as_slice(), more.as_slice()].concat());
    proptest::collection::vec(piece, 0..40).prop_map(|all| all.concat())
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
        check_grammar(&text);
        check_grammar(&format!("root ::= {text}"));
    }

    #[test]
    fn every_problem_lies_inside_the_grammar(text in jumble()) {
        let text = format!("root ::= {text}");
        for problem in check_grammar(&text) {
            let lines: Vec<&str> = text.split('\n').collect();
            prop_assert!(problem.line <= lines.len());
            if problem.line > 0 {
                prop_assert!((1..=lines[problem.line - 1].chars().count() + 1).contains(&problem.column));
            }
        }
    }
}
