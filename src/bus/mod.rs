//! The bus: hints between nodes, so that a change is looked for at once and not at the next tick.
//!
//! Lossy by contract: a hint may be lost, repeated, late, out of order, or a lie, and nothing is decided
//! by it: it only says *look at the ledger*. What matters is to know when hints may have been missed:
//! every subscription begins with [`Wake::Reconnected`], and so does every stretch after a disconnection,
//! a reconnection, or an overflow. The suite in [`contract`] is the definition of the trait.
//!
//! ```text
//! mod.rs       the trait, hints and their wire form
//! local.rs     one process
//! redis.rs     many, through Redis
//! counts.rs    beside the hints: live counts of all nodes, in the same Redis
//! beats.rs     likewise: what each node says of itself
//! turns.rs     likewise: which of them does what one of them should do
//! contract.rs  what both promise
//! ```

pub mod beats;
pub mod contract;
pub mod counts;
pub mod local;
pub mod redis;
pub mod turns;

use std::{fmt, str::FromStr};

use bytes::Bytes;
use huidu_core::{limits, revision::Revision};
use tokio::sync::broadcast::{self, error::RecvError};

/// Wakes kept for one subscriber; one that lags further behind is told to read the ledger instead.
pub(crate) const WAKES: usize = 256;

/// Carries hints to whoever subscribed, this node included.
pub trait Bus: Send + Sync + 'static {
    /// Sends a hint, soon or never. Returns at once and never fails the caller; failures are counted.
    fn publish(&self, hint: Hint);

    /// Carries a notice of a kill to everybody who listens, soon or never. Returns at once and never fails the caller.
    fn spread(&self, notice: Bytes);

    /// Notices from now on, this node's own among them. Nothing of them was looked at but how long they are.
    fn notices(&self) -> Notices;

    /// What comes from now on.
    fn subscribe(&self) -> Wakes;

    /// Whether hints come and go at the moment.
    fn healthy(&self) -> bool;

    /// What has happened so far, for metrics.
    fn counts(&self) -> Counts;
}

/// The ledger has, or may soon have, this revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hint {
    /// The revision.
    pub rev: Revision,
    /// Whether something must stop running.
    pub urgent: bool,
}

/// Why to look at the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// There may be something new.
    Hint(Hint),
    /// Hints may have been missed.
    Reconnected,
}

/// What has happened on a bus, in this process, since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Hints handed over to be sent.
    pub published: u64,
    /// Of these, the ones that are known not to have been sent.
    pub failed: u64,
    /// Messages that were no hint.
    pub malformed: u64,
    /// How often the connection came to be.
    pub connected: u64,
}

/// Why a message is not a hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hint is a revision without leading zeros, with `!` behind it when it is urgent")]
pub struct HintError;

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.rev, if self.urgent { "!" } else { "" })
    }
}

impl FromStr for Hint {
    type Err = HintError;

    fn from_str(text: &str) -> Result<Self, HintError> {
        let (digits, urgent) = text
            .strip_suffix('!')
            .map_or((text, false), |rest| (rest, true));
        let number = digits.parse().map_err(|_| HintError)?;
        let hint = Self {
            rev: Revision::new(number),
            urgent,
        };
        // One hint, one text: no signs, no leading zeros.
        if hint.to_string() == text {
            Ok(hint)
        } else {
            Err(HintError)
        }
    }
}

/// What a message begins with that may be a notice of a kill; a hint begins with a digit.
const NOTICE: u8 = b'{';

/// True of what may be a notice of a kill; whoever listens judges it.
fn may_be_notice(message: &[u8]) -> bool {
    message.first() == Some(&NOTICE) && message.len() <= limits::NOTICE_BYTES
}

/// The notices of one subscriber. One that lags far behind loses some: a notice is told in more ways than one.
#[derive(Debug)]
pub struct Notices(broadcast::Receiver<Bytes>);

impl Notices {
    #[cfg(test)]
    pub(crate) const fn new(notices: broadcast::Receiver<Bytes>) -> Self {
        Self(notices)
    }

    /// The next one; none when the bus is gone for good. May be dropped at any point.
    pub async fn recv(&mut self) -> Option<Bytes> {
        loop {
            match self.0.recv().await {
                Ok(notice) => return Some(notice),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

/// The wakes of one subscriber.
#[derive(Debug)]
pub struct Wakes {
    wakes: broadcast::Receiver<Wake>,
    begun: bool,
}

impl Wakes {
    pub(crate) const fn new(wakes: broadcast::Receiver<Wake>) -> Self {
        Self {
            wakes,
            begun: false,
        }
    }

    /// The next wake; none when the bus is gone for good. May be dropped at any point.
    pub async fn recv(&mut self) -> Option<Wake> {
        if !self.begun {
            self.begun = true;
            return Some(Wake::Reconnected);
        }
        match self.wakes.recv().await {
            Ok(wake) => Some(wake),
            Err(RecvError::Lagged(_)) => Some(Wake::Reconnected),
            Err(RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hint_is_a_few_letters() {
        for (text, rev, urgent) in [
            ("0", 0, false),
            ("42", 42, false),
            ("42!", 42, true),
            ("18446744073709551615!", u64::MAX, true),
        ] {
            let hint = Hint {
                rev: Revision::new(rev),
                urgent,
            };
            assert_eq!(hint.to_string(), text);
            assert_eq!(text.parse(), Ok(hint));
        }
    }

    #[test]
    fn what_is_not_exactly_a_hint_is_none() {
        for text in [
            "",
            "!",
            "-1",
            "+1",
            "01",
            "1 ",
            "1!!",
            "!1",
            "18446744073709551616",
            "一",
        ] {
            assert_eq!(text.parse::<Hint>(), Err(HintError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_is_the_inverse_of_printing(rev: u64, urgent: bool) {
            let hint = Hint { rev: Revision::new(rev), urgent };
            prop_assert_eq!(hint.to_string().parse(), Ok(hint));
        }

        #[test]
        fn any_text_is_a_hint_or_an_error_but_never_a_panic(text: String) {
            let _ = text.parse::<Hint>();
        }
    }
}
