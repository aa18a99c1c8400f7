//! Pressure: whether this core has more to do than it can, by how late its own task is woken.
//!
//! A core that is asked for more than it answers has a queue, and everybody waits in it: also who asks for little,
//! and who must be told to stop. So what is large is put off first (bundles, reports), then answers that a device
//! can wait for. What is never put off: that nothing has changed, and what must not run. One relaxed load a poll.

use std::{
    sync::{
        Weak,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// Looks in a row that must find the core late: one alone may be a process that was stopped for a while.
const IN_A_ROW: u32 = 3;

/// How pressed one core is.
#[derive(Debug, Default)]
pub(super) struct Pressure(AtomicU8);

impl Pressure {
    /// True when what is large is put off.
    pub(super) fn is_high(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= 1
    }

    /// True when whatever can wait is put off.
    pub(super) fn is_extreme(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= 2
    }
}

/// How late the last looks came, in a row.
#[derive(Debug, Default)]
struct Looks {
    late: u32,
    very_late: u32,
}

impl Looks {
    /// The pressure after a look that came late by `by`, where `most` is borne.
    fn after(&mut self, by: Duration, most: Duration) -> u8 {
        let count = |is_late: bool, before: u32| if is_late { before + 1 } else { 0 };
        self.late = count(by >= most, self.late);
        self.very_late = count(by >= most * 2, self.very_late);
        u8::from(self.late >= IN_A_ROW) + u8::from(self.very_late >= IN_A_ROW)
    }
}

/// Looks until nobody is there whom it is for.
pub(super) async fn keep_looking(pressure: Weak<Pressure>, most: Duration) {
    let mut looks = Looks::default();
    loop {
        let due = Instant::now() + LOOK;
        sleep(LOOK).await;
        let by = Instant::now().saturating_duration_since(due);
        let Some(pressure) = pressure.upgrade() else {
            return;
        };
        pressure.0.store(looks.after(by, most), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_is_pressed_when_it_is_late_again_and_again() {
        let most = Duration::from_millis(100);
        let mut looks = Looks::default();
        let mut after = |ms| looks.after(Duration::from_millis(ms), most);
        // Stopped for a second and gone on: no pressure.
        assert_eq!([after(1_000), after(0), after(0)], [0, 0, 0]);
        assert_eq!([after(100), after(150), after(100)], [0, 0, 1]);
        assert_eq!([after(200), after(200), after(200)], [1, 1, 2]);
        assert_eq!([after(150), after(99)], [1, 0]);
    }
}
