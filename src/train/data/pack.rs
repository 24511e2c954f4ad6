//! Documents into rows: best-fit decreasing, so that little of a row stays empty and no document is split.

use std::collections::BTreeMap;

/// Which documents stand in which row, by their lengths. Longest first, each goes into the row where it leaves the least
/// free, or begins a new one; equal lengths keep their order. A document longer than a row has one of its own.
///
/// Best-fit decreasing never needs more than 11/9 of the fewest rows there could be, and one (Johnson 1974).
pub(super) fn pack(lengths: &[usize], row: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    let length = |document: usize| lengths.get(document).copied().unwrap_or_default();
    order.sort_by_key(|document| std::cmp::Reverse(length(*document)));
    let mut rows: Vec<Vec<usize>> = Vec::new();
    // The rows with so much free, none of them full.
    let mut free: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for document in order {
        let needed = length(document);
        let best = free.range(needed..).next().map(|(space, _)| *space);
        let found = best.and_then(|space| Some((free.get_mut(&space)?.pop()?, space)));
        let (at, space) = found.unwrap_or((rows.len(), row.max(needed)));
        if at == rows.len() {
            rows.push(Vec::new());
        }
        if free.get(&space).is_some_and(Vec::is_empty) {
            free.remove(&space);
        }
        if let Some(documents) = rows.get_mut(at) {
            documents.push(document);
        }
        if space > needed {
            free.entry(space - needed).or_default().push(at);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rows that putting one document behind the other needs.
    fn naive(lengths: &[usize], row: usize) -> usize {
        let (mut rows, mut free) = (0, 0);
        for length in lengths {
            if *length > free {
                (rows, free) = (rows + 1, row);
            }
            free -= length;
        }
        rows
    }

    /// The lengths of the rows when every row is looked at for every document.
    fn best_fit(lengths: &[usize], row: usize) -> Vec<usize> {
        let mut lengths = lengths.to_vec();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        let mut rows: Vec<usize> = Vec::new();
        for length in lengths {
            match rows.iter_mut().filter(|filled| **filled + length <= row).max() {
                Some(filled) => *filled += length,
                None => rows.push(length),
            }
        }
        rows.sort_unstable();
        rows
    }

    #[test]
    fn a_document_goes_where_it_leaves_the_least_free() {
        // 7, 6, 5 open rows of 10; 4 fits 6's exactly, 3 fits 7's, 3 the rest of 5's.
        assert_eq!(pack(&[3, 7, 4, 6, 5, 3], 10), [vec![1, 0], vec![3, 2], vec![4, 5]]);
        assert_eq!(pack(&[], 10), Vec::<Vec<usize>>::new());
        assert_eq!(pack(&[12, 3], 10), [vec![0], vec![1]]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_nothing_is_over_and_no_more_rows_are_needed_than_naively(
            lengths in proptest::collection::vec(1_usize..=64, 0..300)
        ) {
            let rows = pack(&lengths, 64);
            let mut documents: Vec<usize> = rows.iter().flatten().copied().collect();
            documents.sort_unstable();
            prop_assert_eq!(documents, (0..lengths.len()).collect::<Vec<_>>());
            let mut filled: Vec<usize> =
                rows.iter().map(|row| row.iter().map(|document| lengths[*document]).sum()).collect();
            filled.sort_unstable();
            prop_assert!(filled.iter().all(|tokens| *tokens <= 64));
            prop_assert_eq!(filled, best_fit(&lengths, 64));
            prop_assert!(rows.len() <= naive(&lengths, 64));
            let fewest = lengths.iter().sum::<usize>().div_ceil(64);
            prop_assert!(rows.len() <= fewest * 11 / 9 + fewest + 1);
        }
    }
}
