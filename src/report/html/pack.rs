//! Samples inside the page: JSON, deflated, in Base64. No byte of a sample can end its block or be anything else.

use data_encoding::BASE64;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::Serialize;
use std::io::Write;

/// Bytes of JSON in a chunk: opening a case unpacks a few of them, each in about a millisecond.
const FULL: usize = 256 * 1024;

/// Writes chunks of samples, one after another.
pub(super) struct Pack<'o> {
    out: &'o mut dyn Write,
    chunk: Vec<u8>,
    first: usize,
    count: usize,
}

impl<'o> Pack<'o> {
    pub(super) fn new(out: &'o mut dyn Write) -> Self {
        Self { out, chunk: Vec::with_capacity(FULL * 2), first: 0, count: 0 }
    }

    /// Adds a sample: the next number.
    pub(super) fn add(&mut self, sample: &impl Serialize) -> std::io::Result<()> {
        self.chunk.push(if self.chunk.is_empty() { b'[' } else { b',' });
        serde_json::to_writer(&mut self.chunk, sample)?;
        self.count += 1;
        if self.chunk.len() >= FULL { self.flush() } else { Ok(()) }
    }

    /// Writes what is left.
    pub(super) fn flush(&mut self) -> std::io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        self.chunk.push(b']');
        let chunk = std::mem::take(&mut self.chunk);
        self.block("chunk", Some(self.first), &chunk)?;
        self.chunk = chunk;
        self.chunk.clear();
        self.first = self.count;
        Ok(())
    }

    /// Writes a block of its own; `first` is the number of its first sample.
    pub(super) fn block(&mut self, class: &str, first: Option<usize>, json: &[u8]) -> std::io::Result<()> {
        let first = first.map_or_else(String::new, |first| format!(" data-first=\"{first}\""));
        write!(self.out, "<script type=\"application/octet-stream\" class=\"{class}\"{first}>")?;
        let mut encoder = ZlibEncoder::new(Vec::with_capacity(json.len() / 6), Compression::new(6));
        encoder.write_all(json)?;
        self.out.write_all(BASE64.encode(&encoder.finish()?).as_bytes())?;
        self.out.write_all(b"</script>\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// The JSON of each block.
    fn unpacked(page: &[u8]) -> Vec<String> {
        let page = std::str::from_utf8(page).unwrap();
        let blocks = page.lines().map(|line| {
            let base64 = line.split_once('>').unwrap().1.strip_suffix("</script>").unwrap();
            let mut text = String::new();
            let bytes = BASE64.decode(base64.as_bytes()).unwrap();
            flate2::read::ZlibDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
            text
        });
        blocks.collect()
    }

    #[test]
    fn samples_come_out_as_they_went_in_and_nothing_of_them_is_html() {
        let mut page = Vec::new();
        let mut pack = Pack::new(&mut page);
        let long = "x".repeat(FULL);
        for text in ["</script><script>window.pwned=1</script>", &long, "last"] {
            pack.add(&text).unwrap();
        }
        pack.flush().unwrap();
        pack.flush().unwrap();
        let blocks = unpacked(&page);
        assert_eq!(blocks.len(), 2);
        let first: Vec<String> = serde_json::from_str(&blocks[0]).unwrap();
        assert_eq!((first.len(), first[0].as_str()), (2, "</script><script>window.pwned=1</script>"));
        assert_eq!(blocks[1], r#"["last"]"#);
        let page = String::from_utf8(page).unwrap();
        assert!(page.contains("data-first=\"2\"") && !page.contains("pwned"));
    }
}
