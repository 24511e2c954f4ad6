//! Numbers as people read them.

/// A whole number with a comma before every three digits.
///
/// ```
/// assert_eq!(tripos::report::thousands(1_234_567), "1,234,567");
/// ```
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    groups.map(|group| String::from_utf8_lossy(group)).collect::<Vec<_>>().join(",")
}

/// A number of things.
///
/// ```
/// use tripos::report::counted;
/// assert_eq!((counted(1, "case"), counted(2, "case")), ("1 case".into(), "2 cases".into()));
/// ```
#[must_use]
pub fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
