//! What holds of counts whatever is told, however often and in whatever order; and the written forms as they were
//! first written.

use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds {
    cells_of_app: 100,
    places: 10_000,
};

fn life(n: u8) -> Life {
    format!("01jz0000000000000000000{n:03}").parse().unwrap()
}

fn cell(arm: &str) -> Cell {
    Cell {
        app: "pingan/travel".parse().unwrap(),
        version: "2.4.0".parse().unwrap(),
        rule: "ramp".into(),
        arm: arm.into(),
    }
}

fn happened(kind: &str) -> Register {
    Register {
        kind: kind.parse().unwrap(),
        withdrawn: false,
    }
}

fn kinds() -> impl Strategy<Value = Register> {
    let kind = prop::sample::select(vec![
        "crashed",
        "activated",
        "rolled-back.killed",
        "counter.paid",
    ]);
    (kind, any::<bool>()).prop_map(|(kind, withdrawn)| Register {
        withdrawn,
        ..happened(kind)
    })
}

fn counts() -> impl Strategy<Value = Counts> {
    prop::collection::vec((kinds(), 0u64..50), 0..8).prop_map(|all| {
        let mut counts = Counts::default();
        all.iter()
            .for_each(|(register, n)| counts.add(register, *n));
        counts
    })
}

/// What lives tell in their order: each number whole, growing.
fn stories() -> impl Strategy<Value = Vec<Sheet>> {
    let step = (0u8..3, 0usize..2, 0u32..3, kinds(), 1u64..5);
    prop::collection::vec(step, 1..20).prop_map(|steps| {
        let mut books: Vec<Book> = (0..3).map(|_| Book::new(BOUNDS)).collect();
        let mut told = Vec::new();
        for (who, arm, minute, register, times) in steps {
            let book = &mut books[usize::from(who)];
            let number = book.cell(&cell(["a", "b"][arm])).unwrap();
            book.count(&life(who), number, minute, &register, times);
            told.push(book.take_untold(99).0);
        }
        told
    })
}

fn said(book: &Book) -> Vec<Total> {
    book.totals(&cell("a").app, 0, u32::MAX)
}

proptest! {
    #[test]
    fn the_union_is_commutative_associative_and_idempotent_and_never_less(
        a in counts(), b in counts(), c in counts(),
    ) {
        let union = |a: &Counts, b: &Counts| { let mut both = a.clone(); both.merge(b); both };
        prop_assert_eq!(union(&a, &b), union(&b, &a));
        prop_assert_eq!(union(&union(&a, &b), &c), union(&a, &union(&b, &c)));
        prop_assert_eq!(union(&a, &a), a.clone());
        prop_assert!(a.within(&union(&a, &b)) && b.within(&union(&a, &b)));
    }

    #[test]
    fn whatever_is_told_twice_late_or_in_another_order_comes_to_the_same(
        told in stories(), order in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let mut once = Book::new(BOUNDS);
        told.iter().for_each(|sheet| once.hear(sheet, 0));
        let mut anyhow = Book::new(BOUNDS);
        for index in order {
            anyhow.hear(index.get(&told), 0);
        }
        told.iter().rev().for_each(|sheet| anyhow.read(sheet));
        prop_assert_eq!(said(&once), said(&anyhow));
        // Settled, the numbers are the same.
        once.settle(120, 0);
        prop_assert_eq!(said(&once), said(&anyhow));
    }

    #[test]
    fn a_sheet_is_read_as_it_was_written(told in stories()) {
        for sheet in told {
            prop_assert_eq!(Sheet::decode(&sheet.encode()), Ok(sheet));
        }
    }

    #[test]
    fn nothing_is_new_twice_within_the_window(
        steps in prop::collection::vec((1u64..40, 0u64..60), 1..300),
    ) {
        let (mut recent, mut now, mut taken) = (Recent::new(100, 1_000), 0, std::collections::BTreeMap::new());
        for (id, pause) in steps {
            now += pause;
            let before = taken.get(&id).copied();
            match recent.see(id, now) {
                Seen::New => {
                    prop_assert!(before.is_none_or(|before| now - before >= 100), "{id} at {now}, before at {before:?}");
                    taken.insert(id, now);
                }
                Seen::Before => prop_assert!(before.is_some_and(|before| now - before < 300)),
                Seen::NoRoom => prop_assert!(false, "there is room"),
            }
        }
    }
}

#[test]
fn a_union_that_added_would_be_found_out() {
    // The mistake that the properties are for: numbers that are added where they are to be united.
    let mut counts = Counts::default();
    counts.add(&happened("crashed"), 2);
    let mut added = counts.clone();
    added.sum(&counts);
    assert_ne!(added, counts);
}

#[test]
fn a_full_window_refuses_what_is_new_and_forgets_nothing() {
    let mut recent = Recent::new(100, 3);
    let mut see = |id, now| recent.see(id, now);
    assert_eq!([see(1, 100), see(2, 100), see(3, 100)], [Seen::New; 3]);
    assert_eq!([see(4, 150), see(1, 150)], [Seen::NoRoom, Seen::Before]);
    assert_eq!([see(3, 200), see(4, 200)], [Seen::Before, Seen::New]);
}

#[test]
fn what_is_withdrawn_does_not_count() {
    let mut counts = Counts::default();
    counts.add(&happened("crashed"), 5);
    counts.add(
        &Register {
            withdrawn: true,
            ..happened("crashed")
        },
        2,
    );
    assert_eq!(counts.of(&Kind::Crashed), 3);
}

#[test]
fn the_store_is_given_what_is_ours_and_what_a_silent_life_left() {
    let (mut book, mut other) = (Book::new(BOUNDS), Book::new(BOUNDS));
    for (book, who) in [(&mut book, 1), (&mut other, 2)] {
        let number = book.cell(&cell("a")).unwrap();
        book.count(&life(who), number, 7, &happened("crashed"), 1);
    }
    book.hear(&other.take_untold(99).0, 10);
    let lives = |sheet: &Sheet| sheet.lives.keys().cloned().collect::<Vec<_>>();
    let (sheet, places) = book.take_unkept(&life(1), 10, 99);
    assert_eq!(lives(&sheet), [life(1)]);
    book.not_kept(places);
    assert!(book.lacks(&life(1)));
    assert_eq!(
        lives(&book.take_unkept(&life(1), 11, 99).0),
        [life(1), life(2)]
    );
    assert!(!book.lacks(&life(1)) && book.take_unkept(&life(1), 11, 99).0.is_empty());
    // What the store has is not given to it again.
    book.hear(&sheet, 12);
    let (mut third, told) = (Book::new(BOUNDS), other.take_unkept(&life(2), 0, 99).0);
    third.hear(&told, 12);
    third.read(&told);
    assert!(third.take_unkept(&life(3), 100, 99).0.is_empty());
}

#[test]
fn hostile_numbers_find_no_room() {
    let mut book = Book::new(Bounds {
        cells_of_app: 2,
        places: 3,
    });
    assert_eq!(book.cell(&cell("a")), Some(0));
    assert_eq!(book.cell(&cell("b")), Some(1));
    assert_eq!(
        (book.cell(&cell("c")), book.cell(&cell("a"))),
        (None, Some(0))
    );
    for minute in 0..5 {
        book.count(&life(1), 0, minute, &happened("crashed"), 1);
    }
    assert_eq!((book.len(), book.lost()), (3, 2));
}

#[test]
fn a_sheet_is_written_as_it_was_first_written() {
    let mut book = Book::new(BOUNDS);
    for (arm, minute, kind) in [
        ("b", 29_384_756, "crashed"),
        ("b", 29_384_757, "rolled-back.crashed"),
        ("", 29_384_756, "counter.paid"),
    ] {
        let number = book.cell(&cell(arm)).unwrap();
        book.count(&life(1), number, minute, &happened(kind), 2);
    }
    let withdrawn = Register {
        withdrawn: true,
        ..happened("crashed")
    };
    book.count(&life(1), 0, 29_384_756, &withdrawn, 1);
    let (sheet, _) = book.take_untold(99);
    let golden = include_str!("../../../tests/vectors/feedback-1.json");
    assert_eq!(
        String::from_utf8(sheet.encode()).unwrap(),
        golden.trim_end()
    );
    assert_eq!(Sheet::decode(golden.as_bytes()), Ok(sheet));
}

#[test]
fn what_is_no_sheet_is_refused() {
    let golden = include_str!("../../../tests/vectors/feedback-1.json");
    let newer = golden.replacen(r#""v":1"#, r#""v":2"#, 1);
    assert_eq!(Sheet::decode(newer.as_bytes()), Err(SheetError::Newer(2)));
    for (from, to) in [
        ("01jz0000000000000000000001", "01JZ"),
        ("pingan/travel", "pingan"),
        ("\"ramp\"", "\"<ramp>\""),
        ("crashed", "crash"),
        ("29384757", "-1"),
    ] {
        assert!(golden.contains(from), "{from}");
        let wrong = golden.replacen(from, to, 1);
        let refused = Sheet::decode(wrong.as_bytes());
        assert!(
            matches!(refused, Err(SheetError::Form { .. })),
            "{to}: {refused:?}"
        );
    }
}

#[test]
fn a_report_says_what_happened_and_old_words_are_understood() {
    let body = br#"{"host":"bank","events":[
        {"id":"000102030405060708090a0b0c0d0e0f","app":"a/b","version":"1.0.0","rule":"ramp","arm":"x","event":"rolled-back","code":"script-error","ago":90,"sent":3},
        {"app":"a/b","version":"1.0.0","event":"crash","count":3},
        {"event":"doubted","code":"stamp"},
        {"id":"000102030405060708090a0b0c0d0e10","app":"a/b","version":"1.0.0","event":"counter","code":"paid","count":7}]}"#;
    let report = Report::from_json(body).unwrap();
    let said: Vec<_> = report
        .events
        .iter()
        .map(|event| event.what().unwrap())
        .collect();
    let expected = [
        What::Told(Told::RolledBack(Why::ScriptError)),
        What::Told(Told::Crashed),
        What::Doubted("stamp"),
        What::Told(Told::Counter("paid")),
    ];
    assert_eq!(said, expected);
    let first = &report.events[0];
    assert_eq!((first.ago, first.sent, first.count), (90, Some(3), 1));
    assert!(first.id().is_some() && report.events[1].id().is_none());
    let counted = Kind::from_told(&said);
    assert_eq!(
        counted,
        ["rolled-back.script-error", "crashed", "counter.paid"]
    );
}

impl Kind {
    fn from_told(said: &[What<'_>]) -> Vec<String> {
        let told = said.iter().filter_map(|what| match what {
            What::Told(told) => Some(told.kept().to_string()),
            What::Doubted(_) => None,
        });
        told.collect()
    }
}

#[test]
fn a_fault_says_what_and_where_and_quotes_nothing() {
    let event = |fields: &str| {
        format!(r#"{{"host":"h","events":[{{"event":"doubted","code":"stamp"}},{{{fields}}}]}}"#)
    };
    let good = r#""app":"a/b","version":"1.0.0""#;
    for (body, said) in [
        (
            "13800138000".to_owned(),
            "the body is not the JSON of a report at line 1 column 11: a field is missing, given twice, or of the wrong kind",
        ),
        (
            r#"{"host":"#.to_owned(),
            "the body is not the JSON of a report at line 1 column 8: it ends too early",
        ),
        (
            r#"{"host":"1380 0138","events":[]}"#.to_owned(),
            "field `host` must be the name of a bank app",
        ),
        (
            event(r#""app":"13800138000","event":"crashed""#),
            "field `events[1].app` must be `tenant/app`",
        ),
        (
            event(&format!(r#"{good},"event":"13800138000""#)),
            "field `events[1].event` must be one of downloaded, activated, load-failed, script-error, crashed, rolled-back, converted, counter, doubted",
        ),
        (
            event(&format!(r#"{good},"event":"crashed","id":"13800138000""#)),
            "field `events[1].id` must be 32 hexadecimal digits of 0-9 a-f",
        ),
        (
            event(&format!(r#"{good},"event":"counter","code":"1380 0138""#)),
            "field `events[1].code` must be the name of a counter: 1 to 63 of a-z 0-9 . _ -",
        ),
        (
            event(&format!(r#"{good},"event":"crashed","count":0"#)),
            "field `events[1].count` must be 1 to 1000",
        ),
        (
            event(&format!(
                r#"{good},"event":"crashed","count":2,"id":"{}""#,
                "a".repeat(32)
            )),
            "field `events[1].count` must be 1, or be left out, except of a counter",
        ),
        (
            event(&format!(r#"{good},"event":"crashed","event":"crashed""#)),
            "the body is not the JSON of a report at line 1 column 113: a field is missing, given twice, or of the wrong kind",
        ),
    ] {
        let fault = Report::from_json(body.as_bytes()).unwrap_err().to_string();
        assert_eq!(fault, said, "{body}");
        assert!(!fault.contains("1380"), "{fault}");
    }
}

#[test]
fn ids_spread_over_fingerprints() {
    let of = |text: &str| EventId::parse(text).unwrap().fingerprint();
    let some = [
        of(&"0".repeat(32)),
        of(&format!("{:032x}", 1)),
        of(&format!("{:032x}", 1u128 << 64)),
    ];
    assert!(some[0] != some[1] && some[1] != some[2] && some[0] != some[2]);
    for bad in ["", "0", &"A".repeat(32), &"g".repeat(32), &"é".repeat(16)] {
        assert!(EventId::parse(bad).is_none(), "{bad}");
    }
}

#[test]
fn units_are_arrivals_and_never_fewer_than_what_happened_to_them() {
    let counted = |numbers: &[(&str, u64)]| {
        let mut counts = Counts::default();
        for (kind, number) in numbers {
            counts.add(&happened(kind), *number);
        }
        counts
    };
    let measure = |name: &str| name.parse::<crate::name::Measure>().unwrap();
    let counts = counted(&[
        ("downloaded", 90),
        ("activated", 40),
        ("crashed", 3),
        ("rolled-back.crashed", 3),
        ("rolled-back.timed-out", 2),
        ("counter.paid", 7),
    ]);
    for (name, happened) in [
        ("activated", 40),
        ("crashed", 3),
        ("rolled-back", 5),
        ("rolled-back.timed-out", 2),
        ("paid", 7),
        ("counter.paid", 7),
        ("nobody-counted-it", 0),
    ] {
        assert_eq!(counts.measured(&measure(name)), happened, "{name}");
        assert_eq!(counts.units([&measure(name)]), 43, "{name}");
    }
    let mut counts = counted(&[("activated", 40), ("load-failed", 500)]);
    assert_eq!(counts.units([]), 40);
    assert_eq!(counts.units([&measure("load-failed")]), 500);
    // What another node had counted before is no unit.
    let withdrawn = Register {
        withdrawn: true,
        ..happened("activated")
    };
    counts.add(&withdrawn, 15);
    assert_eq!(counts.units([]), 25);
}

#[test]
fn one_cell_comes_to_what_it_comes_to_among_all() {
    let mut book = Book::new(BOUNDS);
    for (arm, minute, times) in [("a", 7, 2), ("a", 8, 3), ("a", 300, 4), ("b", 8, 5)] {
        let number = book.cell(&cell(arm)).unwrap();
        book.count(&life(1), number, minute, &happened("crashed"), times);
    }
    book.settle(120, 0);
    for (from, until) in [(0, 1_000), (7, 8), (60, 301), (300, 301), (8, 8)] {
        let all = book.totals(&cell("a").app, from, until);
        for arm in ["a", "b", "c"] {
            let among = all.iter().find(|total| total.cell == cell(arm));
            let among = among.map(|total| total.counts.clone()).unwrap_or_default();
            assert_eq!(book.total(&cell(arm), from, until), among, "{arm} {from}");
        }
    }
    assert_eq!(book.total(&cell("a"), 0, 1_000).of(&Kind::Crashed), 9);
}
