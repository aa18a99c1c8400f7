//! `huidu explain`: why a device gets what it gets, step by step.

use clap::Args;
use huidu_core::{
    name::{AppId, HostId},
    time::Timestamp,
};
use serde_json::{Value, json};

use super::{
    context::{Context, app_path},
    output::{Done, cell},
};
use crate::client::profile::Profile;

/// Why a device gets what it gets.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  huidu explain pingan/travel --host retail-bank --unit device-7 --platform android --region CN-31\n  huidu explain pingan/travel --host retail-bank --unit device-7 --running 2.3.1 --at 2026-12-01T08:00:00+08:00 --json"
)]
pub(super) struct Explain {
    /// `tenant/app`
    app: AppId,
    /// The bank app it polls from
    #[arg(long)]
    host: HostId,
    #[command(flatten)]
    device: DeviceFlags,
    /// The version it runs now
    #[arg(long, value_name = "VERSION")]
    running: Option<String>,
    /// A release that failed on it; may be repeated
    #[arg(long, value_name = "VERSION")]
    failed: Vec<String>,
    /// When it polls; left out: now
    #[arg(long, value_name = "INSTANT")]
    at: Option<Timestamp>,
}

/// What a device says about itself, as flags.
#[derive(Debug, Clone, Args)]
pub(super) struct DeviceFlags {
    /// What is hashed: a device id or a pseudonymous user id
    #[arg(long, help_heading = "Device")]
    unit: String,
    /// `android`, `ios`, `harmony` …
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        help_heading = "Device"
    )]
    platform: String,
    /// ISO 3166-2, such as CN-31
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        help_heading = "Device"
    )]
    region: String,
    /// City
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        help_heading = "Device"
    )]
    city: String,
    /// BCP 47, such as zh-CN
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        help_heading = "Device"
    )]
    language: String,
    /// Model
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        help_heading = "Device"
    )]
    model: String,
    /// Distribution channel of the bank app
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        help_heading = "Device"
    )]
    channel: String,
    /// Version of the bank app
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        help_heading = "Device"
    )]
    host_version: String,
    /// Version of the operating system
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        help_heading = "Device"
    )]
    os_version: String,
    /// A tag; may be repeated
    #[arg(long = "tag", value_name = "TAG", help_heading = "Device")]
    tags: Vec<String>,
    /// A free attribute; may be repeated
    #[arg(long = "attr", value_name = "NAME=VALUE", value_parser = pair, help_heading = "Device")]
    attrs: Vec<(String, String)>,
}

impl DeviceFlags {
    pub(super) fn profile(self) -> Profile {
        Profile {
            unit: self.unit,
            platform: self.platform,
            region: self.region,
            city: self.city,
            language: self.language,
            model: self.model,
            channel: self.channel,
            host_version: self.host_version,
            os_version: self.os_version,
            tags: self.tags,
            attr: self.attrs.into_iter().collect(),
        }
    }
}

/// Reads `NAME=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "write NAME=VALUE".into())
}

impl Explain {
    pub(super) fn run(self, context: &Context) -> Done {
        let mut asked = json!({ "host": self.host, "device": self.device.profile() });
        if let Some(running) = self.running {
            asked["version"] = json!(running);
        }
        if !self.failed.is_empty() {
            asked["failed"] = json!(self.failed);
        }
        if let Some(at) = self.at {
            asked["now"] = json!(at);
        }
        let path = format!("{}/explain", app_path(&self.app));
        let reply = context.control()?.query(&path, asked)?;
        context.answer(&reply.document, told);
        Ok(0)
    }
}

/// An explanation as people read it: the answer, then the walk.
pub(super) fn told(explanation: &Value) -> String {
    cell(&explanation["text"]).trim_end().to_owned()
}
