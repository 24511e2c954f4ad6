//! Cleaning as a whole, against comparisons of each document with each.

use super::*;
use crate::seed;
use proptest::prelude::*;
use rand_chacha::rand_core::Rng;
use std::collections::HashSet;

fn texts<'a>(all: &[&'a str]) -> Vec<Text<'a>> {
    let place = |i| Place::new("corpus.jsonl", i + 1, 0);
    all.iter().enumerate().map(|(i, text)| Text { text, place: place(i), generated: false }).collect()
}

fn cleaned(all: &[&str]) -> Cleaning {
    clean(&texts(all), &Rules::default(), &Leaks::default())
}

/// How many were dropped for each reason.
fn counts(cleaning: &Cleaning) -> Vec<(Reason, usize)> {
    cleaning.dropped.iter().map(|dropped| (dropped.reason, dropped.documents)).collect()
}

/// The shingles of a text in lower-case ASCII, as words.
fn naive_shingles(text: &str) -> HashSet<Vec<&str>> {
    text.split_whitespace().collect::<Vec<_>>().windows(5).map(<[&str]>::to_vec).collect()
}

fn naive_jaccard(a: &HashSet<Vec<&str>>, b: &HashSet<Vec<&str>>) -> f64 {
    let both = a.intersection(b).count();
    both as f64 / (a.len() + b.len() - both).max(1) as f64
}

/// The documents that are kept if each is compared with each that is kept before it.
fn naive(all: &[&str], near: f64) -> Vec<usize> {
    let shingles: Vec<_> = all.iter().map(|text| naive_shingles(text)).collect();
    let mut kept: Vec<usize> = Vec::new();
    for (i, text) in all.iter().enumerate() {
        let same = |other: &str| text.split_whitespace().eq(other.split_whitespace());
        let alike = |other: usize| naive_jaccard(&shingles[i], &shingles[other]) >= near;
        if !kept.iter().any(|earlier| same(all[*earlier]) || alike(*earlier)) {
            kept.push(i);
        }
    }
    kept
}

/// Documents of which most are others with a few words changed.
fn corpus(documents: usize, seed: u64) -> Vec<String> {
    let mut random = seed::rng(seed::key(seed, &["corpus"]));
    let mut below = |n: usize| usize::try_from(random.next_u64() % n as u64).unwrap();
    let mut all: Vec<Vec<String>> = Vec::new();
    for i in 0..documents {
        let mut words: Vec<String> = match below(3) {
            0 => (0..40 + below(80)).map(|_| format!("w{}", below(500))).collect(),
            _ if i > 0 => all[below(i)].clone(),
            _ => vec!["one".into(); 30],
        };
        for _ in 0..below(4) {
            let at = below(words.len());
            words[at] = format!("w{}", below(500));
        }
        all.push(words);
    }
    all.into_iter().map(|words| words.join(" ")).collect()
}

#[test]
fn keeps_what_a_comparison_of_each_with_each_keeps() {
    let all = corpus(600, 1);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    for near in [0.6, 0.8, 0.9, 1.0] {
        let cleaning = clean(&texts(&all), &Rules { near: Some(near), ..Rules::default() }, &Leaks::default());
        let expected = naive(&all, near);
        assert_eq!(cleaning.kept, expected, "near {near}");
        assert!((50..550).contains(&expected.len()), "both kinds are many: {}", expected.len());
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let all = corpus(9000, 2);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| cleaned(&all))
    };
    let one = with(1);
    assert_eq!(one, with(2));
    assert_eq!(one, with(7));
}

#[test]
fn the_first_thing_that_is_wrong_is_the_reason() {
    let mut leaks = Leaks::default();
    leaks.add("s", "c", "bell and more");
    let rules = Rules { shortest: 3, longest: Some(30), near: None };
    let all = ["\u{7} bell and more", "x\u{FFFD}", " ab\n\n", "abc", "ABC ", "Bell, and more!", &"long ".repeat(7)];
    let cleaning = clean(&texts(&all), &rules, &leaks);
    assert_eq!(cleaning.kept, [3]);
    let one = |reason| (reason, 1);
    assert_eq!(
        counts(&cleaning),
        [
            one(Reason::InvalidUtf8),
            one(Reason::ControlCharacters),
            one(Reason::TooShort),
            one(Reason::TooLong),
            one(Reason::Leak),
            one(Reason::Duplicate),
        ]
    );
    let last = cleaning.dropped.last().unwrap();
    assert_eq!(last.to_string(), "dropped 1 of 7 documents: duplicates (the first repeats corpus.jsonl:4)");
    assert_eq!((last.shown[0].document, last.characters), (4, 4));
}

#[test]
fn no_documents_and_empty_ones_are_no_trouble() {
    assert_eq!(cleaned(&[]), Cleaning::default());
    let cleaning = cleaned(&["", "  \n", "?!", "word", "?!", "Word", "…"]);
    assert_eq!(cleaning.kept, [2, 3, 6]);
    assert_eq!(counts(&cleaning), [(Reason::TooShort, 2), (Reason::Duplicate, 2)]);
    let all = clean(&texts(&["", ""]), &Rules { shortest: 0, ..Rules::default() }, &Leaks::default());
    assert_eq!(counts(&all), [(Reason::Duplicate, 1)]);
}

#[test]
fn fewer_than_five_words_are_compared_whole() {
    let cleaning = cleaned(&["one two three four", "one two three five", "One two\nthree four", "a+b", "a-b"]);
    assert_eq!(cleaning.kept, [0, 1, 3, 4]);
}

#[test]
fn chinese_without_spaces_has_near_duplicates() {
    let first = "大型语言模型的训练数据中有许多几乎相同的文章，删除它们可以让模型学得更快，也更少背诵原文。";
    let second = first.replace("更快", "更好");
    let other = "今天天气很好，我们去公园散步，看见许多人在湖边钓鱼，孩子们在草地上放风筝。";
    let rules = Rules { near: Some(0.7), ..Rules::default() };
    let cleaning = clean(&texts(&[first, &second, other]), &rules, &Leaks::default());
    assert_eq!(cleaning.kept, [0, 2]);
    assert_eq!(counts(&cleaning), [(Reason::NearDuplicate, 1)]);
}

#[test]
fn a_line_repeated_for_ever_is_one_document() {
    let line = "the same line again and again\n";
    let (long, longer) = (line.repeat(20_000), line.repeat(30_000));
    let cleaning = cleaned(&[&long, "something else that is not like it", &longer]);
    assert_eq!(counts(&cleaning), [(Reason::NearDuplicate, 1)], "their sets of shingles are the same");
    assert_eq!(cleaned(&vec![line; 10_000]).kept, [0]);
}

#[test]
fn generated_documents_may_repeat_but_not_leak() {
    let mut leaks = Leaks::default();
    leaks.add("sums", "1", "12 + 34 = 46");
    let mut all = texts(&["1 + 1 = 2", "1 + 1 = 2", "1 + 1 = 2", "12+34=46", "1 + 1 = 2"]);
    for text in &mut all[1..4] {
        text.generated = true;
    }
    let cleaning = clean(&all, &Rules::default(), &leaks);
    assert_eq!(cleaning.kept, [0, 1, 2]);
    assert_eq!(counts(&cleaning), [(Reason::Leak, 1), (Reason::Duplicate, 1)]);
    assert_eq!(cleaning.dropped[1].shown[0].document, 4, "what repeats a file's document is dropped");
    all[0].generated = true;
    assert_eq!(clean(&all, &Rules::default(), &leaks).kept, [0, 1, 2, 4], "what repeats a generated one is not");
}

#[test]
fn a_chain_of_changes_keeps_what_is_unlike_the_first() {
    let words: Vec<String> = (0..60).map(|i| format!("w{i}")).collect();
    let changed = |n: usize| {
        let mut words = words.clone();
        words.iter_mut().take(n).for_each(|word| *word += "x");
        words.join(" ")
    };
    // Neighbours have a similarity of 54/58, 52/60, and then 50/62 each; the fifth and the first have one of 48/64.
    let all = [0, 2, 4, 6, 8, 10].map(changed);
    let cleaning = cleaned(&all.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(cleaning.kept, [0, 4]);
}

#[test]
fn settings_out_of_range_are_no_trouble() {
    let all = ["a b c d e f g h", "a b c d e f g h i", "a b c d e f g"];
    for (near, kept) in [(f64::NAN, 3), (-1.0, 3), (1.5, 3), (0.0, 1), (1e-9, 1), (1.0, 3)] {
        let rules = Rules { near: Some(near), ..Rules::default() };
        assert_eq!(clean(&texts(&all), &rules, &Leaks::default()).kept.len(), kept, "near {near}");
    }
    assert!(serde_yaml::from_str::<Rules>("{nearly: 1}").is_err());
}

proptest! {
    /// A pair of similarity 0.95 shares a band in all but 1 of 10¹² cases.
    #[test]
    fn what_is_dropped_is_alike_and_what_is_kept_is_not(seed in 0_u64..1_000_000) {
        let all = corpus(40, seed);
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let cleaning = cleaned(&all);
        let shingles: Vec<_> = all.iter().map(|text| naive_shingles(text)).collect();
        let similar = |one: usize, other: usize| naive_jaccard(&shingles[one], &shingles[other]);
        for shown in cleaning.dropped.iter().flat_map(|dropped| &dropped.shown) {
            let Evidence::Repeats { document, similarity, .. } = &shown.evidence else { panic!("{shown:?}") };
            prop_assert!(cleaning.kept.contains(document) && *document < shown.document);
            let truth = similar(*document, shown.document);
            prop_assert!(truth >= 0.8 && (truth - similarity).abs() < 1e-12);
        }
        for (i, one) in cleaning.kept.iter().enumerate() {
            for other in &cleaning.kept[i + 1..] {
                prop_assert!(similar(*one, *other) < 0.95);
            }
        }
        prop_assert_eq!(cleaning.kept.len() + counts(&cleaning).iter().map(|(_, n)| n).sum::<usize>(), all.len());
    }
}
