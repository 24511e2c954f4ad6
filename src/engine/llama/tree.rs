//! What token lists share: a radix tree over them, in which every shared beginning stands once.
//!
//! Pure and without llama.cpp. A *line* is one list of tokens that has to be decoded; a *node* is a run of tokens between
//! two places where lines part or end.

use crate::engine::Token;

/// The tree over some lines.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    /// The nodes without a parent, in the order of their tokens.
    pub(super) roots: Vec<usize>,
}

/// A run of tokens that belongs to all lines below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) parent: Option<usize>,
    /// In the order of their tokens.
    pub(super) children: Vec<usize>,
    /// The first of the lines below it; its tokens `start..end` are the node's.
    pub(super) line: usize,
    /// Position of its first token.
    pub(super) start: usize,
    /// Position behind its last token.
    pub(super) end: usize,
    /// The lines that end with it.
    pub(super) ends: Vec<usize>,
}

impl Tree {
    /// Lays out lines, none of them empty. Time: a sort, and one look at each token.
    pub(super) fn new(lines: &[&[Token]]) -> Self {
        let mut order: Vec<usize> = (0..lines.len()).collect();
        order.sort_by_key(|&line| lines.get(line));
        let mut tree = Self::default();
        // From a root to the node where the line before ended.
        let mut path: Vec<usize> = Vec::new();
        let mut before: &[Token] = &[];
        for line in order {
            let Some(&tokens) = lines.get(line) else { continue };
            let shared = tokens.iter().zip(before).take_while(|(a, b)| a == b).count();
            while path.last().is_some_and(|&top| tree.start(top) >= shared) {
                path.pop();
            }
            if let Some(&top) = path.last() {
                tree.split(top, shared);
            }
            match path.last() {
                // Sorted, a line is never shorter than what it shares with the one before.
                Some(&top) if tokens.len() == shared => tree.end_at(top, line),
                top => {
                    let node = tree.add(top.copied(), line, shared..tokens.len());
                    path.push(node);
                }
            }
            before = tokens;
        }
        tree
    }

    /// Tokens in all nodes: the least that has to be decoded.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.nodes.iter().map(|node| node.end - node.start).sum()
    }

    /// Where the nodes above a node are, from the nearest to the root.
    pub(super) fn ancestors(&self, node: usize) -> impl Iterator<Item = usize> {
        let parent = |node: usize| self.nodes.get(node).and_then(|node| node.parent);
        std::iter::successors(parent(node), move |&above| parent(above))
    }

    fn start(&self, node: usize) -> usize {
        self.nodes.get(node).map_or(0, |node| node.start)
    }

    fn end_at(&mut self, node: usize, line: usize) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.ends.push(line);
        }
    }

    fn add(&mut self, parent: Option<usize>, line: usize, span: std::ops::Range<usize>) -> usize {
        let index = self.nodes.len();
        let (start, end) = (span.start, span.end);
        self.nodes.push(Node { parent, children: Vec::new(), line, start, end, ends: vec![line] });
        match parent.and_then(|parent| self.nodes.get_mut(parent)) {
            Some(parent) => parent.children.push(index),
            None => self.roots.push(index),
        }
        index
    }

    /// Ends a node at a position inside it; what came behind becomes its only child.
    fn split(&mut self, index: usize, at: usize) {
        let below = self.nodes.len();
        let Some(node) = self.nodes.get_mut(index).filter(|node| node.start < at && at < node.end) else { return };
        let lower = Node { parent: Some(index), start: at, ..node.clone() };
        node.end = at;
        node.ends = Vec::new();
        node.children = vec![below];
        for &child in &lower.children {
            if let Some(child) = self.nodes.get_mut(child) {
                child.parent = Some(below);
            }
        }
        self.nodes.push(lower);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn tree(lines: &[&str]) -> Tree {
        let lines: Vec<Vec<Token>> = lines.iter().map(|line| line.bytes().map(Token::from).collect()).collect();
        Tree::new(&lines.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    /// Each node as its text and the lines that end there, children indented.
    fn drawn(tree: &Tree, lines: &[&str]) -> String {
        fn draw(tree: &Tree, lines: &[&str], node: usize, depth: usize, out: &mut String) {
            let Node { line, start, end, ends, children, .. } = &tree.nodes[node];
            *out += &format!("{}{} {ends:?}\n", "  ".repeat(depth), &lines[*line][*start..*end]);
            for child in children {
                draw(tree, lines, *child, depth + 1, out);
            }
        }
        let mut out = String::new();
        for root in &tree.roots {
            draw(tree, lines, *root, 0, &mut out);
        }
        out
    }

    #[test]
    fn every_shared_beginning_stands_once() {
        let lines = ["shots: two", "shots: one", "shots: one more", "else", "shots: one"];
        insta::assert_snapshot!(drawn(&tree(&lines), &lines), @r"
        else [3]
        shots:  []
          one [1, 4]
             more [2]
          two [0]
        ");
    }

    #[test]
    fn a_line_that_is_the_beginning_of_others_ends_at_their_parent() {
        let lines = ["ab", "a", "abc", "abd"];
        insta::assert_snapshot!(drawn(&tree(&lines), &lines), @r"
        a [1]
          b [0]
            c [2]
            d [3]
        ");
    }

    #[test]
    fn no_lines_are_no_tree() {
        assert!(tree(&[]).nodes.is_empty());
    }

    proptest! {
        /// Against the naive count: the set of all prefixes.
        #[test]
        fn it_has_as_many_tokens_as_there_are_different_prefixes(lines in prop::collection::vec("[ab]{1,8}", 0..40)) {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let tree = tree(&lines);
            let prefixes: HashSet<&str> = lines.iter().flat_map(|line| (1..=line.len()).map(|end| &line[..end])).collect();
            prop_assert_eq!(tree.size(), prefixes.len());
            let mut ends: Vec<usize> = tree.nodes.iter().flat_map(|node| node.ends.clone()).collect();
            ends.sort_unstable();
            prop_assert_eq!(ends, (0..lines.len()).collect::<Vec<_>>());
            for (index, node) in tree.nodes.iter().enumerate() {
                prop_assert!(node.start < node.end);
                prop_assert!(node.ends.iter().all(|line| lines[*line].len() == node.end));
                prop_assert!(node.children.iter().all(|child| tree.nodes[*child].parent == Some(index)));
                let above = tree.ancestors(index).last().unwrap_or(index);
                prop_assert!(tree.roots.contains(&above));
            }
        }
    }
}
