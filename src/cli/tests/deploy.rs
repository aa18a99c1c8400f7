//! The files in `deploy/` say nothing the program does not understand.

use std::process::Command;

use crate::settings::{BusSettings, Settings, Sources, StoreSettings};

/// `NAME: value` lines of a compose file that are settings.
fn environment(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().map(str::trim);
    let pairs = lines.filter_map(|line| line.split_once(": "));
    let settings = pairs.filter(|(name, _)| name.starts_with("HUIDU_") && *name != "HUIDU_SECRET");
    let secret = |value: &str| {
        if value.starts_with("${") {
            "a-secret".into()
        } else {
            value.to_owned()
        }
    };
    settings
        .map(|(name, value)| (name.to_owned(), secret(value)))
        .collect()
}

#[test]
fn the_nodes_of_the_compose_file_start_from_sound_settings() {
    let text = include_str!("../../../deploy/compose.yaml");
    let settings = Settings::read(&Sources {
        env: environment(text),
        ..Sources::default()
    })
    .unwrap();
    assert!(matches!(settings.store, StoreSettings::S3(_)));
    assert!(matches!(settings.bus, BusSettings::Redis { .. }));
    let nodes: Vec<_> = text
        .lines()
        .filter(|line| line.contains("HUIDU_NODE__NAME: "))
        .collect();
    assert_eq!(nodes.len(), 3);
    for needed in ["-volume.max=0", "-s3.port.iceberg=0", "seaweedfs:4.48"] {
        assert!(text.contains(needed), "{needed}");
    }
}

#[test]
fn the_image_starts_from_sound_settings() {
    let text = include_str!("../../../deploy/Dockerfile");
    let pairs = text
        .split_whitespace()
        .filter_map(|word| word.split_once('='));
    let env: Vec<_> = pairs
        .filter(|(name, _)| name.starts_with("HUIDU_"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert!(env.len() >= 3);
    let settings = Settings::read(&Sources {
        env,
        ..Sources::default()
    })
    .unwrap();
    assert!(settings.device.listen.ip().is_unspecified());
}

#[test]
fn systemd_accepts_the_unit_where_there_is_a_systemd() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/systemd/huidu.service");
    let text = include_str!("../../../deploy/systemd/huidu.service");
    for needed in [
        "DynamicUser=yes",
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
    ] {
        assert!(text.contains(needed), "{needed}");
    }
    // The binary is not installed where the unit says, so only what else is told counts.
    if let Ok(verified) = Command::new("systemd-analyze")
        .args(["verify", unit])
        .output()
    {
        let told = String::from_utf8_lossy(&verified.stderr);
        let about_us = told.lines().filter(|line| line.contains("huidu.service"));
        let other: Vec<_> = about_us
            .filter(|line| !line.contains("not executable"))
            .collect();
        assert!(other.is_empty(), "{other:?}");
    }
}
