//! Live tests: what hatrace must show, on a real HAProxy with real sockets and a real kernel.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "tests fail by panicking"
)]

mod adoption;
mod advise;
mod api;
mod churn;
mod endings;
mod held;
mod identity;
mod layers;
mod logs;
mod matrix;
mod odd;
mod orphaned;
mod polled;
mod record;
mod refusals;
mod reload;
mod scope;
mod sessions;
mod stage;
mod taken_home;
mod verdicts;
mod what_if;

/// A tcp frontend on 127.0.0.1:8000 to one server on 127.0.0.1:9000, no timeout but that of connect.
pub(crate) const TCP: &str = "
defaults
  mode tcp
  timeout connect 5s
frontend fe
  bind 127.0.0.1:8000
  default_backend be
backend be
  server s1 127.0.0.1:9000
";

/// An http frontend that closes after each response.
pub(crate) const HTTP: &str = "
defaults
  mode http
  option httpclose
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend fe
  bind 127.0.0.1:8000
  default_backend be
backend be
  server s1 127.0.0.1:9000
";
