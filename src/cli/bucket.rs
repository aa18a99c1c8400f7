//! `huidu bucket`: where units stand in a rollout, without a server. For checking another implementation.

use std::io::{self, BufRead as _};

use anyhow::Context as _;
use clap::Args;
use huidu_core::bucket::{self, Salt};
use serde::Deserialize;
use serde_json::json;

use super::{
    context::Context,
    output::{Done, Failure, say},
};

/// Where units stand in a rollout.
#[derive(Debug, Args)]
#[command(after_help = "\
Reads JSON lines {\"salt\", \"unit\", \"total\"?} from standard input, writes for each {\"h\", \"fine\",
\"smallest_share\", \"arm_hash\", \"ticket\"?}: the hash, the fine position, the smallest share that includes
the unit, the hash that arms are drawn by and, where the total weight is given, the ticket.

Example:
  echo '{\"salt\":\"pingan/travel/ramp-2.4\",\"unit\":\"device-7\",\"total\":2}' | huidu bucket")]
pub(super) struct Bucket {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    salt: String,
    unit: String,
    total: Option<u32>,
}

impl Bucket {
    pub(super) fn run(self, _: &Context) -> Done {
        for (number, line) in io::stdin().lock().lines().enumerate() {
            let line = line.context("standard input cannot be read")?;
            if !line.trim().is_empty() {
                say(&placed(&line)
                    .map_err(|why| Failure::Refused(format!("line {}: {why}", number + 1)))?);
            }
        }
        Ok(0)
    }
}

/// Where one line's unit stands.
fn placed(line: &str) -> Result<String, String> {
    let Line { salt, unit, total } =
        serde_json::from_str(line).map_err(|error| error.to_string())?;
    let salt = Salt::new(&salt).map_err(|error| error.to_string())?;
    let fine = bucket::fine(salt.as_str(), &unit);
    let mut placed = json!({
        "h": bucket::position_hash(salt.as_str(), &unit),
        "fine": fine,
        "smallest_share": fine.smallest_share(),
        "arm_hash": bucket::arm_hash(salt.as_str(), &unit),
    });
    if let Some(total) = total {
        if total == 0 {
            return Err("`total` must be 1 or more".into());
        }
        placed["ticket"] = json!(bucket::ticket(salt.as_str(), &unit, total));
    }
    Ok(placed.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_unit_is_placed_as_the_vectors_say() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../tests/vectors/bucketing.json")).unwrap();
        let mut compared = 0;
        for vector in vectors["vectors"].as_array().unwrap() {
            let line = json!({"salt": vector["salt"], "unit": vector["id"], "total": 1000});
            let Ok(placed) = placed(&line.to_string()) else {
                continue;
            };
            let placed: Value = serde_json::from_str(&placed).unwrap();
            assert_eq!(placed["h"], vector["h0"], "{vector}");
            assert_eq!(placed["fine"], vector["fine"], "{vector}");
            assert_eq!(placed["arm_hash"], vector["h_arm"], "{vector}");
            assert_eq!(placed["ticket"], vector["arm_of_1000"], "{vector}");
            compared += 1;
        }
        assert!(compared > 10, "{compared}");
    }

    #[test]
    fn a_line_that_is_wrong_says_why() {
        for line in [
            "{}",
            r#"{"salt":"a:b","unit":"u"}"#,
            r#"{"salt":"a","unit":"u","total":0}"#,
            r#"{"salt":"a","unit":"u","x":1}"#,
        ] {
            assert!(placed(line).is_err(), "{line}");
        }
    }
}
