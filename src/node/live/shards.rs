//! `Shards`: a map of which a changed copy shares nearly everything with the map it was made from.
//!
//! 256 tables behind counted references: a change copies the one table it falls into, and the root. The
//! keys are names from the catalogue, which people with credentials choose, so a short plain hash does.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::{BuildHasher, Hash, Hasher},
    sync::Arc,
};

const SHARDS: usize = 256;

type Table<K, V> = HashMap<K, V, Plain>;

/// A map in 256 shared tables.
pub(super) struct Shards<K, V> {
    tables: Arc<[Arc<Table<K, V>>]>,
    len: usize,
}

impl<K, V> Clone for Shards<K, V> {
    fn clone(&self) -> Self {
        Self {
            tables: Arc::clone(&self.tables),
            len: self.len,
        }
    }
}

impl<K, V> Default for Shards<K, V> {
    fn default() -> Self {
        let empty = Arc::new(Table::default());
        Self {
            tables: (0..SHARDS).map(|_| Arc::clone(&empty)).collect(),
            len: 0,
        }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Shards<K, V> {
    pub(super) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.tables[shard(key)].get(key)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.tables.iter().flat_map(|table| table.values())
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The table that `key` falls into, copied if somebody else looks at it.
    fn table<Q: Hash + ?Sized>(&mut self, key: &Q) -> &mut Table<K, V> {
        Arc::make_mut(&mut Arc::make_mut(&mut self.tables)[shard(key)])
    }

    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let before = self.table(&key).insert(key, value);
        self.len += usize::from(before.is_none());
        before
    }

    /// The value of `key`, made when it is absent.
    pub(super) fn entry(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        self.len += usize::from(self.get(&key).is_none());
        self.table(&key).entry(key).or_default()
    }

    pub(super) fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        if self.get(key).is_some() {
            self.table(key).remove(key);
            self.len -= 1;
        }
    }
}

fn shard<Q: Hash + ?Sized>(key: &Q) -> usize {
    // The tables use the lowest and the highest bits.
    (Plain.hash_one(key) >> 40) as usize % SHARDS
}

/// FNV-1a, stirred at the end so that all bits depend on all bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Plain;

struct PlainHasher(u64);

impl BuildHasher for Plain {
    type Hasher = PlainHasher;

    fn build_hasher(&self) -> PlainHasher {
        PlainHasher(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for PlainHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        let stirred = (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        stirred ^ (stirred >> 29)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_copies_one_table_and_leaves_the_old_map_as_it_was() {
        let mut before = Shards::<Box<str>, u32>::default();
        for n in 0..10_000 {
            before.insert(format!("tenant-{}/app-{n}", n % 7).into(), n);
        }
        let mut after = before.clone();
        after.insert("tenant-0/app-0".into(), 99);
        after.remove("tenant-1/app-1");
        *after.entry("new/one".into()) += 5;
        assert_eq!(
            (before.get("tenant-0/app-0"), after.get("tenant-0/app-0")),
            (Some(&0), Some(&99))
        );
        assert_eq!((before.len(), after.len()), (10_000, 10_000));
        assert_eq!(
            (before.get("new/one"), after.get("new/one")),
            (None, Some(&5))
        );
        assert_eq!(after.get("tenant-1/app-1"), None);
        let tables = before.tables.iter().zip(after.tables.iter());
        let copied = tables.filter(|(old, new)| !Arc::ptr_eq(old, new)).count();
        assert!((1..=3).contains(&copied), "{copied}");
        assert_eq!(after.values().count(), after.len());
    }

    #[test]
    fn names_spread_over_the_tables() {
        let mut map = Shards::<Box<str>, u32>::default();
        for n in 0..10_000 {
            map.insert(format!("tenant/app-{n}").into(), n);
        }
        let fullest = map.tables.iter().map(|table| table.len()).max();
        assert!(fullest < Some(80), "{fullest:?}, expected about 39");
    }
}
