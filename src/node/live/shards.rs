//! `Shards`: a map of which a changed copy shares nearly everything with the map it was made from.
//!
//! 256 tables behind counted references: a change copies the one table it falls into, and the root. A name
//! is hashed once, for the table and for the place in it, and a place holds its hash, so that a look-up
//! reads one line of a table and then the name it found. The keys are names from the catalogue, which
//! people with credentials choose, so a short plain hash does.

use std::{borrow::Borrow, hash::Hash, hash::Hasher, sync::Arc};

const SHARDS: usize = 256;

/// One place of a table; a free one has no entry.
#[derive(Clone)]
struct Place<K, V> {
    hash: u64,
    entry: Option<(K, V)>,
}

/// Open addressing over a power of two of places, at most three quarters of them taken: each entry lies at
/// its own place or behind it, with no free place between.
type Table<K, V> = [Place<K, V>];

/// A table and how many of its places are taken.
struct Shard<K, V> {
    places: Arc<Table<K, V>>,
    taken: usize,
}

impl<K, V> Clone for Shard<K, V> {
    fn clone(&self) -> Self {
        Self {
            places: Arc::clone(&self.places),
            taken: self.taken,
        }
    }
}

/// A map in 256 shared tables.
pub(super) struct Shards<K, V> {
    tables: Arc<[Shard<K, V>]>,
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
        let empty = Shard {
            places: Arc::new([]),
            taken: 0,
        };
        Self {
            tables: vec![empty; SHARDS].into(),
            len: 0,
        }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Shards<K, V> {
    pub(super) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let hash = hash_of(key);
        let table = &*self.tables[shard(hash)].places;
        match find(table, hash, key) {
            Found::At(at) => table[at].entry.as_ref().map(|(_, value)| value),
            Found::Free(_) => None,
        }
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        let places = self.tables.iter().flat_map(|shard| shard.places.iter());
        places.filter_map(|place| place.entry.as_ref().map(|(_, value)| value))
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn shard(&mut self, hash: u64) -> &mut Shard<K, V> {
        &mut Arc::make_mut(&mut self.tables)[shard(hash)]
    }

    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let hash = hash_of(&key);
        let shard = self.shard(hash);
        let mut found = find(&shard.places, hash, &key);
        let is_new = matches!(found, Found::Free(_));
        if is_new {
            shard.taken += 1;
            // A quarter stays free.
            if shard.taken * 4 > shard.places.len() * 3 {
                shard.places = larger(&shard.places);
                found = find(&shard.places, hash, &key);
            }
        }
        // Copied if somebody else looks at it.
        let place = &mut Arc::make_mut(&mut shard.places)[found.place()];
        place.hash = hash;
        let before = place.entry.replace((key, value));
        self.len += usize::from(is_new);
        before.map(|(_, before)| before)
    }

    /// The value of `key`, made when it is absent.
    pub(super) fn entry(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        if self.get(&key).is_none() {
            self.insert(key.clone(), V::default());
        }
        let hash = hash_of(&key);
        let table = Arc::make_mut(&mut self.shard(hash).places);
        let at = find(table, hash, &key).place();
        &mut table[at].entry.get_or_insert_with(|| (key, V::default())).1
    }

    pub(super) fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        let hash = hash_of(key);
        let Found::At(mut hole) = find(&self.tables[shard(hash)].places, hash, key) else {
            return;
        };
        let shard = self.shard(hash);
        shard.taken -= 1;
        let table = Arc::make_mut(&mut shard.places);
        table[hole].entry = None;
        // Whatever lies behind moves up, as long as it does not pass its own place.
        let mask = table.len() - 1;
        let mut at = (hole + 1) & mask;
        while table[at].entry.is_some() {
            let own = table[at].hash as usize & mask;
            if at.wrapping_sub(own) & mask >= at.wrapping_sub(hole) & mask {
                table.swap(hole, at);
                hole = at;
            }
            at = (at + 1) & mask;
        }
        self.len -= 1;
    }
}

/// Where a key is, or the free place that it would take; in a table without places: nowhere.
enum Found {
    At(usize),
    Free(usize),
}

impl Found {
    const fn place(self) -> usize {
        match self {
            Self::At(at) | Self::Free(at) => at,
        }
    }
}

#[inline]
fn find<K: Borrow<Q>, V, Q: Eq + ?Sized>(table: &Table<K, V>, hash: u64, key: &Q) -> Found {
    let mask = table.len().wrapping_sub(1);
    let mut at = hash as usize & mask;
    // A table of any size has a free place, so this ends; one of none has no place at all.
    while let Some(place) = table.get(at) {
        match &place.entry {
            None => return Found::Free(at),
            Some((known, _)) if place.hash == hash && known.borrow() == key => {
                return Found::At(at);
            }
            Some(_) => at = (at + 1) & mask,
        }
    }
    Found::Free(0)
}

/// The same entries over twice the places.
fn larger<K: Clone, V: Clone>(table: &Table<K, V>) -> Arc<Table<K, V>> {
    let free = Place {
        hash: 0,
        entry: None,
    };
    let mut places = vec![free; (table.len() * 2).max(4)];
    let mask = places.len() - 1;
    for place in table.iter().filter(|place| place.entry.is_some()) {
        let mut at = place.hash as usize & mask;
        while places[at].entry.is_some() {
            at = (at + 1) & mask;
        }
        places[at] = place.clone();
    }
    places.into()
}

fn hash_of<Q: Hash + ?Sized>(key: &Q) -> u64 {
    let mut hasher = Plain(0xcbf2_9ce4_8422_2325);
    key.hash(&mut hasher);
    hasher.finish()
}

fn shard(hash: u64) -> usize {
    // The tables use the lowest bits.
    (hash >> 40) as usize % SHARDS
}

/// Eight bytes at a time, folded by one multiplication each, so that all bits depend on all bytes.
struct Plain(u64);

impl Plain {
    fn mix(&mut self, word: u64) {
        let wide = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (wide >> 64) as u64 ^ wide as u64;
    }
}

impl Hasher for Plain {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last) ^ ((bytes.len() as u64) << 56));
    }

    fn write_u8(&mut self, byte: u8) {
        self.mix(u64::from(byte));
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

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
        let copied = tables
            .filter(|(old, new)| !Arc::ptr_eq(&old.places, &new.places))
            .count();
        assert!((1..=3).contains(&copied), "{copied}");
        assert_eq!(after.values().count(), after.len());
    }

    #[test]
    fn names_spread_over_the_tables() {
        let mut map = Shards::<Box<str>, u32>::default();
        for n in 0..10_000 {
            map.insert(format!("tenant/app-{n}").into(), n);
        }
        let fullest = map.tables.iter().map(|shard| shard.taken).max();
        assert!(fullest < Some(80), "{fullest:?}, expected about 39");
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds(
            steps in proptest::collection::vec((0_u8..3, 0_u16..300, any::<u32>()), 0..600),
        ) {
            let (mut map, mut model) = (Shards::<Box<str>, u32>::default(), HashMap::new());
            for (step, key, value) in steps {
                // Few tables, so that places are fought over.
                let key = format!("k{}", key % 97);
                match step {
                    0 => {
                        let before = map.insert(key.as_str().into(), value);
                        prop_assert_eq!(before, model.insert(key, value));
                    }
                    1 => {
                        map.remove(key.as_str());
                        model.remove(&key);
                    }
                    _ => {
                        *map.entry(key.as_str().into()) ^= value;
                        *model.entry(key).or_default() ^= value;
                    }
                }
                prop_assert_eq!(map.len(), model.len());
            }
            for (key, value) in &model {
                prop_assert_eq!(map.get(key.as_str()), Some(value));
            }
            prop_assert_eq!(map.values().count(), model.len());
        }
    }

    #[test]
    fn a_crowded_table_gives_back_what_is_removed_from_its_middle() {
        // One table alone, by its own functions: every entry of one shard.
        let mut map = Shards::<Box<str>, u32>::default();
        let names = (0_u32..).map(|n| format!("name-{n}"));
        let crowd: Vec<_> = names
            .filter(|name| shard(hash_of(name.as_str())) == 7)
            .take(96)
            .collect();
        for (n, name) in crowd.iter().enumerate() {
            map.insert(name.as_str().into(), n as u32);
        }
        for gone in (0..crowd.len()).step_by(3) {
            map.remove(crowd[gone].as_str());
        }
        for (n, name) in crowd.iter().enumerate() {
            let there = (n % 3 != 0).then_some(n as u32);
            assert_eq!(map.get(name.as_str()).copied(), there, "{name}");
        }
    }
}
