use hatrace_core::ids::Pid;
use hatrace_core::sock::Side;
use hatrace_core::tcp::TcpState;

use super::*;
use crate::view::sample::{self, text};

fn drawn(page: &Page) -> String {
    text(|out| write(out, &sample::snapshot(), &sample::context(), page))
}

#[test]
fn the_whole_report() {
    let page = Page {
        rows: 2,
        ..Page::default()
    };
    let expected = "\
hatrace VERSION · HAProxy 2.6.12-1+deb12u4 · worker 5108, master 5106 · traced · since 2026-11-20 09:44:00+00:00
34.2s · 1284 sockets (312 adopted) · 7702 transitions · 2 lost

1. peer-never-closes (certain): 10.0.0.7, client side of fe_http, 2 in FIN_WAIT2, the oldest for 12m 04s, keeping 1 more open, 212 ended; the peer must close
     because on 2 connections the peer has acknowledged HAProxy's FIN
     clock   timeout client-fin (haproxy.cfg:12) in 27.1s
     fix     timeout client-fin 30s (frontend fe_http, haproxy.cfg:12)

FIN_WAIT2, client side: 212 ended, 3 open; p50 5.96s, p90 6.00s, p99 6.00s, max 12m 04s
  HAProxy's FIN is acknowledged; waiting for the peer's FIN
            HELD   ENDED   OPEN  SHARE
     10ms..100ms       3      0   1.4% |█
       100ms..1s       0      0   0.0% |
          1s..5s       1      1   0.9% |█▒
         5s..10s     208      0  96.7% |████████████████████████████████████████
            ≥10s       0      2   0.9% |▒
              6s     208         96.7% | <- timeout tunnel (haproxy.cfg:18)
                                       |█ ended  ▒ open, and getting older
  ended: p50 5.96s, p90 6.00s, p99 6.00s, max 6.00s
  open:  p50 12.0s, p90 12m 04s, p99 12m 04s, max 12m 04s, so far
4 more FIN_WAIT2 of the client side began and ended between two looks, 1s apart: not in the percentiles

CLOSE_WAIT, server side: 1 ended, 0 open; p50 2.00ms, p90 2.00ms, p99 2.00ms, max 2.00ms
  the peer has closed; waiting for HAProxy to close
            HELD   ENDED   OPEN  SHARE
       1ms..10ms       1      0 100.0% |████████████████████████████████████████

Lingering now: 5; the 2 oldest (-n all lists all):
         AGE SIDE   STATE      HOLDER LOCAL           PEER             PID FD PROXY   SERVER SESSION        PAIR       UNREAD UNACKED RETR FIRST-FIN CLOCK
      12m04s client FIN_WAIT2  held   192.0.2.1:443   10.0.0.7:51234  5108 17 fe_http srv2   0x55e4635ad1b0 CLOSE_WAIT      0       0    0 haproxy   client-fin:27.1s(haproxy.cfg:12)
2m04s..5m10s server CLOSE_WAIT held   127.0.0.1:37956 127.0.0.2:29001 5108 18 -       -      unsure         -              12       0    0 peer      ?

1 of 5 lingering sockets (20.0%) has a session; the others: 1 answered, the rest of the request being read off, 1 in the accept queue, which HAProxy doesn't see, 1 closed before HAProxy was asked, 1 of which two looks tell different things
HAProxy asked 3 times: 12.4ms, 0.04% of the time

notice: records-lost (2): the ring was full; the figures are short of 2 lives

hatrace 34s haproxy 5108: 5 lingering (FIN_WAIT2/held/client 2, FIN_WAIT2/timewait/client 1, CLOSE_WAIT/held/server 1, CLOSE_WAIT/unaccepted/unknown 1), oldest 12m 04s; peer-never-closes (certain): 10.0.0.7, client side of fe_http, 2 in FIN_WAIT2, the oldest for 12m 04s, keeping 1 more open, 212 ended; the peer must close; fix: timeout client-fin 30s (frontend fe_http, haproxy.cfg:12); 1 of 5 with a session; 1284 sockets, 2 lost
";
    let expected = expected.replace("VERSION", env!("CARGO_PKG_VERSION"));
    assert_eq!(drawn(&page), expected);
}

#[test]
fn nothing_wrong_is_a_short_report() {
    let written = text(|out| write(out, &sample::quiet(), &sample::context(), &Page::default()));
    let tail = written.split_once('\n').unwrap().1;
    assert_eq!(
        tail,
        "\
34.2s · 1284 sockets (312 adopted) · 7702 transitions · 0 lost

Nothing lingers for 1s or more.

hatrace 34s haproxy 5108: nothing lingers over 1s; 1284 sockets, 0 lost
"
    );
}

#[test]
fn a_selection_is_named_and_so_is_what_it_cannot_select() {
    let mut page = Page::default();
    page.selection.sides = vec![Side::Server];
    let written = drawn(&page);
    assert!(written.contains("\nonly --side server\n"), "{written}");
    assert!(!written.contains("FIN_WAIT2, client side"), "{written}");
    page.selection.peers = vec!["127.0.0.2".parse().unwrap()];
    let written = drawn(&page);
    assert!(
        written.contains("\nonly --side server --peer 127.0.0.2; dwell times are of all peers and ages\n"),
        "{written}"
    );
    assert!(
        written.contains(
            "\nhatrace 34s haproxy 5108: 1 lingering (CLOSE_WAIT/held/server 1), oldest 2m 04s..5m 10s; peer-never-closes"
        ),
        "{written}"
    );
    assert!(
        written.ends_with(" [--side server --peer 127.0.0.2]; 0 of 1 with a session; 1284 sockets, 2 lost\n"),
        "{written}"
    );
}

#[test]
fn the_last_line_is_short_and_says_that_it_was_polled() {
    let mut snapshot = sample::snapshot();
    for (index, state) in [TcpState::LastAck, TcpState::Closing].into_iter().enumerate() {
        let cookie = 100 + u64::try_from(index).unwrap();
        snapshot
            .lingering
            .push(sample::row(cookie, state, hatrace_core::sock::Holder::Orphaned));
    }
    let mut context = sample::context();
    context.mode = Mode::Polled { why: None };
    context.pids = vec![Pid(1), Pid(2)];
    context.master = None;
    let line = incident(&snapshot, &context, &Page::default());
    assert!(
        line.starts_with("hatrace 34s haproxy 1,2: 7 lingering ("),
        "{line}"
    );
    assert!(line.contains(", others 2)"), "{line}");
    assert!(line.ends_with("; 1284 sockets, 2 lost, polled ±1s"), "{line}");
}

#[test]
fn bars_fit_a_narrow_terminal_and_hide_nothing() {
    let bar = |ended, open, longest| {
        let bucket = Bucket {
            low: sample::ms(0),
            high: None,
            ended,
            open,
        };
        let bar = Bar::new(&bucket, 100_000, longest);
        format!("{}{}", bar.ended, bar.open)
    };
    assert_eq!(bar(100_000, 0, 8), "████████");
    assert_eq!(bar(99_999, 1, 8), "███████▒");
    assert_eq!(bar(1, 1, 8), "█▒");
    assert_eq!(bar(0, 50_000, 8), "▒▒▒▒");
    assert_eq!(bar(0, 0, 8), "");
    let page = Page {
        width: Some(60),
        ..Page::default()
    };
    assert!(drawn(&page).contains("96.7% |████████████████████\n"));
}

#[test]
fn shares_are_rounded_and_never_hide_what_exists() {
    assert_eq!(percent(0, 10), "0.0%");
    assert_eq!(percent(1, 3), "33.3%");
    assert_eq!(percent(2, 3), "66.7%");
    assert_eq!(percent(1, 100_000), "<0.1%");
    assert_eq!(percent(0, 0), "0.0%");
}

#[test]
fn colour_adds_nothing_but_colour() {
    let page = Page {
        paint: crate::view::Paint::new(true),
        ..Page::default()
    };
    let coloured = drawn(&page);
    assert!(coloured.contains('\u{1b}'));
    assert_eq!(
        anstream::adapter::strip_str(&coloured).to_string(),
        drawn(&Page::default())
    );
    // The line to paste is never coloured.
    assert!(!coloured.lines().last().unwrap().contains('\u{1b}'));
}
