//! Checkpoints in pieces: what is written again and what is not, and what becomes of one that lost a piece.

use std::borrow::Cow;

use huidu_core::{checkpoint::Checkpoint, record::V1};
use serde_json::Value;

use super::*;

fn app(name: &str) -> Vec<Event> {
    vec![Event::AppAdded {
        app: format!("pingan/{name}").parse().unwrap(),
        title: name.into(),
    }]
}

async fn happen(cluster: &Cluster, ledger: &mut Ledger<Seen>, events: &[Event]) {
    let wanted = ledger.append(cluster.want(), PATIENCE, |_, _| {
        Ok::<_, Infallible>(events.to_vec())
    });
    assert!(matches!(wanted.await.unwrap(), Appended::Committed(_)));
}

/// A node that has admitted these apps.
async fn with_apps(cluster: &Cluster, node: u64, names: &[&str]) -> Ledger<Seen> {
    let mut ledger = cluster.node(node).await;
    for name in names {
        happen(cluster, &mut ledger, &app(name)).await;
    }
    ledger
}

/// Writes a checkpoint; its name and how many apps had to be written.
async fn checkpoint(ledger: &mut Ledger<Seen>) -> (CheckpointRef, usize) {
    let written = ledger.draft_checkpoint().unwrap().write().await.unwrap();
    let apps = written.apps;
    (ledger.note_checkpoint(written), apps)
}

#[tokio::test]
async fn a_checkpoint_writes_only_the_apps_that_changed_since_the_one_before() {
    let cluster = Cluster::new();
    let mut writer = with_apps(&cluster, 1, &["a", "b", "c"]).await;
    assert_eq!(checkpoint(&mut writer).await.1, 3);
    let killed = Event::Killed {
        app: "pingan/b".parse().unwrap(),
        version: None,
        reason: "leaks".into(),
        before: None,
    };
    happen(&cluster, &mut writer, &[killed]).await;
    assert_eq!(checkpoint(&mut writer).await.1, 1, "`b` as it is now");
    happen(&cluster, &mut writer, &app("e")).await;
    // Whoever begins from it knows its pieces too.
    let mut next = cluster.node(2).await;
    assert_eq!(next.fold().restored, Some(rev(4)));
    assert_eq!(next.fold().catalogue, writer.fold().catalogue);
    happen(&cluster, &mut next, &app("d")).await;
    let (name, apps) = checkpoint(&mut next).await;
    assert_eq!(apps, 2, "`d` and `e`");
    // It is what a node that never saw a checkpoint makes of the same records.
    writer.catch_up().await.unwrap();
    writer.pieces = None;
    assert_eq!(checkpoint(&mut writer).await, (name, 5));
}

#[tokio::test]
async fn a_checkpoint_that_was_overtaken_while_it_was_written_counts_for_what_it_is() {
    let cluster = Cluster::new();
    let mut writer = with_apps(&cluster, 1, &["a", "b"]).await;
    let draft = writer.draft_checkpoint().unwrap();
    happen(&cluster, &mut writer, &app("c")).await;
    let written = draft.write().await.unwrap();
    let name = writer.note_checkpoint(written);
    assert_eq!(name.rev, rev(2));
    happen(&cluster, &mut writer, &app("d")).await;
    let next = cluster.node(2).await;
    assert_eq!(
        (next.fold().restored, &next.fold().applied),
        (Some(rev(2)), &vec![3, 4])
    );
    assert_eq!(next.fold().catalogue, writer.fold().catalogue);
}

#[tokio::test]
async fn a_checkpoint_that_lost_a_piece_is_passed_over() {
    let cluster = Cluster::new();
    let mut writer = with_apps(&cluster, 1, &["a", "b"]).await;
    let name = writer.checkpoint().await.unwrap();
    happen(&cluster, &mut writer, &app("c")).await;
    assert_eq!(cluster.node(2).await.fold().restored, Some(name.rev));
    let copy = Cluster::new();
    for folder in [Folder::Log, Folder::Checkpoints] {
        for key in cluster.store.list(folder, None).await.unwrap() {
            copy.put(&key, cluster.store.get(&key).await.unwrap()).await;
        }
    }
    let new = copy.node(2).await;
    assert_eq!(
        (new.fold().restored, &new.fold().applied),
        (None, &vec![1, 2, 3])
    );
    assert_eq!(new.fold().catalogue, writer.fold().catalogue);
}

/// What a build that knew only the first shape would have written.
async fn in_one_piece(cluster: &Cluster, ledger: &Ledger<Seen>) -> CheckpointRef {
    let whole = Checkpoint {
        v: V1,
        rev: ledger.position().rev,
        head: ledger.position().head,
        catalogue: Cow::Borrowed(&ledger.fold().catalogue),
        ops: Cow::Borrowed(&ledger.ops),
    };
    let (name, bytes) = whole.encode().unwrap();
    let (rev, digest) = (name.rev.get(), name.root);
    cluster.put(&Key::Checkpoint { rev, digest }, bytes).await;
    name
}

#[tokio::test]
async fn a_checkpoint_in_one_piece_is_begun_from_as_ever() {
    let cluster = Cluster::new();
    let mut writer = with_apps(&cluster, 1, &["a", "b"]).await;
    let mut word = record(writer.position());
    word.ck = Some(in_one_piece(&cluster, &writer).await);
    let word = word.seal(&log_key()).unwrap();
    cluster.put(&Key::Log(3), word).await;
    writer.catch_up().await.unwrap();
    let mut new = cluster.node(2).await;
    assert_eq!(
        (new.fold().restored, &new.fold().applied),
        (Some(rev(2)), &vec![3])
    );
    assert_eq!(new.fold().catalogue, writer.fold().catalogue);
    assert_eq!(checkpoint(&mut new).await.1, 2, "it knew no piece");
}

#[tokio::test]
async fn the_same_state_in_the_shape_of_another_build_is_no_fork_and_another_state_is() {
    let cluster = Cluster::new();
    let mut ours = with_apps(&cluster, 1, &["a", "b"]).await;
    let theirs = in_one_piece(&cluster, &ours).await;
    let own = ours.checkpoint().await.unwrap();
    assert_ne!(own.root, theirs.root);
    let mut announcing = record(ours.position());
    announcing.ck = Some(theirs);
    cluster
        .put(&Key::Log(3), announcing.encode().unwrap())
        .await;
    let Tail::Record(followed) = ours.next().await.unwrap() else {
        panic!("revision 3")
    };
    assert_eq!((followed.ck, ours.fork()), (Some(theirs), None));

    let elsewhere = Cluster::new();
    let mut ours = with_apps(&elsewhere, 1, &["a", "x"]).await;
    ours.checkpoint().await.unwrap();
    let key = Key::Checkpoint {
        rev: 2,
        digest: theirs.root,
    };
    elsewhere
        .put(&key, cluster.store.get(&key).await.unwrap())
        .await;
    let mut announcing = record(ours.position());
    announcing.ck = Some(theirs);
    elsewhere
        .put(&Key::Log(3), announcing.encode().unwrap())
        .await;
    let error = ours.next().await.unwrap_err();
    assert!(
        matches!(error, LedgerError::Fork(Fork::Diverged { .. })),
        "{error}"
    );
}

/// A record after `ours` that vouches for a checkpoint of the same revision whose bytes are these.
async fn vouching(cluster: &Cluster, ours: &Ledger<Seen>, bytes: &[u8]) {
    let name = CheckpointRef {
        rev: ours.position().rev,
        root: Digest::of(bytes),
    };
    let (rev, digest) = (name.rev.get(), name.root);
    let bytes = Bytes::copy_from_slice(bytes);
    let key = Key::Checkpoint { rev, digest };
    cluster.put(&key, bytes).await;
    let mut announcing = record(ours.position());
    announcing.ck = Some(name);
    let slot = Key::Log(rev + 1);
    cluster
        .put(&slot, announcing.seal(&log_key()).unwrap())
        .await;
}

/// What a later build writes is not believed and is no fork: in another shape, with a field more, or with pieces of
/// another shape.
#[tokio::test]
async fn a_checkpoint_in_a_shape_that_is_not_known_here_is_neither_believed_nor_a_fork() {
    let one = Cluster::new();
    let mut ours = with_apps(&one, 1, &["a", "b"]).await;
    let own = ours.checkpoint().await.unwrap();
    let (rev, digest) = (own.rev.get(), own.root);
    let bytes = one
        .store
        .get(&Key::Checkpoint { rev, digest })
        .await
        .unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let outline: Value = serde_json::from_str(&text).unwrap();
    let piece = outline["apps"][0][1].as_str().unwrap().to_owned();
    let digest: Digest = piece.parse().unwrap();
    let mut strange = one.store.get(&Key::Cas(digest)).await.unwrap().to_vec();
    strange[0] = 9;
    let strange = Bytes::from(strange);
    let shapes = [
        text.replacen("\"v\":2", "\"v\":3", 1),
        text.replacen("{\"v\":2,", "{\"v\":2,\"mood\":1,", 1),
        text.replacen(&piece, &Digest::of(&strange).to_string(), 1),
    ];
    for shape in shapes {
        assert_ne!(shape, text);
        let cluster = Cluster::new();
        let mut ours = with_apps(&cluster, 1, &["a", "b"]).await;
        assert_eq!(ours.checkpoint().await.unwrap(), own, "the same state");
        cluster
            .put(&Key::Cas(Digest::of(&strange)), strange.clone())
            .await;
        vouching(&cluster, &ours, shape.as_bytes()).await;
        ours.catch_up().await.unwrap();
        assert_eq!((ours.revision(), ours.fork()), (rev_after(own), None));
        // A node that starts now starts from the records: it does not believe it either.
        let new = cluster.node(2).await;
        assert_eq!(new.fold().restored, None);
        assert_eq!(new.fold().catalogue, ours.fold().catalogue);
    }
}

fn rev_after(name: CheckpointRef) -> Revision {
    name.rev.next()
}

/// In the shape of this build another state is a fork, as ever: whoever lets that pass is found out.
#[tokio::test]
async fn another_state_in_the_shape_of_this_build_is_a_fork() {
    let one = Cluster::new();
    let mut other = with_apps(&one, 1, &["a", "x"]).await;
    let theirs = other.checkpoint().await.unwrap();
    let (rev, digest) = (theirs.rev.get(), theirs.root);
    let bytes = one
        .store
        .get(&Key::Checkpoint { rev, digest })
        .await
        .unwrap();
    let cluster = Cluster::new();
    let mut ours = with_apps(&cluster, 1, &["a", "b"]).await;
    ours.checkpoint().await.unwrap();
    vouching(&cluster, &ours, &bytes).await;
    let error = ours.catch_up().await.unwrap_err();
    assert!(
        matches!(error, LedgerError::Fork(Fork::Diverged { .. })),
        "{error}"
    );
}
