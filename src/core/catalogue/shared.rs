//! Maps of shared values, written as maps of the values: sharing is a matter of memory and not of what is kept.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(super) fn serialize<S, K, V>(
    map: &BTreeMap<K, Arc<V>>,
    serializer: S,
) -> Result<S::Ok, S::Error>
where
    S: Serializer,
    K: Serialize,
    V: Serialize,
{
    serializer.collect_map(map.iter().map(|(key, value)| (key, &**value)))
}

pub(super) fn deserialize<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, Arc<V>>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
{
    let map = BTreeMap::<K, V>::deserialize(deserializer)?;
    Ok(map
        .into_iter()
        .map(|(key, value)| (key, value.into()))
        .collect())
}
