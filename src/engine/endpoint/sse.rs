//! A stream of server-sent events, cut anywhere, as the data of each.

/// Longest line that is kept: far more than a token with its alternatives needs.
const LONGEST: usize = 16 << 20;

/// Cuts a stream into events.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// What has come of a line that is not whole yet.
    line: Vec<u8>,
    /// The lines of `data` of the event that is not whole yet.
    data: Vec<String>,
    /// Bytes of them.
    held: usize,
    /// A line was seen.
    begun: bool,
}

impl Events {
    /// Takes the next bytes and gives the data of the events that they complete; `None` where a line is beyond all measure.
    /// A line `error: …` (llama-server) is an event, too.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Option<Vec<String>> {
        let mut events = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend(part);
            if self.line.len() + self.held > LONGEST {
                return None;
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.line(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']), &mut events);
            }
        }
        Some(events)
    }

    /// The event that no blank line has ended, as some servers leave out the last.
    pub(super) fn rest(mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        self.line(&String::from_utf8_lossy(&line), &mut Vec::new());
        self.event()
    }

    fn line(&mut self, line: &str, events: &mut Vec<String>) {
        // The mark that may begin a text is no part of it.
        let line = if self.begun { line } else { line.trim_start_matches('\u{feff}') };
        self.begun = true;
        if line.is_empty() {
            events.extend(self.event());
        } else if let Some(data) = line.strip_prefix("data:") {
            self.held += data.len();
            self.data.push(data.strip_prefix(' ').unwrap_or(data).to_owned());
        } else if let Some(error) = line.strip_prefix("error:") {
            self.data.push(format!("{{\"error\":{}}}", error.trim()));
        }
        // Comments (`: …`, sent to keep a connection open) and other fields say nothing here.
    }

    fn event(&mut self) -> Option<String> {
        self.held = 0;
        (!self.data.is_empty()).then(|| std::mem::take(&mut self.data).join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_may_be_cut_anywhere() {
        let stream =
            "data: {\"a\": \"é\"}\r\n\r\n: alive\n\ndata: one\ndata: two\n\nevent: x\nid: 3\n\ndata:[DONE]\n\n";
        let expected = ["{\"a\": \"é\"}", "one\ntwo", "[DONE]"];
        for size in 1..=stream.len() {
            let mut events = Events::default();
            let found: Vec<String> =
                stream.as_bytes().chunks(size).flat_map(|chunk| events.feed(chunk).unwrap()).collect();
            assert_eq!(found, expected, "in pieces of {size}");
            assert_eq!(events.rest(), None);
        }
    }

    #[test]
    fn a_mark_before_the_first_line_hides_nothing_and_an_event_has_an_end() {
        let mut events = Events::default();
        assert_eq!(events.feed("\u{feff}data: one\n\ndata: two\n\n".as_bytes()).unwrap(), ["one", "two"]);
        let line = format!("data: {}\n", "x".repeat(1 << 20));
        let mut events = Events::default();
        assert!((0..20).any(|_| events.feed(line.as_bytes()).is_none()), "lines without a blank one");
    }

    #[test]
    fn a_last_event_without_its_blank_line_is_one() {
        let mut events = Events::default();
        assert_eq!(events.feed(b"data: [DONE]").unwrap(), [""; 0]);
        assert_eq!(events.rest().as_deref(), Some("[DONE]"));
        let mut events = Events::default();
        assert_eq!(
            events.feed(b"error: {\"message\": \"slot\"}\n\n").unwrap(),
            ["{\"error\":{\"message\": \"slot\"}}"]
        );
    }
}
