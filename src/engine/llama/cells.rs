//! Room in the KV cache: sequences and the cells that they hold.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

/// What a context has, and what is left of it.
#[derive(Debug)]
pub(super) struct Room {
    cells: usize,
    used: Rc<Cell<usize>>,
    /// Ids of sequences that nothing uses; the lowest is given first, so that a run does the same every time.
    free: BinaryHeap<Reverse<i32>>,
}

impl Room {
    pub(super) fn new(cells: usize, sequences: i32) -> Self {
        Self { cells, used: Rc::default(), free: (0..sequences).map(Reverse).collect() }
    }

    /// Whether a sequence with so many cells of its own fits.
    pub(super) fn fits(&self, cells: usize) -> bool {
        !self.free.is_empty() && self.used.get() + cells <= self.cells
    }

    /// An unused sequence, and the cells that it will need beyond those it shares with `above`.
    pub(super) fn take(&mut self, cells: usize, above: Option<Rc<Segment>>) -> Option<(i32, Rc<Segment>)> {
        let Reverse(sequence) = self.free.pop()?;
        self.used.set(self.used.get() + cells);
        Some((sequence, Rc::new(Segment { cells, used: Rc::clone(&self.used), _above: above })))
    }

    /// Gives a sequence back. Its cells follow when no other sequence rests on them.
    pub(super) fn give_back(&mut self, sequence: i32) {
        self.free.push(Reverse(sequence));
    }

    /// All that there is.
    pub(super) fn cells(&self) -> usize {
        self.cells
    }
}

/// Cells that a sequence has decoded or may yet need. A copy of the sequence shares them, so they are in use until the
/// last that rests on them is gone.
#[derive(Debug)]
pub(super) struct Segment {
    cells: usize,
    used: Rc<Cell<usize>>,
    _above: Option<Rc<Segment>>,
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.used.set(self.used.get() - self.cells);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_cells_are_in_use_until_the_last_sequence_on_them_is_gone() {
        let mut room = Room::new(10, 2);
        let (prefix, block) = room.take(6, None).unwrap();
        let (leaf, own) = room.take(3, Some(Rc::clone(&block))).unwrap();
        assert_eq!((prefix, leaf), (0, 1));
        assert!(!room.fits(1), "no sequence is left");
        drop(block);
        room.give_back(prefix);
        assert!(room.fits(1) && !room.fits(2), "the leaf still rests on the block");
        drop(own);
        room.give_back(leaf);
        assert!(room.fits(10) && !room.fits(11));
        assert_eq!(room.take(10, None).unwrap().0, 0);
    }
}
