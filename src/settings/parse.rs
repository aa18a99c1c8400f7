//! What the text of a setting means, or what to write instead. Nothing here knows which setting it reads.

use std::{net::SocketAddr, time::Duration};

use super::units;
use crate::signin::address::Address;

pub(super) fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("write one of {}", known.join(", "))
    })
}

pub(super) fn whole<T>(text: &str, least: u64, most: u64) -> Result<T, String>
where
    T: TryFrom<u64>,
{
    let number = text.parse::<u64>().ok();
    number
        .filter(|number| (least..=most).contains(number))
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| format!("write a whole number from {least} to {most}"))
}

pub(super) fn duration(text: &str, least_ms: u64, most_ms: u64) -> Result<Duration, String> {
    let read = units::duration(text).map_err(|error| error.to_string())?;
    let (least, most) = (
        Duration::from_millis(least_ms),
        Duration::from_millis(most_ms),
    );
    if (least..=most).contains(&read) {
        Ok(read)
    } else {
        Err(format!("is out of range; write {least:?} to {most:?}"))
    }
}

pub(super) fn size(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let read = units::size(text).map_err(|error| error.to_string())?;
    if (least..=most).contains(&read) {
        Ok(read)
    } else {
        let (least, most) = (units::bytes(least), units::bytes(most));
        Err(format!("is out of range; write {least} to {most}"))
    }
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "write an address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"".into()
    })
}

pub(super) fn url(text: &str) -> Result<String, String> {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.contains(char::is_whitespace) => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err("write an address that begins with http:// or https://".into()),
    }
}

pub(super) fn secure(text: &str) -> Result<Address, String> {
    Address::parse(text).map_err(|fault| fault.to_string())
}

pub(super) fn scopes(text: &str) -> Result<String, String> {
    if text.split(' ').any(|scope| scope == "openid")
        && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    {
        Ok(text.to_owned())
    } else {
        Err("write `openid`, and others behind it with a space between".into())
    }
}

pub(super) fn audience(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        Some((bank, environment))
            if huidu_core::name::is_name(bank) && huidu_core::name::is_name(environment) =>
        {
            Ok(text.to_owned())
        }
        _ => Err("write bank/environment, each of a-z 0-9 . _ -, such as \"bank/prod\"".into()),
    }
}
