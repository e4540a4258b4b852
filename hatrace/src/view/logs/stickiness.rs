//! How well stickiness by cookie works.

use std::io::{self, Write};

use hatrace_core::log::Persistence;

use super::share;
use crate::view::page::Page;
use crate::view::paint::Ink;

/// What of stickiness fails, in words.
#[must_use]
pub fn verdicts(told: &Persistence) -> Vec<String> {
    let known = told.requests.saturating_sub(told.newcomers);
    let mut all = Vec::new();
    let mut say = |count: u64, why: &str| {
        if count > 0 {
            all.push(format!(
                "{} of the requests with a cookie ({count}): {why}",
                share(count, known)
            ));
        }
    };
    say(
        told.unknown_server,
        "users are re-authenticating because their cookie names a server that isn't configured any more",
    );
    say(
        told.server_down,
        "users are re-authenticating because the server that their cookie names is down",
    );
    say(
        told.redispatched,
        "users are re-authenticating because their server could not be reached though it was not marked down",
    );
    say(
        told.expired,
        "users may be re-authenticating because their cookie is older than maxidle or maxlife",
    );
    if told.newcomers * 2 > told.requests && told.requests >= 100 {
        all.push(format!(
            "{} of all requests come without a cookie: cookies that don't come back (domain, path, TLS only), or clients that keep none",
            share(told.newcomers, told.requests)
        ));
    }
    all
}

pub(super) fn persistence(out: &mut dyn Write, told: &Persistence, page: &Page) -> io::Result<()> {
    if told.requests == 0 {
        return Ok(());
    }
    writeln!(out)?;
    let head = format!("stickiness: {} requests with a cookie configured", told.requests);
    writeln!(out, "{}", page.paint.dab(Ink::Head, &head))?;
    let pairs: Vec<String> = told
        .pairs
        .iter()
        .take(10)
        .map(|(pair, count)| {
            let name: String = pair.iter().map(|letter| char::from(*letter)).collect();
            format!("{name} {}", share(*count, told.requests))
        })
        .collect();
    writeln!(out, "  {}", pairs.join(", "))?;
    for line in verdicts(told) {
        writeln!(out, "  {}", page.paint.dab(Ink::Warn, &line))?;
    }
    Ok(())
}
