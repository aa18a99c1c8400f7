//! Sessions at the door: cookies in and out, whether a page of ours asks, and what only the freshly proved may.
//!
//! A cookie is sent by a browser whoever made it do so, so whatever a session asks to change must come from a
//! page of our own origin; what carries its session by hand needs no such proof. A session stands for a member
//! as the catalogue has them at this very request: whoever is gone is nobody, whatever they carry.

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, Method,
        header::{AUTHORIZATION, COOKIE, ORIGIN, SET_COOKIE},
    },
    middleware::Next,
    response::Response,
};
use huidu_core::{catalogue::Catalogue, command::Command, event::Actor, trust::Member};

use super::{
    Control,
    auth::{Caller, Denied},
    error::ApiError,
};
use crate::signin::{Session, SignIn, SignedIn};

/// The cookie of a session.
pub(super) const SESSION: &str = "__Host-huidu";
/// The cookie of a sign-in under way.
pub(super) const STATE: &str = "__Host-huidu-signin";
/// What the session of a command line begins with.
pub(super) const BEARER: &str = "hs_";
/// Seconds that a browser keeps a sign-in under way.
const STATE_S: u32 = 600;

/// A cookie as it is set. `__Host-` asks for `Secure`, `Path=/` and no domain; browsers take loopback for
/// secure.
fn set(name: &str, value: &str, rest: &str) -> Option<HeaderValue> {
    let text = format!("{name}={value}; Path=/; Secure; HttpOnly; {rest}");
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A cookie that no other site makes a browser send; it goes when the browser closes.
pub(super) fn strict_cookie(name: &str, value: &str) -> Option<HeaderValue> {
    set(name, value, "SameSite=Strict")
}

/// Takes it away.
pub(super) fn no_strict_cookie(name: &str) -> Option<HeaderValue> {
    set(name, "", "SameSite=Strict; Max-Age=0")
}

/// A session's cookie; it goes when the browser closes, and expires by itself before.
pub(super) fn session_cookie(value: &str) -> Option<HeaderValue> {
    strict_cookie(SESSION, value)
}

/// Takes a session's cookie away.
pub(super) fn no_session_cookie() -> Option<HeaderValue> {
    no_strict_cookie(SESSION)
}

/// The cookie of a sign-in under way: the provider leads back to us, which is another site's doing.
pub(super) fn state_cookie(value: &str) -> Option<HeaderValue> {
    set(STATE, value, &format!("SameSite=Lax; Max-Age={STATE_S}"))
}

/// Takes it away.
pub(super) fn no_state_cookie() -> Option<HeaderValue> {
    set(STATE, "", "SameSite=Lax; Max-Age=0")
}

/// A cookie that was sent; one that came twice counts for nothing.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter();
    let pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));
    let mut named = pairs.filter_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='));
    match (named.next(), named.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}

/// Whether a page of our own origin asks. Browsers say so in headers that no page can write.
pub(super) fn is_ours(headers: &HeaderMap, origin: &str) -> bool {
    let one = |name: &str| {
        let mut given = headers.get_all(name).iter();
        let first = given.next().map(|value| value.to_str().unwrap_or_default());
        // Two of them fit nothing.
        if given.next().is_some() {
            Some("")
        } else {
            first
        }
    };
    match (one(ORIGIN.as_str()), one("sec-fetch-site")) {
        (Some(from), site) => from == origin && site.is_none_or(|site| site == "same-origin"),
        (None, Some(site)) => site == "same-origin",
        (None, None) => false,
    }
}

/// The session that a request carries, if it carries one that holds.
pub(super) fn carried(
    signin: &SignIn,
    headers: &HeaderMap,
    control: &Control,
) -> Result<Option<SignedIn>, Denied> {
    let now = control.node.now();
    let opened = if let Some(value) = headers.get(AUTHORIZATION) {
        let text = value.to_str().ok().and_then(|text| text.split_once(' '));
        let bearer = text
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .and_then(|(_, text)| text.trim().strip_prefix(BEARER));
        match bearer {
            Some(text) => signin.of_bearer(text, now),
            None => return Ok(None),
        }
    } else {
        match cookie(headers, SESSION) {
            Some(text) => signin.of_cookie(text, now),
            None => return Ok(None),
        }
    };
    opened.map(Some).map_err(Denied::Session)
}

/// The caller whom a session stands for, if the request carries one.
pub(super) fn caller(
    control: &Control,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Option<Caller>, ApiError> {
    let Some(signin) = &control.signin else {
        return Ok(None);
    };
    let Some(signed_in) = carried(signin, headers, control)? else {
        return Ok(None);
    };
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if signed_in.by_cookie && !reads && !is_ours(headers, signin.origin()) {
        return Err(ApiError::CrossSite);
    }
    let catalogue = control.node.catalogue();
    let member = member_of(&catalogue, &signed_in.session).ok_or(Denied::NoMember)?;
    let actor = Actor {
        id: format!("{}{}", Actor::MEMBER, signed_in.session.member),
        role: member.role.clone(),
    };
    Ok(Some(Caller {
        actor,
        signed_in: Some(signed_in),
    }))
}

/// The member as they are now, if they still are whom the provider vouched for.
fn member_of<'a>(catalogue: &'a Catalogue, session: &Session) -> Option<&'a Member> {
    let member = catalogue.trust.members.get(&session.member);
    member.filter(|known| known.identity.as_ref() == Some(&session.identity))
}

/// Whether a command is one of those that nobody gives from a desk left unlocked: it lets something run that
/// was stopped, or decides who decides. Tokens among them: one made now would need no proof later.
///
/// Every command stands here: a new one is grave or not because somebody said so.
pub(super) const fn is_grave(command: &Command) -> bool {
    match command {
        Command::Unkill { .. }
        | Command::RestorePermission { .. }
        | Command::Approve { .. }
        | Command::ApproveProposal { .. }
        | Command::SignRelease { .. }
        | Command::SetReviewPolicy { .. }
        | Command::SetInternal { .. }
        | Command::SetEyes { .. }
        | Command::PutPolicy { .. }
        | Command::PutKeyring { .. }
        | Command::PutMember { .. }
        | Command::AddToken { .. } => true,
        // What stops something, or takes something away, waits for nobody's sign-in.
        Command::Kill { .. }
        | Command::RevokePermission { .. }
        | Command::Delist { .. }
        | Command::LowerShare { .. }
        | Command::Reject { .. }
        | Command::WithdrawGrant { .. }
        | Command::WithdrawProposal { .. }
        | Command::RevokeToken { .. }
        | Command::RemoveMember { .. }
        | Command::RemovePreview { .. }
        | Command::RemoveSegment { .. } => false,
        // What sends on what was approved, or adds to what can be: others look at it before it reaches anybody,
        // or `eyes` names it where they shall.
        Command::AddTenant { .. }
        | Command::AddHost { .. }
        | Command::AddApp { .. }
        | Command::SubmitVersion { .. }
        | Command::List { .. }
        | Command::PutRollout { .. }
        | Command::RedrawRollout { .. }
        | Command::BeginExperiment { .. }
        | Command::EndExperiment { .. }
        | Command::SetShare { .. }
        | Command::SetPause { .. }
        | Command::SteerRamp { .. }
        | Command::PutSegment { .. }
        | Command::PutPermissions { .. }
        | Command::SetGrade { .. }
        | Command::Grant { .. }
        | Command::BeginReview { .. }
        | Command::PutTrial { .. }
        | Command::AddPreview { .. } => false,
        // Of nodes alone.
        Command::Found { .. } | Command::EnactProposal { .. } | Command::DecideRamp { .. } => false,
    }
}

/// Writes the cookie of a session that is used anew, now and then.
pub(super) async fn renew(
    State(control): State<Control>,
    request: Request,
    next: Next,
) -> Response {
    let renewed = renewed(&control, request.headers());
    let mut response = next.run(request).await;
    if let Some(cookie) = renewed
        && response.status().is_success()
        && !response.headers().contains_key(SET_COOKIE)
    {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

fn renewed(control: &Control, headers: &HeaderMap) -> Option<HeaderValue> {
    let signin = control.signin.as_ref()?;
    let signed_in = carried(signin, headers, control).ok()??;
    let text = signin.renewed(&signed_in.session, control.node.now())?;
    let is_member = member_of(&control.node.catalogue(), &signed_in.session).is_some();
    (signed_in.by_cookie && is_member).then(|| session_cookie(&text))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_a_page_of_ours_is_ours() {
        const OURS: (&str, &str) = ("origin", "https://huidu.bank");
        for (pairs, ours) in [
            (&[OURS][..], true),
            (&[OURS, ("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[OURS, ("sec-fetch-site", "cross-site")], false),
            (&[OURS, OURS], false),
            (&[OURS, ("origin", "https://evil.example")], false),
            (&[("origin", "null")], false),
            (&[("origin", "http://huidu.bank")], false),
            (&[("origin", "https://huidu.bank.evil.example")], false),
            (&[("origin", "https://huidu.bank:8443")], false),
            (
                &[
                    ("origin", "https://evil.example"),
                    ("sec-fetch-site", "same-origin"),
                ],
                false,
            ),
        ] {
            assert_eq!(
                is_ours(&headers(pairs), "https://huidu.bank"),
                ours,
                "{pairs:?}"
            );
        }
    }

    #[test]
    fn a_cookie_is_read_by_its_whole_name_and_once() {
        for (pairs, value) in [
            (&[("cookie", "a=1; __Host-huidu=x; b=2")][..], Some("x")),
            (
                &[("cookie", "__Host-huidu-signin=y; __Host-huidu=x")],
                Some("x"),
            ),
            (&[("cookie", "__Host-huidu-signin=y")], None),
            (&[("cookie", "__Host-huidu=x; __Host-huidu=y")], None),
            (
                &[("cookie", "__Host-huidu=x"), ("cookie", "__Host-huidu=y")],
                None,
            ),
            (&[], None),
        ] {
            assert_eq!(cookie(&headers(pairs), SESSION), value, "{pairs:?}");
        }
    }
}
