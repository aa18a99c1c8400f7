//! The clauses of the contract, one function each, each on an empty store.

use super::*;

pub(super) async fn what_was_put_is_read_back(store: &dyn Store) {
    let digest = Digest::of(b"state");
    let table = [
        (Key::Log(1), &b"first"[..]),
        (Key::Log(u64::MAX), b"last"),
        (Key::Log(2), b""),
        (Key::Checkpoint { rev: 2, digest }, b"state"),
        (Key::Cas(digest), b"state"),
    ];
    for (key, bytes) in table {
        kept(
            store.put_new(&key, Bytes::from_static(bytes)).await,
            "an absent object is created",
        );
        let found = kept(
            store.get(&key).await,
            "a created object can be read at once",
        );
        assert_eq!(found, bytes, "`{key}` is read as it was written");
        let size = kept(store.head(&key).await, "a created object has a size");
        assert_eq!(
            size,
            bytes.len() as u64,
            "`{key}` has the size of its bytes"
        );
    }
}

pub(super) async fn what_is_absent_is_not_found(store: &dyn Store) {
    for key in [Key::Log(404), Key::Cas(Digest::of(b"absent"))] {
        let errors = [
            broken(store.get(&key).await, "get of an absent object"),
            broken(
                store.get_range(&key, 0..1).await,
                "get_range of an absent object",
            ),
            broken(
                store.get_range(&key, 0..0).await,
                "an empty range of an absent object",
            ),
            broken(store.head(&key).await, "head of an absent object"),
        ];
        for error in errors {
            assert!(
                matches!(&error, StoreError::NotFound { key: named, .. } if *named == key),
                "an absent object is not found, and named: {error:?}"
            );
        }
    }
    for folder in Folder::ALL {
        let keys = kept(
            store.list(folder, None).await,
            "an empty folder can be listed",
        );
        assert_eq!(keys, [], "an empty store lists nothing");
    }
}

pub(super) async fn a_created_object_is_never_created_again(store: &dyn Store) {
    let key = Key::Log(7);
    kept(
        store.put_new(&key, Bytes::from_static(b"first")).await,
        "an absent object is created",
    );
    for again in [&b"second"[..], b"first", b""] {
        let answer = store.put_new(&key, Bytes::from_static(again)).await;
        let error = broken(
            answer,
            "creating an existing object, even with its own bytes",
        );
        assert!(
            error.is_already_exists(),
            "an existing object is said to exist: {error:?}"
        );
    }
    assert_eq!(
        kept(store.get(&key).await, "it can be read"),
        "first",
        "it keeps its first bytes"
    );
}

/// The races run beside one another: a store that makes losers wait would draw them out for minutes.
pub(super) async fn of_racing_writers_exactly_one_wins(store: Arc<dyn Store>) {
    let mut races = JoinSet::new();
    for round in 0..ROUNDS {
        races.spawn(one_race(Arc::clone(&store), Key::Log(round)));
    }
    races.join_all().await;
}

async fn one_race(store: Arc<dyn Store>, key: Key) {
    let barrier = Arc::new(Barrier::new(WRITERS));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (store, key) = (Arc::clone(&store), key.clone());
        let barrier = Arc::clone(&barrier);
        let bytes = Bytes::from(format!("writer {writer} of `{key}`"));
        writers.spawn(async move {
            barrier.wait().await;
            (bytes.clone(), store.put_new(&key, bytes).await)
        });
    }
    let mut winners = Vec::new();
    for (bytes, answer) in writers.join_all().await {
        match answer {
            Ok(()) => winners.push(bytes),
            // A conflict leaves a doubt; that is allowed. A false `Ok` is not.
            Err(error) => assert!(
                error.is_already_exists() || error.is_unavailable(),
                "a loser is told so: {error:?}"
            ),
        }
    }
    assert_eq!(
        winners.len(),
        1,
        "exactly one writer wins `{key}`: {winners:?}"
    );
    let found = kept(store.get(&key).await, "the winner's object can be read");
    assert_eq!(found, winners[0], "the winner's bytes are the object");
}

pub(super) async fn put_replaces_the_whole_object(store: &dyn Store) {
    let key = Key::Probe(probe("put"));
    for bytes in ["a long first text", "short", "", "again"] {
        kept(
            store.put(&key, Bytes::from(bytes)).await,
            "put writes whatever was there",
        );
        assert_eq!(
            kept(store.get(&key).await, "it can be read"),
            bytes,
            "the whole object is new"
        );
    }
    let error = broken(
        store.put_new(&key, Bytes::new()).await,
        "creating what was put",
    );
    assert!(
        error.is_already_exists(),
        "put makes an object exist: {error:?}"
    );
}

pub(super) async fn ranges_are_cut_at_the_end(store: &dyn Store) {
    let (key, empty) = (Key::Log(1), Key::Log(2));
    kept(
        store.put_new(&key, Bytes::from_static(b"0123456789")).await,
        "create",
    );
    kept(store.put_new(&empty, Bytes::new()).await, "create");
    let table = [
        (&key, 0..10, "0123456789"),
        (&key, 0..1, "0"),
        (&key, 3..7, "3456"),
        (&key, 9..10, "9"),
        (&key, 5..1_000, "56789"),
        (&key, 5..u64::MAX, "56789"),
        (&key, 4..4, ""),
        (&key, 10..11, ""),
        (&key, 1_000..2_000, ""),
        (&empty, 0..1, ""),
        (&empty, 0..0, ""),
    ];
    for (key, range, expected) in table {
        let found = kept(
            store.get_range(key, range.clone()).await,
            "a range can be read",
        );
        assert_eq!(found, expected, "bytes {range:?} of `{key}`");
    }
}

pub(super) async fn a_listing_is_sorted_and_begins_behind(store: &dyn Store) {
    let (low, high) = (Digest::of(b"0"), Digest::of(b"1"));
    assert!(low < high, "the digests of this clause are in order");
    let checkpoints = [
        (
            Key::Checkpoint {
                rev: 9,
                digest: low,
            },
            "0",
        ),
        (
            Key::Checkpoint {
                rev: 9,
                digest: high,
            },
            "1",
        ),
        (
            Key::Checkpoint {
                rev: 10,
                digest: low,
            },
            "0",
        ),
    ];
    for (key, bytes) in checkpoints.iter().rev() {
        kept(store.put_new(key, Bytes::from(*bytes)).await, "create");
    }
    for rev in [100, 9, 1, 10] {
        kept(store.put_new(&Key::Log(rev), Bytes::new()).await, "create");
    }
    kept(
        store.put_new(&Key::Cas(high), Bytes::from("1")).await,
        "create",
    );
    let checkpoints = checkpoints.map(|(key, _)| key);
    let logs = [1, 9, 10, 100].map(Key::Log);
    let table = [
        (Folder::Log, None, &logs[..]),
        (Folder::Log, Some(Key::Log(0)), &logs),
        (Folder::Log, Some(Key::Log(1)), &logs[1..]),
        (Folder::Log, Some(Key::Log(5)), &logs[1..]),
        (Folder::Log, Some(Key::Log(100)), &[]),
        (Folder::Log, Some(Key::Log(u64::MAX)), &[]),
        (Folder::Checkpoints, None, &checkpoints),
        (
            Folder::Checkpoints,
            Some(checkpoints[0].clone()),
            &checkpoints[1..],
        ),
        // A key of another folder is only a place in the order.
        (Folder::Checkpoints, Some(Key::Log(1)), &checkpoints),
        (Folder::Log, Some(checkpoints[0].clone()), &[]),
        (Folder::Probe, None, &[]),
    ];
    for (folder, after, expected) in table {
        let keys = kept(
            store.list(folder, after.as_ref()).await,
            "a folder can be listed",
        );
        assert_eq!(keys, expected, "`{folder}` behind {after:?}");
    }
}

pub(super) async fn a_long_listing_is_complete(store: Arc<dyn Store>) {
    for from in (0..MANY).step_by(AT_ONCE as usize) {
        let mut writers = JoinSet::new();
        for rev in from..(from + AT_ONCE).min(MANY) {
            let store = Arc::clone(&store);
            writers.spawn(async move { store.put_new(&Key::Log(rev), Bytes::new()).await });
        }
        for answer in writers.join_all().await {
            kept(answer, "create");
        }
    }
    let keys = kept(
        store.list(Folder::Log, None).await,
        "a long folder can be listed",
    );
    assert!(
        keys.iter().cloned().eq((0..MANY).map(Key::Log)),
        "all of {MANY}, in order"
    );
    let keys = kept(
        store.list(Folder::Log, Some(&Key::Log(9))).await,
        "and from anywhere",
    );
    assert!(
        keys.iter().cloned().eq((10..MANY).map(Key::Log)),
        "all of the rest, in order"
    );
    assert_eq!(
        keys.iter().collect::<BTreeSet<_>>().len(),
        keys.len(),
        "none twice"
    );
}

pub(super) async fn a_file_is_stored_as_its_bytes(store: &dyn Store) {
    let bytes: Vec<u8> = (0..3_000_001_u32).map(|i| (i % 251) as u8).collect();
    let file = written(&bytes);
    let cas = Key::Cas(Digest::of(&bytes));
    for _ in 0..2 {
        kept(
            store.put_file(&cas, file.path()).await,
            "a digest's file may be put again",
        );
    }
    assert_eq!(
        kept(store.get(&cas).await, "a file can be read"),
        bytes,
        "as it was"
    );
    let part = kept(
        store.get_range(&cas, 2_999_999..9_000_000).await,
        "in parts too",
    );
    assert_eq!(part, bytes[2_999_999..], "the end of the file");

    let log = Key::Log(1);
    kept(
        store.put_file(&log, file.path()).await,
        "a file may have any name",
    );
    let error = broken(store.put_file(&log, file.path()).await, "creating it again");
    assert!(
        error.is_already_exists(),
        "a name without a digest is taken: {error:?}"
    );

    let empty = written(b"");
    let nothing = Key::Cas(Digest::of(b""));
    kept(
        store.put_file(&nothing, empty.path()).await,
        "an empty file is a file",
    );
    assert_eq!(
        kept(store.head(&nothing).await, "it has a size"),
        0,
        "of nothing"
    );

    let absent = file.path().with_extension("absent");
    let other = Key::Cas(Digest::of(b"other"));
    broken(
        store.put_file(&other, &absent).await,
        "storing a file that is not there",
    );
    let error = broken(store.get(&other).await, "reading what was never stored");
    assert!(
        error.is_not_found(),
        "a failed put_file leaves nothing: {error:?}"
    );
}

pub(super) async fn bytes_never_lie_under_a_name_they_do_not_have(store: &dyn Store) {
    let digest = Digest::of(b"right");
    let file = written(b"wrong");
    for key in [Key::Cas(digest), Key::Checkpoint { rev: 1, digest }] {
        let errors = [
            broken(
                store.put_new(&key, Bytes::from("wrong")).await,
                "put_new of wrong bytes",
            ),
            broken(
                store.put(&key, Bytes::from("wrong")).await,
                "put of wrong bytes",
            ),
            broken(
                store.put_file(&key, file.path()).await,
                "put_file of wrong bytes",
            ),
        ];
        for error in errors {
            assert!(
                matches!(&error, StoreError::Corrupt { found, .. } if *found == Digest::of(b"wrong")),
                "wrong bytes are refused as such: {error:?}"
            );
        }
        let error = broken(store.head(&key).await, "finding what was refused");
        assert!(
            error.is_not_found(),
            "refused bytes leave nothing: {error:?}"
        );
    }
}
