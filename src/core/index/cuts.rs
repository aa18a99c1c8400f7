//! Ranges as cuts on a line: between two cuts the same rules hold, so a stated value is placed once, however many
//! rules ask for a range of it.
//!
//! It must place every value exactly as comparing it with each range would.

use std::cmp::Ordering;

use semver::Version;

use crate::version_range::Dotted;

/// A place before or after a value. Places are ordered as the line is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cut<K> {
    pub(super) value: K,
    pub(super) after: bool,
}

impl<K> Cut<K> {
    pub(super) const fn before(value: K) -> Self {
        Self {
            value,
            after: false,
        }
    }

    pub(super) const fn after(value: K) -> Self {
        Self { value, after: true }
    }

    /// True when `stated` lies behind this cut, given how the cut's value compares with it.
    const fn is_passed(&self, value_to_stated: Ordering) -> bool {
        match value_to_stated {
            Ordering::Less => true,
            Ordering::Equal => !self.after,
            Ordering::Greater => false,
        }
    }
}

/// From the first cut, or the beginning, to the second, or the end.
pub(super) type Span<K> = (Option<Cut<K>>, Option<Cut<K>>);

/// A version without its build metadata, which has no place in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plain(pub(super) Version);

impl PartialOrd for Plain {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Plain {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp_precedence(&other.0)
    }
}

/// The cuts of one question and, for each stretch between them, the rules that want it.
#[derive(Debug)]
pub(super) struct Cuts<K, const N: usize> {
    cuts: Box<[Cut<K>]>,
    stretches: Box<[[u64; N]]>,
}

impl<K: Ord + Clone, const N: usize> Cuts<K, N> {
    /// The cuts of these ranges, each wanted by a rule.
    pub(super) fn new(spans: &[(usize, Span<K>)]) -> Self {
        let ends = spans.iter().flat_map(|(_, (from, to))| [from, to]);
        let mut cuts: Vec<Cut<K>> = ends.flatten().cloned().collect();
        cuts.sort_unstable();
        cuts.dedup();
        let mut stretches = vec![[0; N]; cuts.len() + 1];
        for (rule, (from, to)) in spans {
            let place = |cut: &Cut<K>| cuts.partition_point(|one| one <= cut);
            let first = from.as_ref().map_or(0, place);
            let end = to.as_ref().map_or(stretches.len(), place);
            for stretch in stretches.iter_mut().take(end).skip(first) {
                stretch[rule / 64] |= 1 << (rule % 64);
            }
        }
        Self {
            cuts: cuts.into(),
            stretches: stretches.into(),
        }
    }

    fn stretch(&self, compare: impl Fn(&K) -> Ordering) -> &[u64; N] {
        let passed = |cut: &Cut<K>| cut.is_passed(compare(&cut.value));
        &self.stretches[self.cuts.partition_point(passed)]
    }
}

impl<const N: usize> Cuts<i64, N> {
    pub(super) fn of_number(&self, stated: i64) -> &[u64; N] {
        self.stretch(|value| value.cmp(&stated))
    }
}

impl<const N: usize> Cuts<Dotted, N> {
    pub(super) fn of_dotted(&self, stated: &Dotted) -> &[u64; N] {
        self.stretch(|value| value.cmp(stated))
    }
}

/// Cuts between versions. Those that devices state are nearly always three small numbers: they are
/// compared as one.
#[derive(Debug)]
pub(super) struct VersionCuts<const N: usize> {
    packed: Box<[u64]>,
    cuts: Cuts<Plain, N>,
}

const FIELD_BITS: u32 = 21;
/// Stands for every number that is not smaller.
const FIELD_MOST: u64 = (1 << FIELD_BITS) - 1;

/// Three numbers and whether they are a release, as one number in the same order. Exact against a version whose
/// numbers are all below [`FIELD_MOST`] and which is a release.
fn packed(version: &Version) -> u64 {
    let field = |field: u64| field.min(FIELD_MOST);
    let numbers = (field(version.major) << FIELD_BITS | field(version.minor)) << FIELD_BITS
        | field(version.patch);
    numbers << 1 | u64::from(version.pre.is_empty())
}

impl<const N: usize> VersionCuts<N> {
    pub(super) fn new(spans: &[(usize, Span<Plain>)]) -> Self {
        let cuts = Cuts::new(spans);
        // After a version begins what is at least one more than it.
        let packed = |cut: &Cut<Plain>| packed(&cut.value.0).saturating_add(u64::from(cut.after));
        Self {
            packed: cuts.cuts.iter().map(packed).collect(),
            cuts,
        }
    }

    #[inline]
    pub(super) fn of_version(&self, stated: &Version) -> &[u64; N] {
        let small = |field: u64| field < FIELD_MOST;
        let exact = small(stated.major) && small(stated.minor) && small(stated.patch);
        if exact && stated.pre.is_empty() {
            let stated = packed(stated);
            let place = if self.packed.len() <= 16 {
                // A handful is counted quicker than halved.
                let passed = self.packed.iter().filter(|cut| **cut <= stated);
                passed.count()
            } else {
                self.packed.partition_point(|cut| *cut <= stated)
            };
            return &self.cuts.stretches[place];
        }
        self.cuts.stretch(|value| value.0.cmp_precedence(stated))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;
    use crate::version_range::VersionRange;

    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![
            0..4_u64,
            FIELD_MOST - 1..FIELD_MOST + 2,
            u64::MAX - 1..=u64::MAX
        ]
    }

    fn version() -> impl Strategy<Value = Version> {
        let pre = select(vec!["", "", "-0", "-rc.1", "-rc.1.0", "+b7"]);
        (number(), number(), number(), pre)
            .prop_map(|(a, b, c, pre)| format!("{a}.{b}.{c}{pre}").parse().unwrap())
    }

    fn range() -> impl Strategy<Value = VersionRange> {
        let op = select(vec![">=", ">", "<", "<=", "=", "^", "~"]);
        (op, version()).prop_filter_map("a range", |(op, version)| {
            format!("{op}{version}").parse().ok()
        })
    }

    proptest! {
        #[test]
        fn a_version_is_placed_as_each_range_would(
            ranges in prop::collection::vec(range(), 1..40), stated in prop::collection::vec(version(), 20)
        ) {
            let spans: Vec<_> = ranges.iter().map(super::super::build::version_span).enumerate().collect();
            let cuts = VersionCuts::<1>::new(&spans);
            for version in &stated {
                let mask = cuts.of_version(version);
                for (rule, range) in ranges.iter().enumerate() {
                    let held = mask[rule / 64] >> (rule % 64) & 1 == 1;
                    prop_assert_eq!(held, range.matches(version), "{} {}", range, version);
                }
            }
        }
    }
}
