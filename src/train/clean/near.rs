//! Near duplicates: documents most of whose shingles are the same.

use super::minhash::{Bytes, HASHES, MinHash, Signature, fewest_equal, rows};
use super::words::{Runs, fold, spaced};
use std::cmp::Ordering;

/// Words of a shingle.
pub(super) const SHINGLE: u32 = 5;

/// Most documents that one document is compared with in full: those whose signatures are most alike.
const COMPARED: usize = 32;

/// Marks the end of a chain.
const END: u32 = u32::MAX;

/// What a document is compared by.
#[derive(Debug)]
pub(super) struct Print {
    signature: Signature,
    shingles: usize,
}

impl Print {
    /// Of a folded text; `None` if it has fewer words than one shingle.
    pub(super) fn new(folded: &str, minhash: &MinHash) -> Option<Box<Self>> {
        let set = shingles(folded);
        (!set.is_empty()).then(|| Box::new(Self { signature: minhash.signature(&set), shingles: set.len() }))
    }
}

/// The set of a folded text's shingles, the runs of [`SHINGLE`] words, as numbers in ascending order.
pub(super) fn shingles(folded: &str) -> Vec<u64> {
    let mut set: Vec<u64> = Runs::new(spaced(folded)).of(SHINGLE).collect();
    set.sort_unstable();
    set.dedup();
    set
}

/// The Jaccard similarity |A ∩ B| / |A ∪ B| of two ascending sets; 0 for two empty ones.
pub(super) fn jaccard(a: &[u64], b: &[u64]) -> f64 {
    let (mut i, mut j, mut both) = (0, 0, 0_usize);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        let order = x.cmp(y);
        i += usize::from(order != Ordering::Greater);
        j += usize::from(order != Ordering::Less);
        both += usize::from(order == Ordering::Equal);
    }
    both as f64 / (a.len() + b.len() - both).max(1) as f64
}

/// The documents that were kept so far, to be found again by what is like them.
///
/// For each band of the signatures there is a table of buckets, and a chain through the documents of each bucket. A document
/// that shares a bucket with another is compared with it by number of shingles, then by signature, then in full.
#[derive(Debug)]
pub(super) struct Near {
    threshold: f64,
    rows: usize,
    bands: usize,
    buckets: usize,
    /// `(bands, buckets)`: the last document of each chain.
    last: Vec<u32>,
    /// `(documents, bands)`: the one before it.
    before: Vec<u32>,
    kept: Vec<Kept>,
}

#[derive(Debug)]
struct Kept {
    document: usize,
    shingles: usize,
    bytes: Bytes,
    /// The last document that it was met by: it is in up to [`Near::bands`] of that document's buckets.
    met: usize,
}

impl Near {
    /// For so many documents.
    pub(super) fn new(threshold: f64, documents: usize) -> Self {
        let rows = rows(threshold);
        let (bands, buckets) = (HASHES / rows, documents.next_power_of_two());
        let last = vec![END; bands * buckets];
        Self { threshold, rows, bands, buckets, last, before: Vec::new(), kept: Vec::new() }
    }

    /// A kept document whose similarity to this one is the threshold or more, with that similarity. Never one that is less
    /// alike. `texts` gives the text of a document.
    pub(super) fn find<'a>(
        &mut self,
        document: usize,
        print: &Print,
        texts: impl Fn(usize) -> &'a str,
    ) -> Option<(usize, f64)> {
        let alike = self.candidates(document, print);
        if alike.is_empty() {
            return None;
        }
        let set = |document| shingles(&fold(texts(document)));
        let own = set(document);
        alike.into_iter().find_map(|earlier| {
            let similarity = jaccard(&own, &set(earlier));
            (similarity >= self.threshold).then_some((earlier, similarity))
        })
    }

    /// The kept documents that are worth a comparison, the most promising first.
    fn candidates(&mut self, document: usize, print: &Print) -> Vec<usize> {
        let (bytes, least) = (print.signature.bytes(), fewest_equal(self.threshold));
        let mut found = Vec::new();
        for (band, bucket) in self.places(print).into_iter().enumerate() {
            let mut next = self.last[bucket];
            while let Some(kept) = self.kept.get_mut(next as usize) {
                next = self.before[next as usize * self.bands + band];
                if std::mem::replace(&mut kept.met, document) == document {
                    continue;
                }
                let (few, many) = (kept.shingles.min(print.shingles), kept.shingles.max(print.shingles));
                let equal = kept.bytes.equal(&bytes);
                if few as f64 / many as f64 >= self.threshold && f64::from(equal) >= least {
                    found.push((u8::MAX - equal, kept.document));
                }
            }
        }
        found.sort_unstable();
        found.into_iter().take(COMPARED).map(|(_, document)| document).collect()
    }

    /// Keeps a document, to be found by later ones.
    pub(super) fn keep(&mut self, document: usize, print: &Print) {
        let Some(slot) = u32::try_from(self.kept.len()).ok().filter(|slot| *slot < END) else { return };
        for bucket in self.places(print) {
            self.before.push(std::mem::replace(&mut self.last[bucket], slot));
        }
        let bytes = print.signature.bytes();
        self.kept.push(Kept { document, shingles: print.shingles, bytes, met: document });
    }

    /// Of each band the place of the document's bucket.
    fn places(&self, print: &Print) -> Vec<usize> {
        let bucket = |hash: u64| usize::try_from(hash % self.buckets as u64).unwrap_or(0);
        let bands = print.signature.bands(self.rows).enumerate();
        bands.map(|(band, hash)| band * self.buckets + bucket(hash)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jaccard_is_the_share_of_what_both_have() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} for {b}");
        near(jaccard(&[1, 2, 3], &[2, 3, 4]), 0.5);
        near(jaccard(&[1], &[1]), 1.0);
        near(jaccard(&[1], &[2]), 0.0);
        near(jaccard(&[], &[1]), 0.0);
        near(jaccard(&[], &[]), 0.0);
    }

    #[test]
    fn shingles_are_a_set() {
        assert_eq!(shingles("a b c d").len(), 0);
        assert_eq!(shingles("a b c d e").len(), 1);
        assert_eq!(shingles(&"la ".repeat(1000)).len(), 1);
        assert_eq!(shingles("今天天气很好").len(), 2);
        assert_eq!(shingles("a b c d e f"), shingles("a  b\nc d e f"));
    }

    #[test]
    fn a_document_in_a_bucket_by_chance_is_not_like_it() {
        let minhash = MinHash::new();
        let texts = ["a b c d e f g h", "k l m n o p q r", "a b c d e f g h i"];
        let prints = texts.map(|text| Print::new(text, &minhash).unwrap());
        // One bucket a band: all documents meet.
        let mut near = Near::new(0.8, 1);
        near.keep(0, &prints[0]);
        assert_eq!(near.find(1, &prints[1], |i| texts[i]), None);
        near.keep(1, &prints[1]);
        assert_eq!(near.find(2, &prints[2], |i| texts[i]), Some((0, 0.8)));
    }
}
