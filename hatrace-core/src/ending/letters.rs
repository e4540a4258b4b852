//! The four letters one by one.

use super::Severity;

/// Where in the code a letter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Position {
    /// The first: what ended the session.
    Cause,
    /// The second: what HAProxy was waiting for.
    Phase,
    /// The third: the persistence cookie that the client sent.
    CookieIn,
    /// The fourth: what was done about the cookie of the response.
    CookieOut,
}

/// One letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Where it stands.
    pub at: Position,
    /// The letter.
    pub letter: u8,
    /// What it means.
    pub means: &'static str,
    /// How much it matters by itself.
    pub severity: Severity,
}

const fn of(at: Position, letter: u8, severity: Severity, means: &'static str) -> Letter {
    Letter {
        at,
        letter,
        means,
        severity,
    }
}

use Position::{Cause, CookieIn, CookieOut, Phase};
use Severity::{Alarm, Anomaly, Meant, Normal};

static LETTERS: [Letter; 36] = [
    of(
        Cause,
        b'-',
        Normal,
        "it ended normally: both sides closed, nothing was left to send",
    ),
    of(Cause, b'C', Anomaly, "the client aborted"),
    of(
        Cause,
        b'S',
        Anomaly,
        "the server aborted, or refused the connection",
    ),
    of(
        Cause,
        b'P',
        Anomaly,
        "HAProxy ended it: a rule, a limit, or something invalid or dangerous in it",
    ),
    of(
        Cause,
        b'L',
        Meant,
        "HAProxy answered it itself: no server was asked",
    ),
    of(
        Cause,
        b'R',
        Alarm,
        "something HAProxy needs is used up: memory, sockets, source ports",
    ),
    of(
        Cause,
        b'I',
        Alarm,
        "HAProxy found an error of its own: this must never happen, report it",
    ),
    of(
        Cause,
        b'D',
        Anomaly,
        "HAProxy ended it because its server was found down (on-marked-down shutdown-sessions; from 3.0 on with C behind it, whenever that was)",
    ),
    of(
        Cause,
        b'U',
        Meant,
        "HAProxy ended it on a backup server because an active one came up (on-marked-up shutdown-backup-sessions; from 3.0 on with C behind it, whenever that was)",
    ),
    of(
        Cause,
        b'K',
        Meant,
        "an administrator ended it (shutdown session, shutdown sessions server)",
    ),
    of(
        Cause,
        b'c',
        Anomaly,
        "the client's timeout struck: it neither sent nor took anything",
    ),
    of(
        Cause,
        b's',
        Anomaly,
        "the server's timeout struck: it neither sent nor took anything",
    ),
    of(Phase, b'-', Normal, "the transfer was over"),
    of(
        Phase,
        b'R',
        Anomaly,
        "HAProxy waited for a complete request; no server was asked",
    ),
    of(
        Phase,
        b'Q',
        Anomaly,
        "it waited in a queue for a slot of a server with `maxconn`",
    ),
    of(Phase, b'C', Anomaly, "HAProxy was connecting to the server"),
    of(
        Phase,
        b'H',
        Anomaly,
        "HAProxy waited for the complete headers of the response",
    ),
    of(Phase, b'D', Anomaly, "data was being transferred"),
    of(
        Phase,
        b'L',
        Anomaly,
        "the server had finished, and the client was taking the last of it",
    ),
    of(Phase, b'T', Anomaly, "it was held in the tarpit"),
    of(CookieIn, b'-', Normal, "no cookie is configured"),
    of(CookieIn, b'N', Normal, "the client sent no cookie"),
    of(
        CookieIn,
        b'I',
        Anomaly,
        "the client's cookie names a server that isn't known",
    ),
    of(
        CookieIn,
        b'D',
        Anomaly,
        "the client's cookie names a server that is down",
    ),
    of(CookieIn, b'V', Normal, "the client's cookie is valid"),
    of(
        CookieIn,
        b'E',
        Normal,
        "the client's cookie has expired: not seen for longer than `maxidle`",
    ),
    of(
        CookieIn,
        b'O',
        Normal,
        "the client's cookie is older than `maxlife`",
    ),
    of(
        CookieIn,
        b'U',
        Normal,
        "the client's cookie was not used: another rule chose the server",
    ),
    of(CookieOut, b'-', Normal, "no cookie is configured"),
    of(
        CookieOut,
        b'N',
        Normal,
        "the server sent no cookie, and none was inserted",
    ),
    of(CookieOut, b'I', Normal, "HAProxy inserted a cookie"),
    of(
        CookieOut,
        b'U',
        Normal,
        "HAProxy renewed the date in the client's cookie",
    ),
    of(
        CookieOut,
        b'P',
        Normal,
        "the server's cookie was passed on as it is",
    ),
    of(CookieOut, b'R', Normal, "the server's cookie was rewritten"),
    of(CookieOut, b'D', Normal, "the server's cookie was removed"),
    // 3.x logs it where the cookie's fate wasn't decided before the end.
    of(CookieOut, b'?', Anomaly, "it ended before that was decided"),
];

/// What a letter means where it stands.
#[must_use]
pub fn letter(at: Position, letter: u8) -> Option<&'static Letter> {
    LETTERS
        .iter()
        .find(|known| known.at == at && known.letter == letter)
}

/// Every letter of a place.
pub fn letters(at: Position) -> impl Iterator<Item = &'static Letter> {
    LETTERS.iter().filter(move |known| known.at == at)
}
