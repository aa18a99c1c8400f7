//! The context of an OpenFeature evaluation: the same words a poll has, as `OFREP` writes them.
//!
//! `{"context": {"targetingKey": …, "host": …, …}}`. Keys that a poll knows mean what they mean there; whatever else has
//! a name that rules can ask for, and is a text, a whole number or a flag, is a free attribute; the rest is what other
//! readers of the same context want, and is ignored. It is as strict as a poll where a mistake would change an answer,
//! and its errors, too, never carry a value.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{
    Attrs, Device, Failed, Installed, Pairs, PollError, Problem, Text, Value, Words, checked,
    checked_failed, checked_tags, checked_unit, json::checked_app, json::read, optional, wrong,
};
use crate::{limits, name::is_name, version_range::StatedVersion};

/// The field that names the unit.
pub(crate) const TARGETING_KEY: &str = "context.targetingKey";

/// What an OpenFeature client says of whom it asks for, checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evaluation<'a> {
    unit: Said<'a>,
    host: Said<'a>,
    platform: Said<'a>,
    region: Said<'a>,
    city: Said<'a>,
    language: Said<'a>,
    model: Said<'a>,
    channel: Said<'a>,
    host_version: Said<'a>,
    os_version: Said<'a>,
    tags: Said<'a>,
    version: Said<'a>,
    failed: Said<'a>,
    preview: Said<'a>,
    apps: Said<'a>,
    attrs: Vec<(Text<'a>, Text<'a>)>,
}

/// One value of a context.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Said<'a> {
    /// Not there, or null.
    #[default]
    Nothing,
    Text(Text<'a>),
    /// A whole number or a flag, as its text.
    Scalar(Text<'a>),
    List(Vec<Text<'a>>),
    /// What nothing here is made of.
    Other,
}

impl<'a> Evaluation<'a> {
    /// Reads and checks the body of an evaluation.
    pub fn from_json(body: &'a [u8]) -> Result<Self, PollError> {
        #[derive(Deserialize)]
        struct Request<'a> {
            #[serde(borrow, default)]
            context: Option<Evaluation<'a>>,
        }
        let request: Request<'a> = read(body)?;
        let read = request.context.unwrap_or_default();
        read.checked_device()?;
        match text("context.host", &read.host)? {
            None | Some("") => return Err(wrong("context.host", Problem::Missing)),
            Some(host) if is_name(host) => {}
            Some(_) => {
                let form = "the name of a bank app: 1 to 63 of a-z 0-9 . _ -";
                return Err(wrong("context.host", Problem::Form(form)));
            }
        }
        read.checked_installed()?;
        read.checked_apps()?;
        Ok(read)
    }

    /// The bank app that asks.
    pub fn host(&self) -> &str {
        match &self.host {
            Said::Text(host) => host.as_str(),
            // Checked when it was read.
            _ => "",
        }
    }

    /// Whom it asks for.
    pub fn device(&self) -> Device<'_> {
        // Checked when it was read.
        self.checked_device().unwrap_or(Device::new(""))
    }

    /// What it has of the app; of all the apps it asks about.
    pub fn installed(&self) -> Installed<'_> {
        // Checked when it was read.
        self.checked_installed().unwrap_or(Installed::NONE)
    }

    /// The apps it asks about, sorted; none: all of its host.
    pub fn apps(&self) -> Option<Vec<&str>> {
        // Checked when it was read.
        self.checked_apps().unwrap_or(None)
    }

    fn checked_device(&self) -> Result<Device<'_>, PollError> {
        let unit = text(TARGETING_KEY, &self.unit)?.unwrap_or_default();
        let unit = checked_unit(TARGETING_KEY, Value::unknown(unit))?;
        if self.attrs.len() > limits::POLL_ATTRS {
            return Err(wrong("context", Problem::Many(limits::POLL_ATTRS)));
        }
        for (_, value) in &self.attrs {
            let value = Value::unknown(value.as_str());
            checked("context", value, limits::ATTR_BYTES)?;
        }
        Ok(Device {
            unit,
            platform: stated("context.platform", &self.platform)?,
            region: stated("context.region", &self.region)?,
            city: stated("context.city", &self.city)?,
            language: stated("context.language", &self.language)?,
            model: stated("context.model", &self.model)?,
            channel: stated("context.channel", &self.channel)?,
            host_version: version("context.host_version", &self.host_version)?,
            os_version: version("context.os_version", &self.os_version)?,
            tags: checked_tags("context.tags", words("context.tags", &self.tags)?)?,
            attrs: Attrs(Pairs::List(&self.attrs)),
        })
    }

    fn checked_installed(&self) -> Result<Installed<'_>, PollError> {
        let failed: Failed<'_> =
            checked_failed("context.failed", words("context.failed", &self.failed)?)?;
        Ok(Installed {
            version: version("context.version", &self.version)?,
            failed,
            preview: stated("context.preview", &self.preview)?,
        })
    }

    fn checked_apps(&self) -> Result<Option<Vec<&str>>, PollError> {
        let mut apps: Vec<&str> = match words("context.apps", &self.apps)? {
            _ if self.apps == Said::Nothing => return Ok(None),
            Words::Commas(text) => text.split(',').filter(|app| !app.is_empty()).collect(),
            Words::List(apps) => apps.iter().map(Text::as_str).collect(),
        };
        if apps.len() > limits::FLAGS {
            return Err(wrong("context.apps", Problem::Many(limits::FLAGS)));
        }
        for app in &apps {
            checked_app("context.apps", app)?;
        }
        apps.sort_unstable();
        apps.dedup();
        Ok(Some(apps))
    }

    /// Where a value of this name belongs; none: it is a free attribute, or nobody's.
    fn place(&mut self, name: &str) -> Option<&mut Said<'a>> {
        Some(match name {
            "targetingKey" => &mut self.unit,
            "host" => &mut self.host,
            "platform" => &mut self.platform,
            "region" => &mut self.region,
            "city" => &mut self.city,
            "language" => &mut self.language,
            "model" => &mut self.model,
            "channel" => &mut self.channel,
            "host_version" => &mut self.host_version,
            "os_version" => &mut self.os_version,
            "tags" => &mut self.tags,
            "version" => &mut self.version,
            "failed" => &mut self.failed,
            "preview" => &mut self.preview,
            "apps" => &mut self.apps,
            _ => return None,
        })
    }
}

fn text<'t>(field: &'static str, said: &'t Said<'_>) -> Result<Option<&'t str>, PollError> {
    match said {
        Said::Nothing => Ok(None),
        Said::Text(text) => Ok(Some(text.as_str())),
        Said::Scalar(_) | Said::List(_) | Said::Other => Err(wrong(field, Problem::Form("a text"))),
    }
}

fn stated<'t>(field: &'static str, said: &'t Said<'_>) -> Result<Option<&'t str>, PollError> {
    let text = text(field, said)?.unwrap_or_default();
    optional(field, Value::unknown(text))
}

fn version<'t>(
    field: &'static str,
    said: &'t Said<'_>,
) -> Result<Option<StatedVersion<'t>>, PollError> {
    Ok(stated(field, said)?.map(StatedVersion::new))
}

fn words<'t>(field: &'static str, said: &'t Said<'_>) -> Result<Words<'t>, PollError> {
    match said {
        Said::Nothing => Ok(Words::NONE),
        Said::Text(text) => Ok(Words::Commas(text.as_str())),
        Said::List(words) => Ok(Words::List(words)),
        Said::Scalar(_) | Said::Other => {
            let form = "a list of texts, or one text with commas between them";
            Err(wrong(field, Problem::Form(form)))
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Evaluation<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Context;

        impl<'de> Visitor<'de> for Context {
            type Value = Evaluation<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a context")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Evaluation<'de>, A::Error> {
                let mut read = Evaluation::default();
                while let Some((name, said)) = map.next_entry::<Text<'de>, Said<'de>>()? {
                    match read.place(name.as_str()) {
                        Some(place) if *place == Said::Nothing => *place = said,
                        Some(_) => return Err(A::Error::custom("duplicate field")),
                        None => read.attribute(name, said).map_err(A::Error::custom)?,
                    }
                }
                Ok(read)
            }
        }

        deserializer.deserialize_map(Context)
    }
}

impl<'a> Evaluation<'a> {
    /// A free attribute, where rules can ask for one of this name and kind.
    fn attribute(&mut self, name: Text<'a>, said: Said<'a>) -> Result<(), &'static str> {
        let (Said::Text(value) | Said::Scalar(value)) = said else {
            return Ok(());
        };
        if !is_name(name.as_str()) {
            return Ok(());
        }
        if self.attrs.iter().any(|(known, _)| *known == name) {
            return Err("duplicate field");
        }
        // One more than allowed is kept, so that checking says what is wrong.
        if self.attrs.len() <= limits::POLL_ATTRS {
            self.attrs.push((name, value));
        }
        Ok(())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Said<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Anything;

        impl<'de> Visitor<'de> for Anything {
            type Value = Said<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Said<'de>, E> {
                Ok(Said::Nothing)
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Said<'de>, E> {
                Ok(Said::Text(text.into()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Said<'de>, E> {
                Ok(Said::Text(text.to_owned().into()))
            }

            fn visit_string<E>(self, text: String) -> Result<Said<'de>, E> {
                Ok(Said::Text(text.into()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Said<'de>, E> {
                Ok(Said::Scalar(value.to_string().into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Said<'de>, E> {
                Ok(Said::Scalar(value.to_string().into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Said<'de>, E> {
                Ok(Said::Scalar(value.to_string().into()))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Said<'de>, E> {
                Ok(Said::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Said<'de>, A::Error> {
                let (mut texts, mut is_other) = (Vec::new(), false);
                while let Some(said) = list.next_element::<Said<'de>>()? {
                    match said {
                        Said::Text(text) => texts.push(text),
                        _ => is_other = true,
                    }
                }
                Ok(if is_other {
                    Said::Other
                } else {
                    Said::List(texts)
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Said<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Said::Other)
            }
        }

        deserializer.deserialize_any(Anything)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> String {
        Evaluation::from_json(body.as_bytes())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_context_says_what_a_poll_says() {
        let body = r#"{"context":{"targetingKey":"dev-1","host":"retail-bank","platform":"ios","region":"CN-SH",
            "city":"上海","language":"zh-CN","model":"iPhone17,1","channel":"app-store","host_version":"8.2.1",
            "os_version":"19.0","tags":["beta","staff"],"version":"1.0.0","failed":"1.1.0","preview":"secret",
            "apps":["pingan/travel","pingan/coffee","pingan/travel"],
            "plan":"gold","seats":3,"staff":true,"score":0.5,"address":{"street":["x"]},"Not-A-Name":"x","gone":null}}"#;
        let read = Evaluation::from_json(body.as_bytes()).unwrap();
        let (device, installed) = (read.device(), read.installed());
        assert_eq!((read.host(), device.unit), ("retail-bank", "dev-1"));
        assert_eq!(
            [
                device.platform,
                device.region,
                device.city,
                device.language,
                device.model,
                device.channel
            ],
            ["ios", "CN-SH", "上海", "zh-CN", "iPhone17,1", "app-store"].map(Some)
        );
        assert!(device.host_version.is_some() && device.os_version.is_some());
        assert!(device.tags.contains("beta") && device.tags.contains("staff"));
        assert!(installed.failed.names("1.1.0", "") && installed.version.is_some());
        assert_eq!(installed.preview, Some("secret"));
        assert_eq!(read.apps().unwrap(), ["pingan/coffee", "pingan/travel"]);
        let attrs = [
            "plan",
            "seats",
            "staff",
            "score",
            "address",
            "Not-A-Name",
            "gone",
        ];
        assert_eq!(
            attrs.map(|name| device.attrs.get(name)),
            [
                Some("gold"),
                Some("3"),
                Some("true"),
                None,
                None,
                None,
                None
            ]
        );
    }

    #[test]
    fn what_is_left_out_states_nothing() {
        let body = br#"{"context":{"targetingKey":"d","host":"h","platform":"","tags":"a,b","apps":null},"more":1}"#;
        let read = Evaluation::from_json(body).unwrap();
        let device = read.device();
        assert_eq!((device.platform, read.apps()), (None, None));
        assert!(device.tags.contains("b") && read.installed().version.is_none());
        let none = br#"{"context":{"targetingKey":"d","host":"h","apps":[]}}"#;
        assert_eq!(Evaluation::from_json(none).unwrap().apps(), Some(vec![]));
    }

    #[test]
    fn a_mistake_is_named_and_never_quoted() {
        let many: String = (0..33).map(|n| format!(",\"a{n}\":\"v\"")).collect();
        let apps: Vec<String> = (0..=limits::FLAGS).map(|n| format!("\"t/a{n}\"")).collect();
        for (context, says) in [
            ("", "`context.targetingKey` is missing"),
            (r#""targetingKey":"""#, "`context.targetingKey` is missing"),
            (
                r#""targetingKey":138"#,
                "`context.targetingKey` must be a text",
            ),
            (r#""targetingKey":"138\u0007""#, "holds a control character"),
            (r#""targetingKey":"d""#, "`context.host` is missing"),
            (
                r#""targetingKey":"d","host":"No Host""#,
                "`context.host` must be",
            ),
            (
                r#""targetingKey":"d","host":"h","platform":["138"]"#,
                "`context.platform` must be a text",
            ),
            (
                r#""targetingKey":"d","host":"h","tags":"A 138""#,
                "`context.tags` must be",
            ),
            (
                r#""targetingKey":"d","host":"h","tags":[138]"#,
                "`context.tags` must be a list",
            ),
            (
                r#""targetingKey":"d","host":"h","failed":["138"]"#,
                "`context.failed` must be",
            ),
            (
                r#""targetingKey":"d","host":"h","apps":["138"]"#,
                "`context.apps` must be `tenant/app`",
            ),
            (
                r#""targetingKey":"d","targetingKey":"138","host":"h""#,
                "a field is given twice",
            ),
            (
                r#""targetingKey":"d","host":"h","plan":"138","plan":"1""#,
                "a field is given twice",
            ),
            (
                &format!(r#""targetingKey":"d","host":"h"{many}"#),
                "has at most 32 members",
            ),
            (
                &format!(
                    r#""targetingKey":"d","host":"h","plan":"{}""#,
                    "138".repeat(90)
                ),
                "at most 256 bytes",
            ),
            (
                &format!(
                    r#""targetingKey":"d","host":"h","apps":[{}]"#,
                    apps.join(",")
                ),
                "`context.apps` has at most",
            ),
        ] {
            let said = refused(&format!(r#"{{"context":{{{context}}}}}"#));
            assert!(said.contains(says), "{context}: {said}");
            assert!(!said.contains("138"), "{said}");
        }
        assert!(refused("{}").contains("`context.targetingKey` is missing"));
        assert!(refused("").contains("ends too early"));
        assert!(refused("nonsense").contains("is not JSON"));
        assert!(refused(r#"{"context":[]}"#).contains("of the wrong kind"));
    }
}
