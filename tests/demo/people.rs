//! Ten thousand devices: who they are, what each has, and how they ask.
//!
//! They poll as a bank's app does: all its mini-programs at once, naming what they have, so that most
//! replies are a 304. Nobody here knows a rule; what they end up with is what the server said.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::wire::Wire;

/// How many.
pub(crate) const DEVICES: usize = 10_000;
/// The bank app they run.
pub(crate) const HOST: &str = "retail-bank";
/// Connections to each node.
const CONNECTIONS: usize = 2;

/// What a device has of one app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Has {
    pub(crate) version: String,
    pub(crate) rule: String,
    pub(crate) arm: String,
    etag: String,
}

/// A device.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) unit: String,
    pub(crate) region: &'static str,
    pub(crate) is_staff: bool,
    /// By app, in the order of the apps.
    pub(crate) has: Vec<Has>,
}

/// All of them.
pub(crate) struct People {
    pub(crate) apps: [&'static str; 2],
    pub(crate) devices: Vec<Device>,
}

impl People {
    /// Two in five live in Shanghai; one in 53 works for the bank, wherever they live.
    pub(crate) fn new(apps: [&'static str; 2]) -> Self {
        let device = |n: usize| Device {
            unit: format!("device-{n:05}"),
            region: ["CN-31", "CN-31", "CN-11", "CN-11", "CN-44"][n % 5],
            is_staff: n % 53 == 7,
            has: vec![Has::default(); apps.len()],
        };
        Self {
            apps,
            devices: (0..DEVICES).map(device).collect(),
        }
    }

    /// Everybody polls once, spread over the nodes. Says how long that took.
    pub(crate) fn poll(&mut self, nodes: &[SocketAddr]) -> Duration {
        let since = Instant::now();
        let apps = self.apps;
        let lanes = nodes.len() * CONNECTIONS;
        thread::scope(|scope| {
            for (lane, devices) in self.devices.chunks_mut(DEVICES.div_ceil(lanes)).enumerate() {
                let node = nodes[lane % nodes.len()];
                scope.spawn(move || {
                    let mut wire = Wire::connect(node).unwrap();
                    for device in devices {
                        device.poll(&mut wire, apps);
                    }
                });
            }
        });
        since.elapsed()
    }

    /// What everybody has of one app.
    pub(crate) fn have(&self, app: usize) -> Vec<Has> {
        self.devices
            .iter()
            .map(|device| device.has[app].clone())
            .collect()
    }

    /// Everybody's next poll of one app as a sample for a plan.
    pub(crate) fn sample(&self, app: usize, segment: &str) -> Vec<Value> {
        let line = |device: &Device| {
            let mut line = json!({"host": HOST, "app": self.apps[app], "device": device.profile()});
            if device.is_staff {
                line["segments"] = json!([segment]);
            }
            if !device.has[app].version.is_empty() {
                line["version"] = json!(device.has[app].version);
            }
            line
        };
        self.devices.iter().map(line).collect()
    }
}

impl Device {
    fn profile(&self) -> Value {
        json!({"unit": self.unit, "platform": "android", "region": self.region, "host_version": "8.2.1"})
    }

    fn poll(&mut self, wire: &mut Wire, apps: [&str; 2]) {
        let asked = apps.iter().zip(&self.has).map(|(app, has)| {
            let mut asked = json!({"app": app});
            if !has.etag.is_empty() {
                asked["etag"] = json!(has.etag);
                asked["version"] = json!(has.version);
            }
            asked
        });
        let asked: Vec<_> = asked.collect();
        let body = json!({"host": HOST, "device": self.profile(), "apps": asked});
        let reply = wire.post("/v1/poll", &body).unwrap();
        match reply.status {
            304 => return,
            200 => {}
            status => panic!("a poll was answered with {status}: {}", reply.text()),
        }
        for news in reply.json()["apps"].as_array().unwrap() {
            let at = apps.iter().position(|app| news["app"] == *app).unwrap();
            let manifest = &news["manifest"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            self.has[at] = Has {
                version: text(&manifest["version"]),
                rule: text(&manifest["rule"]),
                arm: text(&manifest["arm"]),
                etag: text(&news["etag"]),
            };
        }
    }

    /// The path of a single poll of `app`, as this device sends it.
    pub(crate) fn path(&self, app: &str) -> String {
        format!(
            "/v1/manifest/{HOST}/{app}?u={}&p=android&r={}&hv=8.2.1",
            self.unit, self.region
        )
    }
}
