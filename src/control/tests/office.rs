//! A plane where versions are reviewed, with the people who review them.

use huidu_core::{
    command::Command,
    name::MemberId,
    poll::{Device, Installed},
};
use serde_json::json;

use super::*;

/// An app's versions.
pub(super) const VERSIONS: &str = "/api/v1/apps/pingan/travel/versions";

/// The reviewing plane, and people with names: members with one token each.
pub(super) struct Office {
    pub(super) plane: Plane,
    /// A reviewer.
    rui: Token,
    /// Another.
    rosa: Token,
    /// Security.
    sec: Token,
}

impl Office {
    pub(super) async fn new() -> Self {
        let plane = Plane::reviewing().await;
        let office = Self {
            rui: Token::generate_for(Kind::Reviewer, "rui").unwrap(),
            rosa: Token::generate_for(Kind::Reviewer, "rosa").unwrap(),
            sec: Token::generate_for(Kind::Security, "sec").unwrap(),
            plane,
        };
        for (name, token, role) in [
            ("rui", &office.rui, Role::Reviewer),
            ("rosa", &office.rosa, Role::Reviewer),
            ("sec", &office.sec, Role::Security),
        ] {
            let member: MemberId = name.parse().unwrap();
            let put = Command::PutMember {
                member,
                title: String::new(),
                role: role.clone(),
                identity: None,
            };
            office.plane.change(put).await;
            office.plane.change(given(token, role, Some(name))).await;
        }
        for (host, sandbox) in [("retail", false), ("retail-test", true)] {
            let add = Command::AddHost {
                host: host.parse().unwrap(),
                title: String::new(),
                sandbox,
            };
            office.plane.change(add).await;
        }
        let add = Command::AddApp {
            app: "pingan/travel".parse().unwrap(),
            title: String::new(),
        };
        office.plane.change(add).await;
        office
    }

    pub(super) fn rui(&self, line: &str) -> Ask<'_> {
        self.plane.ask(&self.rui, line)
    }

    pub(super) fn rosa(&self, line: &str) -> Ask<'_> {
        self.plane.ask(&self.rosa, line)
    }

    pub(super) fn sec(&self, line: &str) -> Ask<'_> {
        self.plane.ask(&self.sec, line)
    }

    pub(super) async fn submit(
        &self,
        version: &str,
        permissions: &str,
        files: &[(&str, &str)],
    ) -> Reply {
        let line =
            format!("POST {VERSIONS}?version={version}&permissions={permissions}&filing=ICP-1");
        let reply = self.plane.ping(&line).bytes(zipped(files)).send().await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply}");
        reply
    }

    pub(super) async fn ok(&self, ask: Ask<'_>) -> Reply {
        let reply = ask.send().await;
        assert!(reply.status.is_success(), "{reply}");
        reply
    }

    pub(super) async fn approve(&self, version: &str, bundle: &Value) {
        let line = format!("POST {VERSIONS}/{version}/approve");
        let ask = self.rui(&line).any().json(json!({ "bundle": bundle }));
        self.ok(ask).await;
    }

    /// What a device is told: the manifest's version, reason and permissions.
    pub(super) fn told(&self, host: &str, unit: &str, preview: Option<&str>) -> Value {
        let live = self.plane.node.live();
        let app = live.app("pingan/travel").unwrap();
        let installed = Installed {
            preview,
            ..Installed::default()
        };
        let now = self.plane.node.now();
        let outcome = app
            .compiled
            .resolve(host, &Device::new(unit), &installed, now);
        let manifest: Value = serde_json::from_slice(&outcome.answer.body).unwrap();
        json!([
            manifest["version"],
            manifest["reason"],
            manifest["permissions"],
            manifest["revoked"]
        ])
    }
}
