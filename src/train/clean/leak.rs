//! What suites ask, found again in what is to be learned.

use super::words::{Runs, fold, spoken};
use crate::suite::{Case, Vars};
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// Words of a run that gives an item away.
const RUN: u32 = 13;

/// What suites ask, that must not be learned.
///
/// A document leaks an item if they share a run of 13 words, or, where the item has fewer than 13, if the whole item stands
/// in the document as one run of words. 13 words and the dropping of case and punctuation are those of GPT-3 (Brown et al.
/// 2020, 2005.14165, appendix C). An item without words is ignored. Deviations:
///
/// - Punctuation parts words and is not deleted from within them, so that `12+34` is not `1234`. In scripts without spaces
///   each character is a word.
/// - The whole document is given up; GPT-3 cut 200 characters around the run, and kept the rest.
/// - A run counts however many documents have it; GPT-3 ignored those that more than 10 documents share.
///
/// So an item of one or two words is found in many documents: give the question with its answer, not the answer alone.
///
/// ```
/// use tripos::train::clean::Leaks;
/// let mut leaks = Leaks::default();
/// leaks.add("capitals", "fr", "What is the capital of France? Paris");
/// let leak = leaks.find("… Q: what is the capital of France -- PARIS …").unwrap();
/// assert_eq!((leak.case.as_str(), leak.words.as_str()), ("fr", "what is the capital of france paris"));
/// assert_eq!(leaks.find("What is the capital of Spain? Madrid"), None);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Leaks {
    items: Vec<Item>,
    /// Where each run was seen first, by its hash. The hash only says where to look: the words themselves are compared.
    runs: HashMap<u64, Spot, BuildHasherDefault<AsItIs>>,
    /// The lengths, in words, of these runs.
    lengths: BTreeSet<u32>,
}

/// What was found in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// The suite that asks it.
    pub suite: String,
    /// The first case that does.
    pub case: String,
    /// The words that both have, in lower case, parted by single spaces.
    pub words: String,
}

#[derive(Debug, Clone)]
struct Item {
    suite: String,
    case: String,
    folded: String,
}

/// Where a run begins: the item, and the words before it.
#[derive(Debug, Clone, Copy)]
struct Spot {
    item: usize,
    word: usize,
}

impl Leaks {
    /// Adds what a case of a suite asks.
    pub fn add(&mut self, suite: &str, case: &str, text: &str) {
        let folded = fold(text);
        let runs = Runs::new(spoken(&folded));
        let length = u32::try_from(runs.words()).map_or(RUN, |words| words.min(RUN));
        if length == 0 {
            return;
        }
        self.lengths.insert(length);
        let item = self.items.len();
        for (word, hash) in runs.of(length).enumerate() {
            self.runs.entry(hash).or_insert(Spot { item, word });
        }
        self.items.push(Item { suite: suite.to_owned(), case: case.to_owned(), folded });
    }

    /// Adds a case of a suite, by what it asks: the longest text among its variables.
    pub fn case(&mut self, suite: &str, case: &Case) {
        self.add(suite, &case.id, asked(&case.vars));
    }

    /// Whether there is nothing to look for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The first of the longest runs that a text shares with an item.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<Leak> {
        if self.is_empty() { None } else { self.find_folded(&fold(text)) }
    }

    /// [`Self::find`] in a text that is folded already.
    pub(super) fn find_folded(&self, text: &str) -> Option<Leak> {
        if self.is_empty() {
            return None;
        }
        let runs = Runs::new(spoken(text));
        self.lengths.iter().rev().find_map(|length| {
            runs.of(*length).enumerate().find_map(|(at, hash)| {
                let spot = self.runs.get(&hash)?;
                let item = self.items.get(spot.item)?;
                let taken = |text, from| spoken(text).skip(from).take(*length as usize).collect::<Vec<_>>();
                let words = taken(text, at);
                let same = words == taken(&item.folded, spot.word);
                same.then(|| Leak { suite: item.suite.clone(), case: item.case.clone(), words: words.join(" ") })
            })
        })
    }
}

/// What a case asks: the longest text among its variables; empty where it has none.
#[must_use]
pub fn asked(vars: &Vars) -> &str {
    vars.values().filter_map(serde_json::Value::as_str).max_by_key(|text| text.len()).unwrap_or_default()
}

/// Takes a key that is a hash as it is; hashing it again would take most of the time of a look-up.
#[derive(Debug, Clone, Copy, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaks(items: &[&str]) -> Leaks {
        let mut leaks = Leaks::default();
        for (i, item) in items.iter().enumerate() {
            leaks.add("suite", &i.to_string(), item);
        }
        leaks
    }

    /// Whether any run of the item is a run of the document, each compared with each.
    fn naive(item: &str, document: &str) -> bool {
        let (item, document) = (fold(item), fold(document));
        let (item, document) = (spoken(&item).collect::<Vec<_>>(), spoken(&document).collect::<Vec<_>>());
        let length = item.len().min(13);
        length > 0 && document.windows(length).any(|run| item.windows(length).any(|asked| asked == run))
    }

    const LONG: &str = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen";

    #[test]
    fn thirteen_words_in_a_row_are_a_leak_and_twelve_are_not() {
        let leaks = leaks(&[LONG]);
        let words: Vec<&str> = LONG.split(' ').collect();
        let leak = leaks.find(&format!("so: {}!", words[1..].join(", ").to_uppercase())).unwrap();
        assert_eq!(leak.words, words[1..].join(" "));
        assert_eq!((leak.suite.as_str(), leak.case.as_str()), ("suite", "0"));
        assert_eq!(leaks.find(&words[..12].join(" ")), None);
        assert_eq!(leaks.find(&format!("{} and {}", words[..7].join(" "), words[7..].join(" "))), None);
    }

    #[test]
    fn a_short_item_is_looked_for_whole() {
        let leaks = leaks(&["What is 12+34?"]);
        assert!(leaks.find("He asked: what is 12 + 34 ?").is_some());
        assert_eq!(leaks.find("what is 1234"), None);
        assert_eq!(leaks.find("what is 12"), None);
        assert_eq!(leaks.find("what is 12 345"), None, "a word is not found within a word");
    }

    #[test]
    fn chinese_is_compared_character_by_character() {
        let leaks = leaks(&["中国的首都是哪里？北京", "树上有多少只鸟在唱歌，它们唱什么歌"]);
        assert_eq!(leaks.find("问：中国的首都是哪里 答：北京").map(|leak| leak.words), None, "答 stands between");
        assert_eq!(leaks.find("问：中国的首都是哪里——北京。").unwrap().words, "中 国 的 首 都 是 哪 里 北 京");
        assert_eq!(leaks.find("他说树上有多少只鸟在唱歌它们唱得好").unwrap().case, "1", "13 characters are enough");
    }

    #[test]
    fn nothing_is_found_where_there_are_no_words() {
        let leaks = leaks(&["", " ?! ", "…"]);
        assert!(leaks.is_empty());
        assert_eq!(leaks.find("?!"), None);
        assert_eq!(leaks.find(""), None);
        assert_eq!(super::Leaks::default().find(LONG), None);
    }

    #[test]
    fn the_longest_run_and_the_first_case_are_named() {
        let leaks = leaks(&["two", LONG, LONG]);
        assert_eq!(leaks.find(LONG).unwrap().case, "1");
        assert_eq!(leaks.find("two").unwrap().case, "0");
    }

    #[test]
    fn a_hash_that_two_runs_share_is_no_leak() {
        let mut leaks = leaks(&["asked"]);
        let hash = Runs::new(spoken("other")).of(1).next().unwrap();
        let spot = *leaks.runs.values().next().unwrap();
        leaks.runs.insert(hash, spot);
        assert_eq!(leaks.find("other"), None);
        assert!(leaks.find("asked").is_some());
    }

    proptest! {
        #[test]
        fn finds_what_a_search_of_all_runs_finds(
            items in proptest::collection::vec("[ab,]( [ab]){0,16}", 0..4), document in "[aB. ]{0,80}"
        ) {
            let found = leaks(&items.iter().map(String::as_str).collect::<Vec<_>>()).find(&document);
            prop_assert_eq!(found.is_some(), items.iter().any(|item| naive(item, &document)));
            if let Some(leak) = found {
                let case: usize = leak.case.parse().unwrap();
                prop_assert!(naive(&items[case], &leak.words));
                prop_assert!(naive(&leak.words, &document));
            }
        }
    }
}
