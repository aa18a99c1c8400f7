//! No device believes an answer for longer than it says: a pure check of what nodes answered against when
//! kills were acknowledged.
//!
//! A kill that was acknowledged is in the ledger. So an answer that still says `run` may only claim to be
//! fresh as of a time before that, and nobody believes it for longer than its lease after that. Both ends are
//! looked at: what a stamp claims, and how old the answer truly was when it was still believed. Times are the
//! harness's own clock, which is also the store's: one machine.

use std::collections::BTreeMap;

/// What a node answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) app: usize,
    pub(crate) runs: bool,
    /// When it was asked for, and when it came, Unix ms.
    pub(crate) asked: u64,
    pub(crate) came: u64,
    /// What the stamp says; none: there is no stamp, so no device believes it.
    pub(crate) stamp: Option<(u64, u64)>,
}

/// A time in which an app was killed beyond doubt: from the acknowledgement, until somebody asked to let it
/// run again. Unix ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopped {
    pub(crate) app: usize,
    pub(crate) from: u64,
    pub(crate) until: u64,
    /// Whether the ledger had it by then; a provisional kill binds only the nodes that heard of it.
    pub(crate) ordered: bool,
    /// The instant after which its receipt says that no valid older answer exists.
    pub(crate) complete_by: Option<u64>,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It claims a time that had not come when it was given.
    Future { answer: Answer },
    /// It says `run` as of a time at which the kill was acknowledged already.
    Invented { answer: Answer, killed: u64 },
    /// It said `run` after the kill, and was believed for longer than its lease.
    Outlived { answer: Answer, age: u64 },
    /// It said `run` and was valid after the receipt of the kill said that no such answer is.
    Incomplete { answer: Answer, complete_by: u64 },
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) answers: usize,
    /// Answers that were no longer true and still believed: what a lease is for.
    pub(crate) stale: usize,
    /// The greatest true age of one of them, in ms.
    pub(crate) oldest: u64,
    /// Answers that said themselves that they were over.
    pub(crate) over: usize,
    pub(crate) faults: Vec<Fault>,
}

/// Holds `answers` against when apps were `stopped`.
pub(crate) fn look(answers: &[Answer], stopped: &[Stopped]) -> Seen {
    let mut times: BTreeMap<usize, Vec<Stopped>> = BTreeMap::new();
    for one in stopped {
        times.entry(one.app).or_default().push(*one);
    }
    let mut seen = Seen {
        answers: answers.len(),
        ..Seen::default()
    };
    for answer in answers {
        let Some((asof, lease)) = answer.stamp else {
            continue;
        };
        if asof > answer.came {
            seen.faults.push(Fault::Future { answer: *answer });
        }
        let is_over = asof + lease < answer.came;
        seen.over += usize::from(is_over);
        let contradicts = |one: &&Stopped| one.from < answer.asked && answer.came < one.until;
        let killed = times.get(&answer.app).into_iter().flatten();
        let Some(killed) = killed.filter(|_| answer.runs).find(contradicts) else {
            continue;
        };
        if let Some(complete_by) = killed.complete_by
            && answer.came > complete_by
            && !is_over
        {
            let answer = *answer;
            seen.faults.push(Fault::Incomplete {
                answer,
                complete_by,
            });
        }
        if !killed.ordered {
            continue;
        }
        if asof > killed.from {
            let (answer, killed) = (*answer, killed.from);
            seen.faults.push(Fault::Invented { answer, killed });
        }
        if !is_over {
            let age = answer.came - killed.from;
            seen.stale += 1;
            seen.oldest = seen.oldest.max(age);
            if age > lease {
                let answer = *answer;
                seen.faults.push(Fault::Outlived { answer, age });
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: u64 = 5_000;

    fn told(runs: bool, at: u64, asof: u64) -> Answer {
        Answer {
            app: 0,
            runs,
            asked: at,
            came: at + 2,
            stamp: Some((asof, LEASE)),
        }
    }

    const KILLED: Stopped = Stopped {
        app: 0,
        from: 1_000,
        until: 60_000,
        ordered: true,
        complete_by: None,
    };

    /// Killed at 1000, asked to run again at 60 000; a node that is cut off goes on with what it knew.
    #[test]
    fn an_honest_node_that_is_cut_off_has_no_fault_and_ages() {
        let stopped = [KILLED];
        let answers: Vec<Answer> = (0..120)
            .map(|n| told(true, n * 500, (n * 500).min(900)))
            .collect();
        let seen = look(&answers, &stopped);
        assert_eq!(seen.faults, []);
        assert_eq!((seen.stale, seen.oldest), (9, 4_502));
        assert!(seen.over > 100, "{seen:?}");
    }

    /// Planted: every way in which a node could lie about how fresh it is.
    #[test]
    fn whoever_invents_freshness_is_found_out() {
        let stopped = [KILLED];
        let now = told(true, 3_000, 2_999);
        let future = told(true, 500, 900);
        let mut long = told(true, 9_000, 900);
        long.stamp = Some((900, 60_000));
        let mut forever = told(true, 9_000, 900);
        forever.stamp = Some((900, 8_101));
        let kinds = |answer: Answer| look(&[answer], &stopped).faults;
        assert!(matches!(kinds(now)[..], [Fault::Invented { .. }]));
        assert!(matches!(kinds(future)[..], [Fault::Future { .. }]));
        assert_eq!(kinds(long), [], "a long lease is kept, if it is stated");
        assert_eq!(kinds(forever), [], "the last moment still counts");
        let invented = told(true, 9_000, 8_999);
        assert!(
            matches!(
                kinds(invented)[..],
                [Fault::Invented { .. }, Fault::Outlived { age: 8_002, .. }]
            ),
            "{:?}",
            kinds(invented)
        );
        // What says `killed`, and what was asked before the kill was acknowledged, is no fault.
        assert_eq!(kinds(told(false, 3_000, 2_999)), []);
        assert_eq!(kinds(told(true, 999, 998)), []);
    }

    /// Planted: receipts that promise too much; and what a provisional kill does not promise.
    #[test]
    fn a_receipt_that_promises_too_much_is_found_out() {
        let receipt = |complete_by, ordered| Stopped {
            ordered,
            complete_by: Some(complete_by),
            ..KILLED
        };
        let late = told(true, 5_000, 900);
        for ordered in [true, false] {
            let found = look(&[late], &[receipt(4_000, ordered)]).faults;
            assert!(matches!(found[..], [Fault::Incomplete { .. }]), "{found:?}");
            assert_eq!(look(&[late], &[receipt(5_900, ordered)]).faults, []);
        }
        // A node that did not hear of a provisional kill may go on proving the end of the ledger.
        let unheard = told(true, 5_000, 4_999);
        let provisional = Stopped {
            ordered: false,
            ..KILLED
        };
        assert_eq!(look(&[unheard], &[provisional]).faults, []);
    }
}
