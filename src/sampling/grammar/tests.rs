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
        "root ::= ws* \"a\" (ws | \"b\")*\nws ::= [ \\n]*",
        "root ::= [ぁ-ゟ]+",
    ] {
        assert_eq!(problems(text), "", "{text}");
    }
}

#[test]
fn syntax_errors_have_a_place_and_a_guess_at_what_was_meant() {
    insta::assert_snapshot!(problems("root ::= my_rule"), @"1:12 expected the end of the line, found `_` | a rule's name is made of letters, digits and `-`");
    insta::assert_snapshot!(problems("root ::= 'a'"), @r#"1:10 expected the end of the line, found `'` | texts stand in "double quotes""#);
    insta::assert_snapshot!(problems("root ::= \"a\"\n  | \"b\""), @"2:3 expected the name of a rule, found `|` | an alternative on a line of its own stands inside ( ), or `|` ends the line before it");
    insta::assert_snapshot!(problems("root = \"a\""), @"1:6 expected `::=`, found `=` | a rule is `name ::= …`, on a line of its own");
    insta::assert_snapshot!(problems("root ::= \"a"), @r#"1:10 the text is not closed | add `"`; inside, write it `\"`"#);
    insta::assert_snapshot!(problems("root ::= (\"a\""), @"1:10 the group is not closed | add `)`");
    insta::assert_snapshot!(problems("root ::= [a-"), @r#"1:10 the class is not closed | add `]`; inside, write it `\]`"#);
    insta::assert_snapshot!(problems("root ::= <think"), @"1:10 the token is not closed | a token is `<word>` or `<[123]>`");
    insta::assert_snapshot!(problems("root ::= \"\\d\""), @r#"1:11 unknown escape `\d` | there are \n \r \t \\ \" \[ \] \- \x41 \u0041 \U00000041; other characters stand for themselves"#);
    insta::assert_snapshot!(problems("root ::= \"\\u00g0\""), @r#"1:11 `\u` takes 4 hexadecimal digits | as in \x41, \u00e9 and \U0001f600"#);
    insta::assert_snapshot!(problems("root ::= *"), @"1:10 there is nothing before `*` to repeat | it stands behind a text, a class, a rule or a group");
    insta::assert_snapshot!(problems("root ::= \"a\"{,3}"), @r#"1:14 expected a number, found `,` | a rule is `name ::= "text" | [a-z]+ other-rule`; one that spans lines has them inside ( )"#);
    insta::assert_snapshot!(problems("root ::= \"a\"{3,1}"), @"1:13 a repetition ends below where it begins | write the smaller number first");
    insta::assert_snapshot!(problems("root ::= \"a\"{2001}"), @"1:13 a repetition of more than 2000, which llama.cpp does not count | write `{m,}`, `*` or `+` for as many as come");
    insta::assert_snapshot!(problems("root ::= <[4294967296]>"), @"1:10 no token has so high an id | see `tripos tokens` for a model's ids");
    insta::assert_snapshot!(problems("root ::= \"a\0\""), @"1:12 a grammar cannot hold a NUL character | take it out");
}

#[test]
fn rules_that_are_missing_or_there_twice_are_all_named() {
    insta::assert_snapshot!(problems("root ::= digit lettr\ndigit ::= [0-9]\nletter ::= [a-z] ditig\ndigit ::= \"x\""), @r"
    1:16 rule `lettr` does not exist | did you mean `letter`? (root, digit, letter)
    3:18 rule `ditig` does not exist | did you mean `digit`? (root, digit, letter)
    4:1 rule `digit` is there twice, and llama.cpp would only use the last | join them: `a | b`, or rename one
    ");
    insta::assert_snapshot!(problems("rot ::= \"a\""), @"0:0 the grammar has no rule `root` | a text is what `root` admits: add `root ::= …` (did you mean `rot`? (rot))");
    insta::assert_snapshot!(problems("# nothing\n"), @"0:0 the grammar has no rule `root` | write at least `root ::= …`");
}

#[test]
fn a_class_that_holds_no_character_is_a_problem() {
    insta::assert_snapshot!(problems("root ::= [] [^] [z-a] [\\x00] [^\\x00-\\U0010ffff] [^a-z] [^\\x01-\\ud7ff]"), @r#"
    1:10 the class `[]` is empty: llama.cpp would read it as the empty text | put characters into it; `.` is any character
    1:13 the class `[^]` is empty: llama.cpp would read it as the empty text | put characters into it; `.` is any character
    1:17 the class `[z-a]` holds no character | a range goes from the lower to the higher: `[a-z]`
    1:23 the class `[\x00]` holds no character | a range goes from the lower to the higher: `[a-z]`
    1:30 the class `[^\x00-\U0010ffff]` holds no character | a range goes from the lower to the higher: `[a-z]`
    "#);
}

#[test]
fn left_recursion_is_named_at_its_rule() {
    insta::assert_snapshot!(problems("root ::= expr\nexpr ::= expr \"+\" term | term\nterm ::= [0-9]"), @r#"2:1 rule `expr` is left-recursive: `expr` comes back before any character | write it as a repetition: `sum ::= number ("+" number)*`"#);
    insta::assert_snapshot!(problems("root ::= a\na ::= b? c\nb ::= \"b\"\nc ::= a \"c\" | \"d\""), @r#"2:1 rule `a` is left-recursive: `a` comes back before any character | write it as a repetition: `sum ::= number ("+" number)*`"#);
    insta::assert_snapshot!(problems("root ::= (\"a\"?)* \"a\"**"), @"1:22 what is repeated here may be empty, so the repetition is left-recursive | let the repeated part take at least one character");
    insta::assert_snapshot!(problems("root ::= word*\nword ::= [a-z]+ |\n"), @"1:14 what is repeated here may be empty, so the repetition is left-recursive | let the repeated part take at least one character");
    // llama.cpp does not see that `a` may be empty here, and would fill the memory with stacks.
    insta::assert_snapshot!(problems("root ::= a root \"z\" | \"x\"\na ::= b\nb ::= \"b\" |\n"), @r#"1:1 rule `root` is left-recursive: `root` comes back before any character | write it as a repetition: `sum ::= number ("+" number)*`"#);
}

#[test]
fn a_grammar_that_admits_nothing_is_refused() {
    insta::assert_snapshot!(problems("root ::= \"a\" root"), @"1:1 the grammar admits no text: `root` can never end | every alternative leads back to it: add one that does not");
    insta::assert_snapshot!(problems("root ::= \"x\" | \"a\" loop\nloop ::= \"b\" (loop | other)\nother ::= \"c\" loop"), @r"
    2:1 rule `loop` can never end | every alternative leads back to it: add one that does not
    3:1 rule `other` can never end | every alternative leads back to it: add one that does not
    ");
    insta::assert_snapshot!(problems("root ::= \"\" none?\nnone ::= \"\""), @"1:1 the grammar admits only the empty text | give `root` something to say");
}

#[test]
fn hostile_grammars_are_refused_quickly() {
    let deep = format!("root ::= {}\"a\"{}", "(".repeat(100_000), ")".repeat(100_000));
    insta::assert_snapshot!(problems(&deep), @"1:110 groups nested more than 100 deep | give the inner ones rules of their own");
    let ways: String = (0..40).map(|i| format!("a{i} ::= a{0} \"x\" | a{0} \"y\"\n", i + 1)).collect();
    insta::assert_snapshot!(problems(&format!("root ::= a0\n{ways}a40 ::= \"z\"")), @"26:1 rule `a24` begins in too many ways, or too deep, for llama.cpp | begin the alternatives with different characters, and name what they share once");
    let chain: String = (0..100_000).map(|i| format!("a{i} ::= a{}\n", i + 1)).collect();
    insta::assert_snapshot!(problems(&format!("root ::= a0\n{chain}a100000 ::= \"z\"")), @"96002:1 rule `a96000` begins in too many ways, or too deep, for llama.cpp | begin the alternatives with different characters, and name what they share once");
    let loops: String = (0..50_000).map(|i| format!("a{i} ::= \"x\" a{}\n", i + 1)).collect();
    assert_eq!(problems(&format!("root ::= a0\n{loops}a50000 ::= \"x\" a0")).lines().count(), 50);
    insta::assert_snapshot!(problems(&format!("root ::= {}", "\"abc\"{2000} ".repeat(10_000))), @"1:1018 the grammar has more than 1000000 parts once its repetitions are written out | repeat less, or without an upper bound: `*`, `+`, `{2,}`");
    insta::assert_snapshot!(problems("root ::= ((\"a\"? \"b\"){0,50}){0,50}"), @"1:28 repetitions inside one another come to more than 2000 | write `*` or `+` for the outer or the inner one");
    assert_eq!(problems("root ::= ((\"a\"{2000}){2000} \"b\"){1000}"), "");
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
        let _ = check_grammar(&text);
        let _ = check_grammar(&format!("root ::= {text}"));
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
