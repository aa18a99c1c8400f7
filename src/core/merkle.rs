//! The Merkle tree over the records of the ledger, as RFC 6962 (section 2.1) defines it.
//!
//! One root stands for every record there is, in order. A proof of inclusion shows that a record is under a
//! root; a proof of consistency shows that a larger tree began as a smaller one. A [`Frontier`] grows a tree
//! without remembering its leaves. Nothing here knows what a leaf means.

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;

/// The hash of a leaf.
pub fn leaf(bytes: &[u8]) -> Digest {
    Digest::from_hasher(Sha256::new().chain_update([0]).chain_update(bytes))
}

/// The hash of two subtrees.
pub fn node(left: &Digest, right: &Digest) -> Digest {
    let hasher = Sha256::new()
        .chain_update([1])
        .chain_update(left.as_bytes())
        .chain_update(right.as_bytes());
    Digest::from_hasher(hasher)
}

/// The root of no leaf at all.
pub fn empty() -> Digest {
    Digest::of(&[])
}

/// The largest power of two below `count`, which is 2 at least.
const fn split(count: usize) -> usize {
    let half = count.div_ceil(2);
    half.next_power_of_two()
}

/// The root over these leaves' hashes.
pub fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => empty(),
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(&root(left), &root(right))
        }
    }
}

/// What shows that leaf `at` is under the root; none when there is no such leaf.
pub fn inclusion(leaves: &[Digest], at: usize) -> Option<Vec<Digest>> {
    if at >= leaves.len() {
        return None;
    }
    if leaves.len() == 1 {
        return Some(Vec::new());
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, sibling) = if at < left.len() {
        (inclusion(left, at)?, root(right))
    } else {
        (inclusion(right, at - left.len())?, root(left))
    };
    path.push(sibling);
    Some(path)
}

/// The root that `leaf` at place `at` of `size` leads to by `path`; none when the path has another length.
pub fn included(leaf: &Digest, at: u64, size: u64, path: &[Digest]) -> Option<Digest> {
    if at >= size {
        return None;
    }
    let (mut at, mut last, mut hash) = (at, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if at % 2 == 1 || at == last {
            hash = node(sibling, &hash);
            while at.is_multiple_of(2) && at != 0 {
                at /= 2;
                last /= 2;
            }
        } else {
            hash = node(&hash, sibling);
        }
        at /= 2;
        last /= 2;
    }
    (last == 0).then_some(hash)
}

/// What shows that the tree over these leaves began as the tree over the first `size` of them; none when
/// there were never so few or so many.
pub fn consistency(leaves: &[Digest], size: usize) -> Option<Vec<Digest>> {
    let fits = (1..=leaves.len()).contains(&size);
    fits.then(|| subproof(leaves, size, true))
}

fn subproof(leaves: &[Digest], size: usize, is_whole: bool) -> Vec<Digest> {
    if size == leaves.len() {
        return if is_whole {
            Vec::new()
        } else {
            vec![root(leaves)]
        };
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, sibling) = if size <= left.len() {
        (subproof(left, size, is_whole), root(right))
    } else {
        (subproof(right, size - left.len(), false), root(left))
    };
    path.push(sibling);
    path
}

/// True when a tree of `size` leaves with root `new` began as one of `before` leaves with root `old`.
pub fn is_consistent(before: u64, old: &Digest, size: u64, new: &Digest, path: &[Digest]) -> bool {
    if before == 0 || before > size {
        return false;
    }
    if before == size {
        return path.is_empty() && old == new;
    }
    let mut path = path.iter();
    let (mut at, mut last) = (before - 1, size - 1);
    while at % 2 == 1 {
        at /= 2;
        last /= 2;
    }
    // A complete tree is the beginning itself; else the path says what the beginning is.
    let first = if before.is_power_of_two() {
        Some(old)
    } else {
        path.next()
    };
    let Some(first) = first else {
        return false;
    };
    let (mut was, mut is) = (*first, *first);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at % 2 == 1 || at == last {
            was = node(sibling, &was);
            is = node(sibling, &is);
            while at.is_multiple_of(2) && at != 0 {
                at /= 2;
                last /= 2;
            }
        } else {
            is = node(&is, sibling);
        }
        at /= 2;
        last /= 2;
    }
    last == 0 && was == *old && is == *new
}

/// A tree that only grows: the roots of its complete subtrees, largest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    roots: Vec<Digest>,
}

impl Frontier {
    /// The frontier of `size` leaves with these roots; none when there must be another number of them.
    pub fn new(size: u64, roots: Vec<Digest>) -> Option<Self> {
        (roots.len() == size.count_ones() as usize).then_some(Self { size, roots })
    }

    /// How many leaves there are.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, largest first.
    pub fn roots(&self) -> &[Digest] {
        &self.roots
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Digest) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                hash = node(&left, &hash);
            }
        }
        self.roots.push(hash);
        self.size += 1;
    }

    /// The root.
    pub fn root(&self) -> Digest {
        let mut roots = self.roots.iter().rev();
        let Some(last) = roots.next() else {
            return empty();
        };
        roots.fold(*last, |right, left| node(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaves(count: usize) -> Vec<Digest> {
        (0..count).map(|n| leaf(&[n as u8, 7])).collect()
    }

    /// The leaves and roots that the tests of RFC 6962's reference implementation publish.
    #[test]
    fn the_published_roots_come_out() {
        let inputs: [&[u8]; 8] = [
            b"",
            &[0x00],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            &[
                0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d,
                0x6e, 0x6f,
            ],
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let hashes: Vec<Digest> = inputs.iter().map(|bytes| leaf(bytes)).collect();
        let mut frontier = Frontier::default();
        assert_eq!(frontier.root().to_hex(), empty().to_hex());
        for (count, expected) in (1..).zip(roots) {
            frontier.push(hashes[count - 1]);
            assert_eq!(root(&hashes[..count]).to_hex(), expected);
            assert_eq!(frontier.root().to_hex(), expected);
        }
    }

    #[test]
    fn every_proof_holds_and_no_other() {
        for size in 1..=33 {
            let leaves = leaves(size);
            let whole = root(&leaves);
            for at in 0..size {
                let path = inclusion(&leaves, at).unwrap();
                let led = |at: usize, size: usize, path: &[Digest]| {
                    included(&leaves[at], at as u64, size as u64, path)
                };
                assert_eq!(led(at, size, &path), Some(whole));
                for wrong in 0..path.len() {
                    let mut path = path.clone();
                    path[wrong] = leaf(b"another");
                    assert_ne!(led(at, size, &path), Some(whole));
                    assert_ne!(led(at, size, &path[..wrong]), Some(whole));
                }
            }
            for before in 1..=size {
                let old = root(&leaves[..before]);
                let path = consistency(&leaves, before).unwrap();
                let holds = |old: &Digest, new: &Digest, path: &[Digest]| {
                    is_consistent(before as u64, old, size as u64, new, path)
                };
                assert!(holds(&old, &whole, &path), "{before} of {size}");
                let other = leaf(b"another");
                assert!(!holds(&other, &whole, &path) && !holds(&old, &other, &path));
                for wrong in 0..path.len() {
                    let mut path = path.clone();
                    path[wrong] = other;
                    assert!(!holds(&old, &whole, &path), "{before} of {size}, {wrong}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_frontier_is_the_tree_and_can_be_taken_up_anywhere(count in 1_usize..200, cut in 0_usize..200) {
            let leaves = leaves(count);
            let mut grown = Frontier::default();
            let cut = cut.min(count);
            leaves[..cut].iter().for_each(|leaf| grown.push(*leaf));
            let mut again = Frontier::new(cut as u64, grown.roots().to_vec()).unwrap();
            leaves[cut..].iter().for_each(|leaf| again.push(*leaf));
            prop_assert_eq!(again.root(), root(&leaves));
            prop_assert_eq!(again.size(), count as u64);
            prop_assert_eq!(Frontier::new(count as u64 + 1, vec![empty(); 70]), None);
        }
    }
}
