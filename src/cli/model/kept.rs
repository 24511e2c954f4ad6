//! `tripos model list` and `rm`: the models of the cache.

use super::super::elsewhere::with_hub;
use super::super::failure::Failure;
use super::super::output::print;
use super::super::rewriting::{Format, size};
use crate::gguf::Gguf;
use crate::hub::{Entry, Uri};
use serde_json::json;
use std::fmt::Write;
use std::time::SystemTime;

/// Prints what the cache holds.
pub(super) fn list(format: Format) -> Result<(), Failure> {
    let entries = with_hub(true, |hub| Ok(hub.entries()))?;
    let stored = |entry: &Entry| {
        let header = if entry.complete { Gguf::open(&entry.path).ok() } else { None };
        // Looking is no use of it.
        if let Some(used) = entry.used {
            let before = std::fs::FileTimes::new().set_accessed(used);
            let _ = std::fs::File::open(&entry.path).and_then(|file| file.set_times(before));
        }
        header.map(|header| header.quantisation())
    };
    print(&match format {
        Format::Json => {
            let one = |entry: &Entry| {
                let used =
                    entry.used.and_then(|used| jiff::Timestamp::try_from(used).ok()).map(|used| used.to_string());
                json!({
                    "uri": entry.uri, "path": entry.path, "bytes": entry.bytes, "quantisation": stored(entry), "used": used,
                    "complete": entry.complete, "whole": entry.whole,
                })
            };
            let models: Vec<_> = entries.iter().map(one).collect();
            format!("{}\n", json!({"schema": 1, "models": models}))
        }
        Format::Text => table(&entries, &stored),
    })
}

fn table(entries: &[Entry], stored: &dyn Fn(&Entry) -> Option<&'static str>) -> String {
    let mut text = String::new();
    for entry in entries {
        let about = match (entry.complete, entry.whole) {
            (true, _) => format!(", {}", stored(entry).unwrap_or("no GGUF that can be read")),
            (false, Some(whole)) => format!(" of {}, broken off", size(whole)),
            (false, None) => ", not all of it is here".to_owned(),
        };
        let used = entry.used.map_or_else(String::new, |used| format!(", used {}", ago(used, SystemTime::now())));
        // A name can be as long as a line: it has one of its own.
        let _ = writeln!(text, "{}\n  {}{about}{used}", entry.uri, size(entry.bytes));
    }
    if entries.is_empty() {
        text += "the cache holds no model\nto have one: tripos model pull hf://owner/repo\n";
    }
    text
}

/// `3 days ago`
fn ago(then: SystemTime, now: SystemTime) -> String {
    let seconds = now.duration_since(then).map_or(0, |since| since.as_secs());
    let (number, unit) = match seconds {
        0..60 => return "just now".to_owned(),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{} ago", if number == 1 { "" } else { "s" })
}

/// Removes a model, or all of a repository.
pub(super) fn remove(written: &str, format: Format) -> Result<(), Failure> {
    let uri = Uri::parse(written)?;
    let removed = with_hub(true, |hub| hub.remove(&uri))?;
    print(&match format {
        Format::Json => format!("{}\n", json!({"schema": 1, "removed": removed.uris, "bytes": removed.bytes})),
        Format::Text => {
            let lines: String = removed.uris.iter().map(|uri| format!("removed {uri}\n")).collect();
            format!("{lines}{} freed\n", size(removed.bytes))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_said_in_the_unit_that_fits() {
        let now = SystemTime::now();
        let said = [5, 60, 7300, 86_400 * 3].map(|seconds| ago(now - Duration::from_secs(seconds), now));
        assert_eq!(said, ["just now", "1 minute ago", "2 hours ago", "3 days ago"]);
        assert_eq!(ago(now + Duration::from_secs(5), now), "just now");
    }

    #[test]
    fn an_entry_is_its_name_and_a_line_about_it() {
        let entry = |uri: &str, complete, whole| Entry {
            uri: uri.into(),
            path: "x".into(),
            bytes: 3 << 20,
            used: Some(SystemTime::now()),
            whole,
            complete,
        };
        let entries = [entry("hf://o/r/a.gguf", true, None), entry("hf://o/r/b.gguf@v1", false, Some(12 << 20))];
        insta::assert_snapshot!(table(&entries, &|_| Some("Q4_K_M")), @r"
        hf://o/r/a.gguf
          3.0 MiB, Q4_K_M, used just now
        hf://o/r/b.gguf@v1
          3.0 MiB of 12.0 MiB, broken off, used just now
        ");
        assert!(table(&[], &|_| None).starts_with("the cache holds no model\n"));
    }
}
