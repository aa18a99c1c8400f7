//! How a node begins: which checkpoints count, and by whose word.

use std::borrow::Cow;

use huidu_core::{checkpoint::Checkpoint, record::V1};

use super::*;

#[tokio::test]
async fn a_new_node_begins_at_a_checkpoint_once_it_is_announced() {
    let cluster = Cluster::new();
    let mut writer = cluster.grown(1, 5).await;
    let name = writer.checkpoint().await.unwrap();
    assert_eq!(
        writer.checkpoint().await.unwrap(),
        name,
        "the same state, the same name"
    );
    let early = cluster.node(2).await;
    assert_eq!(early.fold().restored, None, "nobody vouches for it yet");
    assert_eq!(early.position(), writer.position());
    cluster.grow(&mut writer).await;
    let bytes = cluster.store.get(&Key::Log(6)).await.unwrap();
    assert_eq!(Record::decode(&bytes).unwrap().ck, Some(name));
    cluster.grow(&mut writer).await;
    let later = cluster.node(3).await;
    assert_eq!(
        (later.fold().restored, &later.fold().applied),
        (Some(rev(5)), &vec![6, 7])
    );
    assert_eq!(later.fold().catalogue, writer.fold().catalogue);
}

/// Whoever can write into the store can forge a checkpoint, and every record but one that our key signed.
#[tokio::test]
async fn a_checkpoint_counts_by_the_word_of_our_own_key_alone() {
    let forged = async |cluster: &Cluster, at: Position| {
        let mut catalogue = Catalogue::default();
        catalogue.apply(at.rev, Timestamp::EPOCH, &added("mine"));
        let checkpoint = Checkpoint {
            v: V1,
            rev: at.rev,
            head: at.head,
            catalogue: Cow::Owned(catalogue),
            ops: Cow::Owned(RecentOps::default()),
        };
        let (name, bytes) = checkpoint.encode().unwrap();
        let key = Key::Checkpoint {
            rev: name.rev.get(),
            digest: name.root,
        };
        cluster.put(&key, bytes).await;
        name
    };
    // Standing on the last record, named by nobody.
    let cluster = Cluster::new();
    let writer = cluster.grown(1, 3).await;
    forged(&cluster, writer.position()).await;
    let new = cluster.node(2).await;
    assert_eq!((new.fold().restored, new.revision()), (None, rev(3)));
    // Named by a record that says what it likes: of events, and one that voids a want.
    let stolen = SigningKey::from_bytes(&[66; 32]);
    for (is_void, signer) in [
        (false, None),
        (true, None),
        (false, Some(&stolen)),
        (true, Some(&stolen)),
    ] {
        let cluster = Cluster::new();
        let writer = cluster.grown(1, 3).await;
        let name = forged(&cluster, writer.position()).await;
        let mut word = record(writer.position());
        word.ck = Some(name);
        if is_void {
            word.events.clear();
            word.void = Some(cluster.wants.op());
        }
        let bytes = signer.map_or_else(|| word.encode(), |key| word.seal(key));
        cluster.put(&Key::Log(4), bytes.unwrap()).await;
        let new = cluster.node(2).await;
        assert_eq!(
            new.fold().restored,
            None,
            "void: {is_void}, signed: {signer:?}"
        );
        // The same by our own key does count.
        let own = cluster.node(2).await;
        let name = forged(&cluster, own.position()).await;
        let mut word = record(own.position());
        word.ck = Some(name);
        cluster
            .put(&Key::Log(5), word.seal(&log_key()).unwrap())
            .await;
        assert_eq!(cluster.node(3).await.fold().restored, Some(rev(4)));
    }
}

#[tokio::test]
async fn a_retry_is_recognised_across_a_checkpoint() {
    let cluster = Cluster::new();
    let mut writer = cluster.grown(1, 2).await;
    let want = cluster.want();
    add(&mut writer, want.clone(), "once").await.unwrap();
    writer.checkpoint().await.unwrap();
    cluster.grow(&mut writer).await;
    let mut new = cluster.node(2).await;
    assert_eq!(new.fold().restored, Some(rev(3)));
    assert_eq!(
        add(&mut new, want, "twice").await.unwrap(),
        Appended::Repeated(rev(3))
    );
}

#[tokio::test]
async fn a_checkpoint_that_nobody_announced_is_passed_over_once_something_follows() {
    let cluster = Cluster::new();
    let mut other = cluster.node(2).await;
    let mut writer = cluster.grown(1, 3).await;
    let old = writer.checkpoint().await.unwrap();
    cluster.grow(&mut writer).await;
    writer.checkpoint().await.unwrap();
    // The writer dies; another node goes on without knowing.
    cluster.grow(&mut other).await;
    let new = cluster.node(3).await;
    assert_eq!(
        new.fold().restored,
        Some(old.rev),
        "the older one was announced"
    );
    assert_eq!(new.position(), other.position());
    let start = Start {
        known: None,
        trust: Trust::OwnCopy,
    };
    let own = cluster.begin(4, start).await.unwrap();
    assert_eq!(
        own.fold().restored,
        Some(rev(4)),
        "a node trusts its own copy"
    );
    assert_eq!(own.fold().catalogue, new.fold().catalogue);
}

#[tokio::test]
async fn damaged_and_alien_checkpoints_are_passed_over_down_to_the_first_record() {
    let cluster = Cluster::new();
    let writer = cluster.grown(1, 3).await;
    let junk = Bytes::from_static(b"{\"v\":2}");
    let digest = Digest::of(&junk);
    cluster.put(&Key::Checkpoint { rev: 9, digest }, junk).await;
    let alien = Cluster::new();
    let name = alien.grown(7, 2).await.checkpoint().await.unwrap();
    let key = Key::Checkpoint {
        rev: 2,
        digest: name.root,
    };
    cluster
        .put(&key, alien.store.get(&key).await.unwrap())
        .await;
    let new = cluster.node(2).await;
    assert_eq!(
        (new.fold().restored, &new.fold().applied),
        (None, &vec![1, 2, 3])
    );
    assert_eq!(new.position(), writer.position());
}

#[tokio::test]
async fn a_node_begins_from_its_own_copy_of_the_end_of_the_ledger() {
    let cluster = Cluster::new();
    let mut writer = cluster.grown(1, 3).await;
    let name = writer.checkpoint().await.unwrap();
    cluster.grow(&mut writer).await;
    let copy = Cluster::new();
    let snap = Key::Checkpoint {
        rev: name.rev.get(),
        digest: name.root,
    };
    for key in [snap, Key::Log(4)] {
        copy.put(&key, cluster.store.get(&key).await.unwrap()).await;
    }
    let start = Start {
        known: None,
        trust: Trust::OwnCopy,
    };
    let restarted = copy.begin(1, start).await.unwrap();
    assert_eq!(restarted.position(), writer.position());
    assert_eq!(restarted.fold().catalogue, writer.fold().catalogue);
}

/// A store that let two writers win a slot shows the record that this node knows, and goes on from the other one.
#[tokio::test]
async fn a_node_does_not_begin_at_a_checkpoint_of_another_history() {
    // The checkpoint is of the very slot that two won, or of a later one.
    for grown in [1, 2] {
        let error = begun_beside_another_winner(grown).await.unwrap_err();
        assert!(
            matches!(error, LedgerError::Fork(Fork::Broken { rev: at, .. }) if at == rev(4)),
            "{grown}: {error}"
        );
    }
}

async fn begun_beside_another_winner(grown: u64) -> Result<Ledger<Seen>, LedgerError> {
    let cluster = Cluster::new();
    let mut writer = cluster.grown(1, 2).await;
    let other = Cluster::new();
    for slot in [1, 2].map(Key::Log) {
        other
            .put(&slot, cluster.store.get(&slot).await.unwrap())
            .await;
    }
    let mut loser = other.node(2).await;
    add(&mut loser, cluster.want(), "won as well")
        .await
        .unwrap();
    let known = loser.position();
    for _ in 0..grown {
        cluster.grow(&mut writer).await;
    }
    writer.checkpoint().await.unwrap();
    cluster.grow(&mut writer).await;
    let slot = Key::Log(3);
    let bytes = other.store.get(&slot).await.unwrap();
    cluster.store.put(&slot, bytes).await.unwrap();
    let start = Start {
        known: Some(known),
        trust: Trust::Vouched,
    };
    cluster.begin(2, start).await
}
