//! One app of a checkpoint, as bytes: an object of its own, named by its digest.
//!
//! What is few (title, rollout, policy) is JSON, as in every record; versions are packed, because there are
//! a hundred times as many. The bytes are a function of the app alone, so an app that did not change is the
//! same object in the next checkpoint and need not be written again.

use std::sync::Arc;

use crate::{
    catalogue::App,
    dossier::{PackedDossier, format_byte, format_of},
    pack::{Packer, Unpackable, Unpacker},
    record::RecordError,
    time::Timestamp,
    version::{Bundle, Life, Number, Permissions, Version},
};

/// The shape of these bytes.
const SHAPE: u8 = 1;
const WHAT: &str = "app of a checkpoint";

/// The app's bytes.
pub fn pack_app(app: &App) -> Result<Vec<u8>, RecordError> {
    let mut packer = Packer::default();
    packer.byte(SHAPE);
    packer.bytes(&serde_json::to_vec(&app.without_versions())?);
    packer.count(app.versions.len());
    let none = Permissions::default();
    let mut before = &none;
    for version in app.versions.values() {
        pack_version(&mut packer, version, before)?;
        before = &version.permissions;
    }
    Ok(packer.done())
}

/// The app of which these are the bytes.
pub fn unpack_app(bytes: &[u8]) -> Result<App, RecordError> {
    let mut from = Unpacker::new(bytes, WHAT);
    let shape = from.byte()?;
    if shape != SHAPE {
        let v = shape.into();
        return Err(RecordError::Shape { v });
    }
    let mut app: App = serde_json::from_slice(from.bytes()?)?;
    let none = Permissions::default();
    let mut versions: Vec<(Number, Arc<Version>)> = Vec::new();
    for _ in 0..from.count()? {
        let before = versions.last().map(|(_, version)| &version.permissions);
        let version = unpack_version(&mut from, before.unwrap_or(&none))?;
        versions.push((version.number.clone(), Arc::new(version)));
    }
    from.end()?;
    // From a sorted list the tree is built full.
    app.versions = versions.into_iter().collect();
    Ok(app)
}

/// Stands in the place of the number of permissions where they are those of the version before.
const AS_BEFORE: u64 = 0;

fn pack_version(
    packer: &mut Packer,
    version: &Version,
    before: &Permissions,
) -> Result<(), RecordError> {
    let Version {
        number,
        bundle,
        permissions,
        notes,
        life,
        submitted_at,
        dossier,
    } = version;
    let Bundle {
        sha256,
        bytes,
        format,
        files,
        unpacked_bytes,
    } = bundle;
    packer.text(&number.to_string());
    packer.digest(sha256);
    packer.number(*bytes);
    packer.byte(format_byte(*format));
    packer.number((*files).into());
    packer.number(*unpacked_bytes);
    if permissions == before {
        packer.number(AS_BEFORE);
    } else {
        packer.count(permissions.len() + 1);
        for permission in &**permissions {
            packer.text(permission.as_str());
        }
    }
    packer.text(notes);
    pack_life(packer, life)?;
    packer.number(submitted_at.unix_ms());
    packer.bytes(dossier.as_bytes());
    Ok(())
}

fn unpack_version(from: &mut Unpacker<'_>, before: &Permissions) -> Result<Version, RecordError> {
    let wrong = from.wrong();
    Ok(Version {
        number: from.text()?.parse().map_err(|_| wrong)?,
        bundle: Bundle {
            sha256: from.digest()?,
            bytes: from.number()?,
            format: format_of(from.byte()?).ok_or(wrong)?,
            files: u32::try_from(from.number()?).map_err(|_| wrong)?,
            unpacked_bytes: from.number()?,
        },
        permissions: match from.number()? {
            AS_BEFORE => before.clone(),
            more => unpack_permissions(from, more - 1)?,
        },
        notes: from.text()?.to_owned(),
        life: unpack_life(from)?,
        submitted_at: Timestamp::from_unix_ms(from.number()?),
        dossier: PackedDossier::from_bytes(from.bytes()?)?,
    })
}

fn unpack_permissions(from: &mut Unpacker<'_>, count: u64) -> Result<Permissions, Unpackable> {
    let one = |_| from.text()?.parse().map_err(|_| from.wrong());
    (0..count).map(one).collect()
}

/// What most versions are is a byte; what carries more is JSON.
fn pack_life(packer: &mut Packer, life: &Life) -> Result<(), RecordError> {
    let byte = match life {
        Life::Draft => 1,
        Life::Submitted => 2,
        Life::InReview => 3,
        Life::Approved => 4,
        Life::Listed => 5,
        Life::Rejected { .. } | Life::Delisted { .. } => 0,
    };
    packer.byte(byte);
    if byte == 0 {
        packer.bytes(&serde_json::to_vec(life)?);
    }
    Ok(())
}

fn unpack_life(from: &mut Unpacker<'_>) -> Result<Life, RecordError> {
    Ok(match from.byte()? {
        0 => serde_json::from_slice(from.bytes()?)?,
        1 => Life::Draft,
        2 => Life::Submitted,
        3 => Life::InReview,
        4 => Life::Approved,
        5 => Life::Listed,
        _ => return Err(from.wrong().into()),
    })
}
