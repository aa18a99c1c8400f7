//! The index against the audiences it was made of: it and the rest must mean exactly who the whole audience means.

use std::collections::BTreeMap;

use proptest::{collection, option, prelude::*, sample::select};

use super::*;
use crate::{
    audience::{AttrMatch, Audience, NumberRange, OneOrMany, TagMatch, TextMatch, VersionMatch},
    poll::{Attrs, Tags},
    predicate::Predicate,
    version_range::StatedVersion,
};

const TEXTS: [&str; 9] = ["", "a", "ab", "abc", "b", "上", "上海", "CN-31", "CN-3"];
const VERSIONS: [&str; 10] = [
    "8",
    "8.2",
    "8.2.0",
    "8.2.1",
    "8.2.0-rc.1",
    "8.2.0-0",
    "9.0.0",
    "8.0.40.1",
    "x",
    "0",
];
const NUMBERS: [&str; 7] = ["0", "7", "8", "-3", "+8", "x", "9223372036854775807"];

fn text() -> impl Strategy<Value = String> + Clone {
    select(TEXTS.to_vec()).prop_map(str::to_owned)
}

fn texts() -> impl Strategy<Value = OneOrMany<String>> {
    prop_oneof![
        text().prop_map(OneOrMany::One),
        collection::vec(text(), 0..4).prop_map(OneOrMany::Many),
    ]
}

fn text_match() -> impl Strategy<Value = TextMatch> {
    prop_oneof![
        texts().prop_map(TextMatch::Is),
        texts().prop_map(|prefix| TextMatch::Prefix { prefix }),
    ]
}

fn version_match() -> impl Strategy<Value = VersionMatch> {
    let semver = select(vec![
        ">=8.2",
        ">=8.2.0",
        ">8.2.0-rc.1",
        "<=8.2.1",
        "<9",
        "=8.2.0",
        ">=8.2, <9",
        "^8.2.1",
        "=8.2",
    ]);
    let dotted = select(vec![
        ">=8.0.40.1",
        "<8.2",
        "=8.2.1",
        ">8.2, <=9",
        ">9, <8",
        "<=8.2.0.0",
    ]);
    prop_oneof![
        semver.prop_map(|range| VersionMatch::Semver(range.parse().unwrap())),
        dotted.prop_map(|range| VersionMatch::Dotted {
            dotted: range.parse().unwrap()
        }),
    ]
}

fn tag_match() -> impl Strategy<Value = TagMatch> {
    let tag = select(vec!["a", "ab", "abc", "b"]).prop_map(|tag| tag.parse().unwrap());
    prop_oneof![
        tag.clone()
            .prop_map(|tag| TagMatch::Any(OneOrMany::One(tag))),
        collection::vec(tag.clone(), 0..3).prop_map(|tags| TagMatch::Any(OneOrMany::Many(tags))),
        collection::vec(tag, 0..3).prop_map(|all| TagMatch::All { all }),
    ]
}

fn attr_match() -> impl Strategy<Value = AttrMatch> {
    let number = || select(vec![0, 7, 8, -3, i64::MAX, i64::MIN]);
    let between = (option::of(number()), option::of(number()))
        .prop_map(|(min, max)| AttrMatch::Between(NumberRange { min, max }));
    prop_oneof![
        number().prop_map(AttrMatch::Number),
        texts().prop_map(AttrMatch::Is),
        texts().prop_map(|prefix| AttrMatch::Prefix { prefix }),
        between,
        Just(AttrMatch::Semver {
            semver: ">=8.2".parse().unwrap()
        }),
        Just(AttrMatch::Dotted {
            dotted: "<8.2".parse().unwrap()
        }),
    ]
}

fn leaf() -> impl Strategy<Value = Audience> {
    let rarely = |one: BoxedStrategy<TextMatch>| option::weighted(0.2, one);
    let version = || option::weighted(0.2, version_match());
    let attr = collection::btree_map(
        select(vec!["x", "y"]).prop_map(|name| name.parse().unwrap()),
        attr_match(),
        0..2,
    );
    (
        (
            rarely(text_match().boxed()),
            rarely(text_match().boxed()),
            rarely(text_match().boxed()),
        ),
        (version(), version(), version()),
        option::weighted(0.3, tag_match()),
        option::weighted(0.1, select(vec!["staff", "gone"])),
        attr,
    )
        .prop_map(
            |((platform, region, unit), (host, os, app), tag, segment, attr)| Audience {
                platform,
                region,
                unit,
                host_version: host,
                os_version: os,
                app_version: app,
                tag,
                segment: segment.map(|name| OneOrMany::One(name.parse().unwrap())),
                attr,
                ..Audience::default()
            },
        )
}

fn audience() -> impl Strategy<Value = Audience> {
    let nested = (
        leaf(),
        collection::vec(leaf(), 0..2),
        collection::vec(leaf(), 0..3),
        leaf(),
    );
    prop_oneof![
        2 => leaf(),
        1 => (leaf(), leaf()).prop_map(|(audience, not)| Audience { not: Some(Box::new(not)), ..audience }),
        1 => nested.prop_map(|(audience, all, any, not)| Audience {
            all,
            any,
            not: Some(Box::new(not)),
            ..audience
        }),
    ]
}

type Stated = (
    [Option<&'static str>; 2],
    [Option<&'static str>; 3],
    Vec<&'static str>,
    BTreeMap<&'static str, &'static str>,
    &'static str,
);

fn stated() -> impl Strategy<Value = Stated> {
    let text = || option::of(select(TEXTS.to_vec()));
    let version = || option::of(select(VERSIONS.to_vec()));
    let value = prop_oneof![
        select(TEXTS.to_vec()),
        select(VERSIONS.to_vec()),
        select(NUMBERS.to_vec())
    ];
    (
        [text(), text()],
        [version(), version(), version()],
        collection::vec(select(vec!["a", "ab", "abc", "b", "c"]), 0..3),
        collection::btree_map(select(vec!["x", "y", "z"]), value, 0..3),
        select(vec!["a", "ab", "上海", "staff-1"]),
    )
}

/// Each audience asked whole, beside what the index and the rest say.
fn compare(audiences: &[Audience], stated: &[Stated]) -> Result<(), TestCaseError> {
    let staff = std::collections::BTreeSet::from(["staff-1".to_owned(), "a".to_owned()]);
    let staff: std::sync::Arc<dyn crate::predicate::Membership> = std::sync::Arc::new(staff);
    let members =
        |name: &crate::name::SegmentName| (name.as_str() == "staff").then(|| staff.clone());
    let mut builder = Builder::default();
    let asked: Vec<(Predicate, Predicate)> = (audiences.iter().enumerate())
        .map(|(at, audience)| {
            let rest = builder.take(at, audience);
            (
                Predicate::compile(audience, &members),
                Predicate::compile(&rest, &members),
            )
        })
        .collect();
    let index = builder.finish();
    for (texts, versions, tags, attrs, unit) in stated {
        let tags = tags.join(",");
        let attrs: Vec<(&str, &str)> = attrs.iter().map(|(name, value)| (*name, *value)).collect();
        let [host, os, app] = versions.map(|version| version.map(StatedVersion::new));
        let device = Device {
            platform: texts[0],
            region: texts[1],
            host_version: host,
            os_version: os,
            tags: Tags::from_commas(&tags),
            attrs: Attrs::from_pairs(&attrs),
            ..Device::new(unit)
        };
        let installed = Installed {
            version: app,
            ..Installed::default()
        };
        let mask = index.candidates(&device, &installed);
        for (at, (whole, rest)) in asked.iter().enumerate() {
            let known = at >= RULES_INDEXED || has(&mask, at);
            prop_assert_eq!(
                known && rest.matches(&device, &installed),
                whole.matches(&device, &installed),
                "{:?} {:?}",
                audiences[at],
                device
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn index_and_rest_mean_whom_the_audience_means(
        audiences in collection::vec(audience(), 1..40), stated in collection::vec(stated(), 1..12)
    ) {
        compare(&audiences, &stated)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn so_they_do_in_rollouts_beyond_every_limit(
        audiences in collection::vec(audience(), 1_000..1_100), stated in collection::vec(stated(), 6)
    ) {
        compare(&audiences, &stated)?;
    }
}

#[test]
fn ranges_beyond_the_index_are_asked_one_by_one() {
    let range = |n: usize| Audience {
        attr: [("x".parse().unwrap(), AttrMatch::Number(n as i64))].into(),
        host_version: Some(VersionMatch::Semver(format!("={n}.0.0").parse().unwrap())),
        ..Audience::default()
    };
    let audiences: Vec<Audience> = (0..RULES_INDEXED + 8).map(range).collect();
    let device = (
        [None, None],
        [Some("7.0.0"), None, None],
        vec![],
        [("x", "7")].into(),
        "a",
    );
    compare(&audiences, &[device]).unwrap();
}
