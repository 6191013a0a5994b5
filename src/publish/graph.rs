//! Which asset refers to which, and the order in which they can be named.
//!
//! An asset's name depends on its bytes, and those hold the names of what it
//! refers to. So leaves come first, and assets that refer to each other in a
//! circle are named together.

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

/// Assets that are named together, by their place in the list of files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Component {
    /// In ascending order.
    pub(super) members: Vec<usize>,
    /// Whether the members refer to each other, or the only one to itself.
    pub(super) cyclic: bool,
}

/// Groups assets into levels: whatever a component refers to lies in a level
/// before its own. `references[n]` is what asset `n` refers to.
///
/// The result depends on the references alone, not on the order they are in.
pub(super) fn levels(references: &[Vec<usize>]) -> Vec<Vec<Component>> {
    let (graph, nodes) = graph(references);
    let mut level_of = vec![0; references.len()];
    let mut levels: Vec<Vec<Component>> = Vec::new();
    levels.extend(leaves(references));
    // Kosaraju's algorithm and not Tarjan's: petgraph's form of the latter
    // recurses, and a long chain of imports would overflow the stack. Both
    // give components before those that refer to them.
    for members in kosaraju_scc(&graph) {
        let members = members.into_iter().map(|node| nodes[node.index()]);
        let component = component(members.collect(), references);
        let level = level(&component, references, &level_of);
        for member in &component.members {
            level_of[*member] = level;
        }
        if levels.len() <= level {
            levels.resize_with(level + 1, Vec::new);
        }
        levels[level].push(component);
    }
    for level in &mut levels {
        level.sort_by(|one, other| one.members.cmp(&other.members));
    }
    levels
}

/// Assets that refer to nothing, which most do: all of the lowest level, without
/// a graph.
fn leaves(references: &[Vec<usize>]) -> Option<Vec<Component>> {
    let leaves = references.iter().enumerate().filter(|(_, targets)| targets.is_empty());
    let leaf = |(place, _)| Component { members: vec![place], cyclic: false };
    let leaves: Vec<Component> = leaves.map(leaf).collect();
    (!leaves.is_empty()).then_some(leaves)
}

/// The graph of all other assets, and the place of each of its nodes.
fn graph(references: &[Vec<usize>]) -> (DiGraph<(), (), usize>, Vec<usize>) {
    let nodes: Vec<usize> =
        (0..references.len()).filter(|place| !references[*place].is_empty()).collect();
    let mut graph = DiGraph::default();
    for _ in &nodes {
        graph.add_node(());
    }
    for (from, place) in nodes.iter().enumerate() {
        for to in references[*place].iter().filter_map(|to| nodes.binary_search(to).ok()) {
            graph.add_edge(NodeIndex::new(from), NodeIndex::new(to), ());
        }
    }
    (graph, nodes)
}

fn component(mut members: Vec<usize>, references: &[Vec<usize>]) -> Component {
    members.sort_unstable();
    let cyclic = members.len() > 1 || members.iter().any(|only| references[*only].contains(only));
    Component { members, cyclic }
}

/// One more than the highest level that the component refers to outside itself.
fn level(component: &Component, references: &[Vec<usize>], level_of: &[usize]) -> usize {
    let members = &component.members;
    let targets = members.iter().flat_map(|member| &references[*member]);
    let outside = targets.filter(|target| members.binary_search(target).is_err());
    outside.map(|target| level_of[*target] + 1).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(references: &[&[usize]]) -> Vec<Vec<(Vec<usize>, bool)>> {
        let references: Vec<_> = references.iter().map(|targets| targets.to_vec()).collect();
        let levels = levels(&references).into_iter();
        levels.map(|level| level.into_iter().map(|c| (c.members, c.cyclic)).collect()).collect()
    }

    #[test]
    fn leaves_come_first() {
        // page 0 → sheet 1 → font 2; page 0 → image 3
        let found = shape(&[&[1, 3], &[2], &[], &[]]);
        let one = |n| (vec![n], false);
        assert_eq!(found, [vec![one(2), one(3)], vec![one(1)], vec![one(0)]]);
    }

    #[test]
    fn assets_in_a_circle_are_named_together() {
        // 0 → 1 → 2 → 1, 2 → 3, 4 → 4
        let found = shape(&[&[1], &[2], &[3, 1], &[], &[4]]);
        let expected = [
            vec![(vec![3], false), (vec![4], true)],
            vec![(vec![1, 2], true)],
            vec![(vec![0], false)],
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_order_of_references_does_not_matter() {
        assert_eq!(shape(&[&[1, 2], &[2, 0], &[]]), shape(&[&[2, 1], &[0, 2], &[]]));
    }

    #[test]
    fn a_chain_of_any_length_is_no_deeper_than_a_short_one() {
        let chain: Vec<Vec<usize>> = (0..200_000).map(|n| vec![n + 1]).chain([vec![]]).collect();
        let levels = levels(&chain);
        assert_eq!(levels.len(), 200_001);
        assert_eq!(levels[0][0].members, [200_000]);
    }
}
