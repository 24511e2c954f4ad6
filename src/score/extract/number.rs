//! Numbers as people write them.

use super::super::normalise::is_word;

/// Every number in a text, in order, as plain decimal text: `-1234.50` for `−$1,234.50`.
///
/// - English notation: commas between groups of three digits, a full stop before decimals. `1,2` is 1 and 2.
/// - Currency signs, percent signs, markdown and a full stop behind are not part of the number: `**42**`, `50%`, `42.`
/// - A minus (`-` or U+2212) counts where it touches the number (or its currency sign) and nothing that could end a
///   term stands before it: `3-2` is 3 and 2, `x = -2` is −2, `- 2` (a list item) is 2. A plus is dropped.
/// - Digits that follow a letter belong to a word: `a1b` has none, `5km` and `1st` do.
/// - `.5` is 0.5; `1.5e3` stays as it is; `3/4` is two numbers.
pub(in crate::score) fn numbers(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = next_start(text, at) {
        let (before, from) = text.split_at(start);
        let (length, digits) = unsigned(from);
        at = start + length;
        if !ends_in_word(before) {
            found.push(if is_negative(before) { format!("-{digits}") } else { digits });
        }
    }
    found
}

/// Where the next number starts, from byte `at` on: at its first digit, or at the point of `.5`.
fn next_start(text: &str, at: usize) -> Option<usize> {
    let digit = at + text.get(at..)?.find(|c: char| c.is_ascii_digit())?;
    let point = text.get(at..digit).filter(|gap| gap.ends_with('.')).map(|_| digit - 1);
    let ends_sentence = |c: char| c.is_alphanumeric() || matches!(c, '.' | ')' | ']');
    match point {
        Some(point) if !text.get(..point)?.ends_with(ends_sentence) => Some(point),
        _ => Some(digit),
    }
}

/// The number at the start of `text`: its length in bytes, and its digits without grouping.
fn unsigned(text: &str) -> (usize, String) {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
    let mut end = digits(0);
    if (1..=3).contains(&end) && !text.starts_with('0') {
        while bytes.get(end) == Some(&b',') && digits(end + 1) == 3 {
            end += 4;
        }
    }
    let mut out = text.get(..end).unwrap_or_default().replace(',', "");
    if out.is_empty() {
        out.push('0');
    }
    let mut take = |from: usize, to: usize| {
        out.push_str(text.get(from..to).unwrap_or_default());
        to
    };
    let decimals = digits(end + 1);
    if bytes.get(end) == Some(&b'.') && decimals > 0 {
        end = take(end, end + 1 + decimals);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let power = digits(end + 1 + sign);
        let stop = end + 1 + sign + power;
        if power > 0 && !text.get(stop..).unwrap_or_default().starts_with(is_word) {
            end = take(end, stop);
        }
    }
    (end, out)
}

/// Whether digits behind `before` belong to a word, as in `a1` or `x_1` (but not in `_1_`).
fn ends_in_word(before: &str) -> bool {
    before.trim_end_matches('_').ends_with(is_word)
}

/// Whether `before` ends in a minus sign that belongs to the number behind it.
fn is_negative(before: &str) -> bool {
    let minus: [char; 2] = ['-', '−'];
    let currency: [char; 3] = ['$', '€', '£'];
    let ends_term =
        |c: char| c.is_alphanumeric() || matches!(c, ')' | ']' | '}' | '%' | '°' | '-' | '−' | '$' | '€' | '£');
    let outside = before.strip_suffix(currency).and_then(|b| b.strip_suffix('\\').unwrap_or(b).strip_suffix(minus));
    let inside = before.strip_suffix(minus).map(|b| b.strip_suffix(currency).unwrap_or(b));
    outside.or(inside).is_some_and(|rest| !rest.ends_with(ends_term))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(text: &str) -> String {
        numbers(text).join(" ")
    }

    #[test]
    fn reads_numbers_as_people_write_them() {
        for (text, expected) in [
            ("$29.00", "29.00"),
            ("$1,234.50", "1234.50"),
            ("1,234", "1234"),
            ("1,234,567 and 12,34", "1234567 12 34"),
            ("**42**", "42"),
            ("_42_", "42"),
            ("42.", "42"),
            ("€5, £6 and 7%", "5 6 7"),
            (".5 or 0.5", "0.5 0.5"),
            ("it is...5", "5"),
            ("1.5e3 2E-2 3e", "1.5e3 2E-2 3"),
            ("5km, 1st, 3x", "5 1 3"),
            ("\\boxed{42}", "42"),
            ("答案是42。", "42"),
            ("12:30 on 2024-01-05", "12 30 2024 01 05"),
            ("1,2,3", "1 2 3"),
            ("1,2345", "1 2345"),
            ("0,123", "0 123"),
            ("1.2.3", "1.2 3"),
        ] {
            assert_eq!(joined(text), expected, "in {text:?}");
        }
    }

    #[test]
    fn a_minus_counts_only_where_it_is_a_sign() {
        for (text, expected) in [
            ("-7", "-7"),
            ("−7", "-7"),
            ("= -7.5.", "-7.5"),
            ("(-7)", "-7"),
            ("**-7**", "-7"),
            ("-$5 and $-6", "-5 -6"),
            ("$5-$3", "5 3"),
            ("+7", "7"),
            ("3-2", "3 2"),
            ("f(x)-2", "2"),
            ("5%-7%", "5 7"),
            ("- 7 apples", "7"),
            ("GPT-4", "4"),
        ] {
            assert_eq!(joined(text), expected, "in {text:?}");
        }
    }

    #[test]
    fn digits_inside_words_are_no_numbers() {
        for text in ["a1b", "x_1", "H2O", "page7", "é5", "no digits", ""] {
            assert_eq!(joined(text), "", "in {text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_integer_is_read_back(n in any::<i64>()) {
            prop_assert_eq!(numbers(&format!("so {n}.")), vec![n.to_string()]);
        }

        #[test]
        fn every_grouped_amount_is_read_back(n in 0_u32..1_000_000_000, cents in 0_u32..100) {
            let plain = n.to_string();
            let mut grouped = String::new();
            for (i, c) in plain.chars().enumerate() {
                if i > 0 && (plain.len() - i).is_multiple_of(3) { grouped.push(','); }
                grouped.push(c);
            }
            prop_assert_eq!(numbers(&format!("−${grouped}.{cents:02}!")), vec![format!("-{plain}.{cents:02}")]);
        }

        #[test]
        fn never_panics(text in "[-−$€.,eE0-9a_ \\PC]{0,40}") {
            for number in numbers(&text) {
                prop_assert!(number.parse::<f64>().is_ok(), "{}", number);
            }
        }
    }
}
