//! `stuck`: the sockets that linger now, oldest first.

use std::io::{self, Write};

use hatrace_core::snapshot::{Lingering, Snapshot};

use super::page::Page;
use super::paint::Ink;
use super::{rows, summary, tally, units, words};
use crate::port::Context;

/// The table: data. Nothing at all where nothing lingers.
///
/// # Errors
/// The writer's.
pub fn table(out: &mut dyn Write, snapshot: &Snapshot, page: &Page) -> io::Result<()> {
    let lingering = page.selection.lingering(snapshot);
    if lingering.is_empty() {
        return Ok(());
    }
    rows::table(lingering.into_iter().take(page.rows)).write(out, page.paint)
}

/// What the table amounts to, what its states mean, what was not seen: words.
///
/// # Errors
/// The writer's.
pub fn footer(out: &mut dyn Write, snapshot: &Snapshot, context: &Context, page: &Page) -> io::Result<()> {
    let lingering = page.selection.lingering(snapshot);
    let selected = if page.selection.is_everything() {
        String::new()
    } else {
        format!(" of those that {} selects", page.selection)
    };
    let min = units::round(context.min);
    match lingering.first() {
        None => {
            let line = format!("nothing is stuck: no socket{selected} lingers for {min} or more");
            writeln!(out, "{}", page.paint.dab(Ink::Good, &line))?;
        }
        Some(oldest) => {
            let kinds = tally::kinds(&lingering);
            let line = format!(
                "{}{selected} linger for {min} or more: {}; the oldest {}",
                lingering.len(),
                tally::kinds_words(&kinds),
                units::age_words(oldest.age)
            );
            writeln!(out, "{}", page.paint.dab(Ink::Head, &line))?;
            if lingering.len() > page.rows {
                writeln!(out, "{} more are not shown: -n all", lingering.len() - page.rows)?;
            }
            meanings(out, &lingering)?;
            summary::worst(out, snapshot, page)?;
        }
    }
    let looked = format!(
        "looked at: {} sockets · {}",
        snapshot.totals.sockets,
        words::who(context)
    );
    writeln!(out, "{}", page.paint.dab(Ink::Faint, &looked))?;
    summary::asked(out, snapshot, page)?;
    summary::notices(out, snapshot, page)
}

/// Both, for a terminal.
///
/// # Errors
/// The writer's.
pub fn write(out: &mut dyn Write, snapshot: &Snapshot, context: &Context, page: &Page) -> io::Result<()> {
    table(out, snapshot, page)?;
    footer(out, snapshot, context, page)
}

/// What each kind that is listed means, once.
fn meanings(out: &mut dyn Write, lingering: &[&Lingering]) -> io::Result<()> {
    let mut said: Vec<&str> = Vec::new();
    for kind in tally::kinds(lingering) {
        let meaning = words::meaning(kind.state, kind.holder);
        if !said.contains(&meaning) {
            said.push(meaning);
            writeln!(out, "  {} {}: {meaning}", kind.state, kind.holder)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hatrace_core::tcp::TcpState;

    use super::*;
    use crate::view::sample::{self, text};

    #[test]
    fn oldest_first_with_what_it_amounts_to() {
        let written = text(|out| write(out, &sample::snapshot(), &sample::context(), &Page::default()));
        let expected = "\
\x20        AGE SIDE    STATE      HOLDER     LOCAL           PEER             PID FD PROXY   SERVER SESSION             PAIR       UNREAD UNACKED RETR FIRST-FIN CLOCK
      12m04s client  FIN_WAIT2  held       192.0.2.1:443   10.0.0.7:51234  5108 17 fe_http srv2   0x55e4635ad1b0      CLOSE_WAIT      0       0    0 haproxy   client-fin:27.1s(haproxy.cfg:12)
2m04s..5m10s server  CLOSE_WAIT held       127.0.0.1:37956 127.0.0.2:29001 5108 18 -       -      unsure              -              12       0    0 peer      ?
       12.0s client  FIN_WAIT2  held       192.0.2.1:443   10.0.0.7:51234  5108 19 fe_http -      draining            -               0       0    0 haproxy   ?
      ~2.30s client  FIN_WAIT2  timewait   192.0.2.1:443   10.0.0.8:40000  5108  - -       -      closed-before-asked -               0       0    0 haproxy   tcp_fin_timeout:57.7s
       1.50s unknown CLOSE_WAIT unaccepted -               -                  -  - -       -      accept-queue        -               -       -    0 peer      ?
5 linger for 1s or more: 2 FIN_WAIT2 held client, 1 FIN_WAIT2 timewait client, 1 CLOSE_WAIT held server, 1 CLOSE_WAIT unaccepted unknown; the oldest 12m 04s
  FIN_WAIT2 held: HAProxy's FIN is acknowledged, the peer has not sent its own; HAProxy has the fd open, so no kernel timer runs and its own timeouts govern
  FIN_WAIT2 timewait: HAProxy has closed, the peer has not sent its FIN; the kernel ends it by tcp_fin_timeout
  CLOSE_WAIT held: the peer has closed, HAProxy has not; no kernel timer runs: it ends when HAProxy closes
  CLOSE_WAIT unaccepted: in the accept queue: HAProxy has not accepted it yet. Not a leak
peer-never-closes (certain): 10.0.0.7, client side of fe_http, 2 in FIN_WAIT2, the oldest for 12m 04s, keeping 1 more open, 212 ended; the peer must close
  fix timeout client-fin 30s (frontend fe_http, haproxy.cfg:12)
next: hatrace culprits, hatrace explain peer-never-closes
looked at: 1284 sockets · hatrace VERSION · HAProxy 2.6.12-1+deb12u4 · worker 5108, master 5106 · traced
1 of 5 lingering sockets (20.0%) has a session; the others: 1 answered, the rest of the request being read off, 1 in the accept queue, which HAProxy doesn't see, 1 closed before HAProxy was asked, 1 of which two looks tell different things
HAProxy asked 3 times: 12.4ms, 0.04% of the time
notice: records-lost (2): the ring was full; the figures are short of 2 lives
";
        assert_eq!(written, expected.replace("VERSION", env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn nothing_is_said_in_words_with_what_was_looked_at() {
        let mut page = Page::default();
        let none = text(|out| write(out, &sample::quiet(), &sample::context(), &page));
        assert!(
            none.starts_with(
                "nothing is stuck: no socket lingers for 1s or more\nlooked at: 1284 sockets · hatrace "
            ),
            "{none}"
        );
        page.selection.states = vec![TcpState::LastAck];
        page.selection.peers = vec!["10.0.0.0/8".parse().unwrap()];
        let none = text(|out| write(out, &sample::snapshot(), &sample::context(), &page));
        assert!(
            none.starts_with("nothing is stuck: no socket of those that --state LAST_ACK --peer 10.0.0.0/8 selects lingers for 1s or more\n"),
            "{none}"
        );
    }

    #[test]
    fn a_limit_says_what_it_hides() {
        let page = Page {
            rows: 2,
            ..Page::default()
        };
        let snapshot = sample::snapshot();
        assert_eq!(text(|out| table(out, &snapshot, &page)).lines().count(), 3);
        let words = text(|out| footer(out, &snapshot, &sample::context(), &page));
        assert!(words.contains("\n3 more are not shown: -n all\n"), "{words}");
    }
}
