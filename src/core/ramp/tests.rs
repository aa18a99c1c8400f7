//! The small words of a plan, windows at their edges, and the size of control cohorts. Whole ramps: `tests/trust/ramps.rs`.

use proptest::prelude::*;

use super::{
    calendar::{Day, Freeze, Window},
    plan::control,
    text::{Lasting, Offset, TimeOfDay},
};
use crate::{share::Share, time::Timestamp};

#[test]
fn small_words_are_read_and_printed_the_same() {
    for (text, ms) in [
        ("90s", 90_000),
        ("30m", 1_800_000),
        ("4h", 14_400_000),
        ("2d", 172_800_000),
    ] {
        let lasting: Lasting = text.parse().unwrap();
        assert_eq!((lasting.ms(), lasting.to_string().as_str()), (ms, text));
    }
    for text in [
        "", "m", "30", "-1m", "1.5h", "1234567s", "30 m", "３m", "10w",
    ] {
        assert!(text.parse::<Lasting>().is_err(), "{text}");
    }
    for (text, minutes) in [("00:00", 0), ("09:30", 570), ("24:00", 1_440)] {
        let time: TimeOfDay = text.parse().unwrap();
        assert_eq!((time.minutes(), time.to_string().as_str()), (minutes, text));
    }
    for text in ["9:00", "24:01", "12:60", "12", "ab:cd"] {
        assert!(text.parse::<TimeOfDay>().is_err(), "{text}");
    }
    for (text, minutes) in [("+08:00", 480), ("-03:30", -210), ("+00:00", 0)] {
        let offset: Offset = text.parse().unwrap();
        assert_eq!(
            (offset.minutes(), offset.to_string().as_str()),
            (minutes, text)
        );
    }
    for text in ["08:00", "+14:01", "Z"] {
        assert!(text.parse::<Offset>().is_err(), "{text}");
    }
}

#[test]
fn a_window_opens_and_closes_on_the_minute_of_its_own_clocks() {
    let window = Window {
        days: [Day::Wed].into(),
        from: "09:00".parse().unwrap(),
        to: "17:00".parse().unwrap(),
    };
    let beijing = "+08:00".parse().unwrap();
    for (at, open) in [
        ("2026-11-25T08:59:59+08:00", false),
        ("2026-11-25T09:00:00+08:00", true),
        ("2026-11-25T16:59:59+08:00", true),
        ("2026-11-25T17:00:00+08:00", false),
        ("2026-11-24T10:00:00+08:00", false),
        ("2026-11-25T10:00:00Z", false),
    ] {
        let at: Timestamp = at.parse().unwrap();
        assert_eq!(window.is_open(at, beijing), open, "{at}");
    }
    let freeze = Freeze {
        from: Timestamp::from_unix_ms(10),
        to: Timestamp::from_unix_ms(20),
    };
    let held: Vec<u64> = (8..22)
        .filter(|ms| freeze.holds(Timestamp::from_unix_ms(*ms)))
        .collect();
    assert_eq!(held, (10..20).collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn a_control_cohort_is_as_large_as_there_is_room(millionths in 0..=100_000_000_u32) {
        let share = Share::from_millionths(millionths).unwrap();
        let held = control(share).millionths();
        prop_assert!(held <= millionths && held + millionths <= 100_000_000);
        prop_assert!(held == millionths || held + millionths == 100_000_000);
    }
}
