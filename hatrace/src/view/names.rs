//! A socket's names in columns: session, proxy, server, the state of its pair.

use hatrace_core::naming::{Naming, Tie};
use hatrace_core::sock::Side;

use super::words::clean;

/// The session: its pointer; `(left)` behind it where HAProxy has closed the socket since; a word why there is none; `-` where nobody asked.
#[must_use]
pub fn session(naming: &Naming) -> String {
    match (&naming.session, naming.without) {
        (Some(session), None) if session.tie == Tie::Left => format!("{}(left)", session.ptr),
        (Some(session), None) => session.ptr.to_string(),
        (_, Some(why)) => why.code().to_owned(),
        (None, None) => "-".to_owned(),
    }
}

/// The frontend or backend.
#[must_use]
pub fn proxy(naming: &Naming) -> String {
    naming.proxy.as_deref().map_or_else(|| "-".to_owned(), word)
}

/// The server.
#[must_use]
pub fn server(naming: &Naming) -> String {
    naming.server.as_deref().map_or_else(|| "-".to_owned(), word)
}

/// Both in one: `be_app/srv2` towards a server; `fe_http>srv2` of a client's, whose session was given that server; `-`.
#[must_use]
pub fn place(side: Side, naming: &Naming) -> String {
    let between = if side == Side::Server { '/' } else { '>' };
    match (&naming.proxy, &naming.server) {
        (None, _) => "-".to_owned(),
        (Some(proxy), None) => word(proxy),
        (Some(proxy), Some(server)) => format!("{}{between}{}", word(proxy), word(server)),
    }
}

/// The state of the session's other socket.
#[must_use]
pub fn pair(naming: &Naming) -> String {
    naming
        .pair
        .map_or_else(|| "-".to_owned(), |pair| pair.state.to_string())
}

/// A name as one word that no terminal obeys.
fn word(name: &str) -> String {
    clean(name).replace(' ', "_")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hatrace_core::naming::Without;

    use super::*;
    use crate::view::sample;

    #[test]
    fn what_is_known_and_what_is_not() {
        let mut naming = sample::named().naming;
        assert_eq!(session(&naming), "0x55e4635ad1b0");
        assert_eq!(place(Side::Client, &naming), "fe_http>srv2");
        assert_eq!(place(Side::Server, &naming), "fe_http/srv2");
        assert_eq!(pair(&naming), "CLOSE_WAIT");
        if let Some(session) = &mut naming.session {
            session.tie = Tie::Left;
        }
        assert_eq!(session(&naming), "0x55e4635ad1b0(left)");
        naming.without = Some(Without::Reused);
        assert_eq!(session(&naming), "pointer-reused");
        naming.proxy = Some(Arc::from("fe\u{1b}[1m x"));
        assert_eq!(proxy(&naming), "fe_[1m_x");
        let none = Naming::default();
        assert_eq!(
            (session(&none), place(Side::Client, &none), pair(&none)),
            ("-".to_owned(), "-".to_owned(), "-".to_owned())
        );
    }
}
