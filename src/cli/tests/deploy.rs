//! The files in `deploy/` say nothing the program does not understand.

use std::{fs, process::Command};

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
fn the_nodes_of_kubernetes_start_from_sound_settings() {
    let manifest = include_str!("../../../deploy/kubernetes/statefulset.yaml");
    let mut lines = manifest.lines().map(str::trim);
    let mut env = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("- name: HUIDU_") {
            let value = lines
                .next()
                .and_then(|line| line.strip_prefix("value: "))
                .unwrap();
            env.push((
                format!("HUIDU_{name}"),
                value.replace("$(POD_NAME)", "huidu-0"),
            ));
        }
    }
    assert!(env.iter().any(|(name, _)| name == "HUIDU_NODE__NAME"));
    // The secrets are where the manifest mounts them; here they lie elsewhere.
    let secrets = tempfile::tempdir().unwrap();
    fs::write(secrets.path().join("store-secret-key"), "hunter2\n").unwrap();
    fs::write(secrets.path().join("bus-url"), "redis://cache:6379\n").unwrap();
    let text = include_str!("../../../deploy/kubernetes/huidu.toml");
    let mounted = "/etc/huidu/secrets";
    assert_eq!(text.matches(mounted).count(), 2);
    let text = text.replace(mounted, secrets.path().to_str().unwrap());
    let read = |env| {
        Settings::read(&Sources {
            file: Some(("huidu.toml".into(), text.clone())),
            env,
            ..Sources::default()
        })
    };
    let settings = read(env.clone()).unwrap();
    assert!(matches!(settings.store, StoreSettings::S3(_)));
    assert!(matches!(settings.bus, BusSettings::Redis { .. }));
    assert!(settings.device.listen.ip().is_unspecified());
    // Why service links are off: what they would put there is no setting.
    env.push(("HUIDU_PORT_80_TCP".into(), "tcp://10.0.0.1:80".into()));
    assert!(read(env).is_err());
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
