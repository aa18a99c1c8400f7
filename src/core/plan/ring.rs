//! Counting tickets: how many hashes draw this ticket here and that ticket there.
//!
//! A ticket is `hash % total`. Two draws with one salt see the same hash, so together they repeat with the
//! least common multiple of their totals; hashes are counted over that period and the rest of 2^32.

use super::part::{HASHES, Part, Spans};
use crate::limits;

/// Tickets of a draw: how many there are, and the span of those meant.
pub(super) type Tickets = (u64, (u64, u64));

/// The part of units that draw a ticket in `span` of `total`.
pub(super) fn tickets(total: u64, span: (u64, u64)) -> Part {
    residues(total.max(1), &Spans::from_sorted(std::iter::once(span)))
}

/// The part of units that draw a ticket of `a` in one draw and of `b` in another with the same salt.
pub(super) fn both_tickets(a: Tickets, b: Tickets) -> Part {
    // Totals within limits have at most 10 000 spans each; what no check has passed is not counted.
    let fits = |total: u64| total <= u64::from(limits::WEIGHT_TOTAL);
    let period = least_common_multiple(a.0.max(1), b.0.max(1)).filter(|_| fits(a.0) && fits(b.0));
    let Some(period) = period else {
        return Part::NONE;
    };
    residues(period, &repeated(a, period).and(&repeated(b, period)))
}

/// The part of hashes whose remainder by `period` is in `spans`.
pub(super) fn residues(period: u64, spans: &Spans) -> Part {
    Part::of_hashes(count(HASHES, period, spans))
}

/// How many numbers below `end` have a remainder by `period` in `spans`.
fn count(end: u64, period: u64, spans: &Spans) -> u64 {
    let (whole, rest) = (end / period, end % period);
    let each = spans.iter().map(|(from, to)| {
        let in_rest = to.min(rest).saturating_sub(from);
        whole * (to - from) + in_rest
    });
    each.sum()
}

/// The residues of `period`, a multiple of the total, that draw a ticket meant.
pub(super) fn repeated((total, (from, to)): Tickets, period: u64) -> Spans {
    let total = total.max(1);
    Spans::from_sorted((0..period / total).map(|turn| (turn * total + from, turn * total + to)))
}

/// The least common multiple, where it is below the number of hashes.
pub(super) fn least_common_multiple(a: u64, b: u64) -> Option<u64> {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    a.checked_div(x)?
        .checked_mul(b)
        .filter(|multiple| *multiple <= HASHES)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn counting_residues_equals_trying_them_all(
            end in 0..3_000_u64, a in 1..40_u64, b in 1..40_u64, from in 0..40_u64, length in 0..40_u64, other in 0..40_u64
        ) {
            let x = (from.min(a), (from + length).min(a));
            let y = (other.min(b), (other + length).min(b));
            let period = least_common_multiple(a, b).unwrap();
            let both = repeated((a, x), period).and(&repeated((b, y), period));
            let tried = (0..end).filter(|hash| {
                (x.0..x.1).contains(&(hash % a)) && (y.0..y.1).contains(&(hash % b))
            });
            prop_assert_eq!(count(end, period, &both), tried.count() as u64);
        }
    }

    #[test]
    fn all_tickets_are_all_units() {
        assert_eq!(tickets(7, (0, 7)), Part::ALL);
        assert_eq!(
            both_tickets((9_999, (0, 9_999)), (10_000, (0, 10_000))),
            Part::ALL
        );
        let each: Part = (0..3).fold(Part::NONE, |sum, n| sum.plus(tickets(3, (n, n + 1))));
        assert_eq!(each, Part::ALL);
    }
}
