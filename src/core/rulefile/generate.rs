//! Rollouts at random, for property tests: everything the language can say, within its limits.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection, option, prelude::*, sample::select};

use crate::{
    audience::{
        AttrMatch, Audience, NumberRange, OneOrMany, TagMatch, TextMatch, TimeRange, VersionMatch,
    },
    bucket::{Bucketing, Salt},
    check::{World, check},
    rollout::{Arm, Holdout, Param, Rollout, Rule, Serve, Weighted},
    share::Share,
    slots::Slots,
    time::Timestamp,
    version::Number,
};

fn name<T>() -> impl Strategy<Value = T> + Clone
where
    T: std::str::FromStr<Err: std::fmt::Debug> + std::fmt::Debug + Clone,
{
    "[a-z][a-z0-9_-]{0,8}".prop_map(|text| text.parse().unwrap())
}

fn number() -> impl Strategy<Value = Number> {
    let pre = select(vec!["", "-rc.1", "-beta", "-0"]);
    (0..9_u64, 0..9_u64, 0..9_u64, pre)
        .prop_map(|(a, b, c, pre)| format!("{a}.{b}.{c}{pre}").parse().unwrap())
}

fn instant() -> impl Strategy<Value = Timestamp> {
    (0..4_000_000_000_000_u64).prop_map(Timestamp::from_unix_ms)
}

fn text() -> impl Strategy<Value = String> + Clone {
    "\\PC{1,12}"
}

fn one_or_many<T: std::fmt::Debug + Clone + 'static>(
    one: impl Strategy<Value = T> + Clone + 'static,
) -> BoxedStrategy<OneOrMany<T>> {
    let many = collection::vec(one.clone(), 1..4).prop_map(OneOrMany::Many);
    prop_oneof![one.prop_map(OneOrMany::One), many].boxed()
}

fn text_match() -> impl Strategy<Value = TextMatch> {
    prop_oneof![
        one_or_many(text()).prop_map(TextMatch::Is),
        one_or_many(text()).prop_map(|prefix| TextMatch::Prefix { prefix }),
    ]
}

fn version_match() -> impl Strategy<Value = VersionMatch> {
    let semver = select(vec![">=8.2, <9", "^2.3", "=2.4.0", "2.*", ">1.0.0-rc.1"]);
    prop_oneof![
        semver.prop_map(|range| VersionMatch::Semver(range.parse().unwrap())),
        select(vec![">=8.0.40.1", ">=12, <14.2"]).prop_map(|range| VersionMatch::Dotted {
            dotted: range.parse().unwrap()
        }),
    ]
}

fn attr_match() -> impl Strategy<Value = AttrMatch> {
    let between = (any::<i64>(), any::<u32>()).prop_map(|(min, more)| NumberRange {
        min: Some(min),
        max: Some(min.saturating_add(i64::from(more))),
    });
    let during = (instant(), 1..1_000_000_u64).prop_map(|(since, ms)| TimeRange {
        since: Some(since),
        until: Some(since.plus_ms(ms)),
    });
    prop_oneof![
        any::<i64>().prop_map(AttrMatch::Number),
        one_or_many(text()).prop_map(AttrMatch::Is),
        one_or_many(text()).prop_map(|prefix| AttrMatch::Prefix { prefix }),
        between.prop_map(AttrMatch::Between),
        any::<i64>().prop_map(|max| AttrMatch::Between(NumberRange {
            min: None,
            max: Some(max)
        })),
        during.prop_map(AttrMatch::During),
        Just(AttrMatch::Semver {
            semver: "<=8.2".parse().unwrap()
        }),
        Just(AttrMatch::Dotted {
            dotted: "<8.2.0.1".parse().unwrap()
        }),
    ]
}

/// An audience that says something.
fn audience() -> impl Strategy<Value = Audience> {
    let leaf = (
        option::of(text_match()),
        option::of(text_match()),
        option::of(version_match()),
        option::of(prop_oneof![
            one_or_many(name()).prop_map(TagMatch::Any),
            collection::vec(name(), 1..3).prop_map(|all| TagMatch::All { all }),
        ]),
        option::of(one_or_many(name())),
        collection::btree_map(name(), attr_match(), 0..3),
        text_match(),
    )
        .prop_map(
            |(region, unit, host_version, tag, segment, attr, platform)| Audience {
                platform: Some(platform),
                region,
                unit,
                host_version,
                tag,
                segment,
                attr,
                ..Audience::default()
            },
        );
    leaf.prop_recursive(3, 8, 3, |inner| {
        let some = collection::vec(inner.clone(), 0..3);
        (some.clone(), some, inner).prop_map(|(all, any, not)| Audience {
            all,
            any,
            not: Some(Box::new(not)),
            ..Audience::default()
        })
    })
}

fn arm() -> impl Strategy<Value = Arm> {
    let param = prop_oneof![
        any::<bool>().prop_map(Param::Flag),
        any::<i64>().prop_map(Param::Number),
        text().prop_map(Param::Text),
    ];
    let params = collection::btree_map(name(), param, 0..3);
    (number(), params).prop_map(|(version, params)| Arm { version, params })
}

fn serve() -> impl Strategy<Value = Serve> {
    let weighted = (1..100_u32, arm()).prop_map(|(weight, arm)| Weighted { weight, arm });
    prop_oneof![
        arm().prop_map(Serve::One),
        collection::btree_map(name(), weighted, 1..4).prop_map(Serve::Split),
    ]
}

/// A rule in a layer (with or without slots) or with a share of its own.
fn rule() -> impl Strategy<Value = Rule> {
    let drawn = prop_oneof![
        (0..=Share::ALL.millionths(), option::of("[a-z/]{1,9}")).prop_map(|(millionths, salt)| {
            let salt = salt.map(|salt| Salt::new(&salt).unwrap());
            (
                Share::from_millionths(millionths).unwrap(),
                None,
                Slots::default(),
                salt,
            )
        }),
        (
            1..3_000_u32,
            select(vec!["checkout", "home"]),
            any::<bool>()
        )
            .prop_map(|(slots, layer, given)| {
                let share = Share::from_millionths(slots * 10_000).unwrap();
                let given = if given { slots as u16 } else { 0 };
                (
                    share,
                    Some(layer.parse().unwrap()),
                    Slots::from_slots(0..given),
                    None,
                )
            }),
    ];
    let when = prop_oneof![Just(Audience::default()), audience()];
    let times = (option::of(instant()), option::of(1..9_000_000_u64));
    (name(), when, drawn, times, any::<(bool, bool)>(), serve()).prop_map(
        |(name, when, (share, layer, slots, salt), (start, lasting), (paused, force), serve)| {
            Rule {
                name,
                when,
                share,
                layer,
                slots,
                salt,
                start,
                end: start.zip(lasting).map(|(start, ms)| start.plus_ms(ms)),
                paused,
                force,
                ramp: None,
                serve,
            }
        },
    )
}

/// Rollouts that every check takes.
pub(crate) fn rollout() -> impl Strategy<Value = Rollout> {
    let holdout =
        (0..1_000_u32, select(vec!["checkout", "home"])).prop_map(|(slots, layer)| Holdout {
            layer: layer.parse().unwrap(),
            share: Share::from_millionths(slots * 10_000).unwrap(),
            slots: Slots::default(),
        });
    let head = (
        collection::btree_set(name(), 1..3),
        number(),
        option::of("[a-z/]{1,9}"),
        collection::btree_map("[^\\pC]{1,12}", number(), 0..4),
        collection::btree_set(number(), 0..4),
    );
    let rules = collection::vec(rule(), 0..6);
    (head, collection::vec(holdout, 0..3), rules).prop_map(
        |((hosts, stable, salt, pins, floors), holdouts, rules)| {
            let floors: BTreeSet<Number> = floors.into_iter().filter(|f| *f <= stable).collect();
            let pins: BTreeMap<String, Number> = pins;
            sound(Rollout {
                app: "pingan/travel".parse().unwrap(),
                hosts,
                stable,
                bucketing: Bucketing::Huidu1,
                salt: salt.map(|salt| Salt::new(&salt).unwrap()),
                pins,
                floors,
                holdouts,
                rules,
            })
        },
    )
}

/// Without the rules and holdouts that the checks refuse.
fn sound(mut rollout: Rollout) -> Rollout {
    loop {
        let findings = check(&rollout, &World::default());
        let Some(bad) = findings.iter().find(|finding| finding.is_error()) else {
            return rollout;
        };
        let index = |kind: &str| -> Option<usize> {
            bad.path.strip_prefix(kind)?.split('/').next()?.parse().ok()
        };
        match (index("/rule/"), index("/holdout/")) {
            (Some(rule), _) => drop(rollout.rules.remove(rule)),
            (None, Some(holdout)) => drop(rollout.holdouts.remove(holdout)),
            (None, None) => panic!("the generator makes unsound heads: {bad}"),
        }
    }
}
