//! The concrete parts that settings name: the only place outside their own folders that knows which store
//! and which bus there are.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;

use crate::{
    settings::{S3Settings, StoreSettings},
    store::{
        Store,
        fs::FsStore,
        memory::MemoryStore,
        s3::{self, S3Store},
    },
};

/// How long one attempt of an ordinary operation of an S3 may take.
const S3_TIMEOUT: Duration = Duration::from_secs(10);

/// The store, one handle for each of its endpoints; all lead to the same objects.
pub fn stores(settings: &StoreSettings) -> anyhow::Result<Vec<Arc<dyn Store>>> {
    Ok(match settings {
        StoreSettings::Fs { path } => vec![Arc::new(FsStore::open(path)?)],
        StoreSettings::Memory => vec![Arc::new(MemoryStore::new())],
        StoreSettings::S3(settings) => settings
            .endpoints
            .iter()
            .map(|endpoint| Ok(Arc::new(bucket(settings, endpoint)?) as Arc<dyn Store>))
            .collect::<anyhow::Result<_>>()?,
    })
}

fn bucket(settings: &S3Settings, endpoint: &str) -> anyhow::Result<S3Store> {
    Ok(S3Store::new(s3::S3Settings {
        endpoint: endpoint.to_owned(),
        region: settings.region.clone(),
        bucket: settings.bucket.clone(),
        prefix: settings.prefix.parse().context("setting `store.prefix`")?,
        access_key: settings.access_key.clone(),
        secret_key: settings.secret_key.expose().to_owned(),
        timeout: S3_TIMEOUT,
    }))
}
