//! `resolve` allocates nothing, shown by counting allocations. The only test of its binary, because the
//! allocator is counted for the whole process.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]
#![allow(
    unsafe_code,
    reason = "a counting allocator is an unsafe trait; it forwards to the system's"
)]

#[allow(dead_code, reason = "shared with the other binary of this folder")]
mod world;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    fmt::Write as _,
    hint::black_box,
};

use huidu_core::poll::{Poll, Scratch};

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn counted() {
    // A thread that is ending has no counter any more; nothing is measured then.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// Every method hands its arguments unchanged to the system's allocator, whose contract is the same.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        counted();
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        counted();
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        counted();
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Every operator there is, none of which matches the device, each evaluated to its end.
const WHENS: [&str; 22] = [
    r#"{ platform = ["ios", "web"] }"#,
    r#"{ region = { prefix = ["US", "DE"] } }"#,
    r#"{ city = "北京" }"#,
    r#"{ language = "en" }"#,
    r#"{ model = { prefix = "i" } }"#,
    r#"{ channel = "x" }"#,
    r#"{ unit = ["a", "b"] }"#,
    r#"{ host_version = ">=9" }"#,
    r#"{ os_version = { dotted = ">=99.1.1.1" } }"#,
    r#"{ app_version = "<1" }"#,
    r#"{ tag = ["x", "y"] }"#,
    r#"{ tag = { all = ["beta", "x"] } }"#,
    r#"{ segment = "staff" }"#,
    r#"{ attr = { age = 7 } }"#,
    r#"{ attr = { grade = ["gold"] } }"#,
    r#"{ attr = { grade = { prefix = "g" } } }"#,
    r#"{ attr = { age = { min = 99 } } }"#,
    r#"{ attr = { opened = { since = "2030-01-01T00:00:00Z" } } }"#,
    r#"{ attr = { grade = { since = "2030-01-01T00:00:00Z" } } }"#,
    r#"{ attr = { sdk = { semver = ">=9" } } }"#,
    r#"{ attr = { sdk = { dotted = ">=9" } } }"#,
    r#"{ any = [{ platform = "ios" }, { all = [{ not = { not = { tag = "x" } } }] }] }"#,
];

fn rollout() -> String {
    let mut text = String::from(
        "app = \"pingan/travel\"\nhosts = [\"retail-bank\"]\nstable = \"2.3.1\"\nfloors = [\"2.0.0\"]\n\
         pins = { qa-1 = \"2.4.0\" }\n",
    );
    for (at, when) in WHENS.iter().enumerate() {
        write!(
            text,
            "[[rule]]\nname = \"r{at}\"\nwhen = {when}\nserve = \"2.4.0\"\n"
        )
        .unwrap();
    }
    text.push_str(
        "[[rule]]\nname = \"paused\"\npaused = true\nserve = \"2.4.0\"\n\
         [[rule]]\nname = \"later\"\nstart = \"2030-01-01T00:00:00Z\"\nserve = \"2.4.0\"\n\
         [[rule]]\nname = \"tiny\"\nshare = \"0.000001%\"\nserve = \"2.4.0\"\n\
         [[rule]]\nname = \"layered\"\nlayer = \"l\"\nslots = \"0\"\nserve = \"2.4.0\"\n\
         [[rule]]\nname = \"split\"\nwhen = { tag = \"beta\" }\n\
         split = { a = { serve = \"2.4.0\", weight = 1 }, b = { serve = \"2.4.1\", weight = 3 } }\n",
    );
    text
}

#[test]
fn a_poll_of_one_app_allocates_nothing() {
    let app = world::app(
        &["2.0.0", "2.3.1", "2.4.0", "2.4.1"],
        Some(world::rollout(&rollout())),
    );
    let segments = [("staff".to_owned(), world::segment(&["staff-1".into()]))].into();
    let app = world::compiled(&app, &segments);
    let device = "p=android&r=CN-31&c=%E4%B8%8A%E6%B5%B7&l=zh-CN&m=Mate+60&ch=store&hv=8.2.1&ov=14.0.0.1\
                  &a.age=41&a.grade=silver&a.opened=2026-01-01&a.sdk=3.1.0&";
    let polls = [
        (format!("{device}u=dev-1&v=2.3.1"), "stable"),
        (format!("{device}u=dev-1&v=1.9.0"), "floor"),
        (format!("{device}u=dev-1&t=beta,slow&v=2.3.1"), "rule"),
        (
            format!("{device}u=dev-1&t=beta&x=2.4.0,2.4.1,ba7816bf8f01cfea"),
            "stable",
        ),
        (format!("{device}u=dev-1&x=2.3.1"), "none"),
        (format!("{device}u=qa-1"), "pinned"),
    ];
    let now = world::noon();
    for (query, reason) in &polls {
        let mut scratch = Scratch::default();
        let before = COUNT.get();
        let poll = black_box(Poll::from_query(query, &mut scratch));
        let poll = poll.as_ref().unwrap();
        let outcome = black_box(app.resolve("retail-bank", &poll.device, &poll.installed, now));
        let allocations = COUNT.get() - before;
        assert_eq!(
            (allocations, outcome.reason.word()),
            (0, *reason),
            "{query}"
        );
    }
    // The counter counts: what narrates must allocate.
    let before = COUNT.get();
    let mut scratch = Scratch::default();
    let poll = Poll::from_query(&polls[0].0, &mut scratch).unwrap();
    black_box(app.explain("retail-bank", &poll.device, &poll.installed, now));
    assert!(COUNT.get() > before);
}
