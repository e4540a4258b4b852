//! Verdicts: whom hatrace accuses, of what, how sure, by which clock, and what it says would help. On this machine's HAProxy and a 3.x.

mod balancer;
mod clocks;
mod configuration;
mod course;
mod culprits;
mod forecast;
mod innocents;
mod mixture;
mod odd;
mod queues;

use hatrace_tests::haproxy::{GLOBAL, Haproxy, Start};
use hatrace_tests::netns::Netns;
use hatrace_tests::release::Release;
use hatrace_tests::report::Report;
use hatrace_tests::tracer::Tracer;
use serde_json::Value;

/// A scenario as two tests: on this machine's HAProxy, and on a 3.x.
macro_rules! on_both {
    ($name:ident) => {
        mod $name {
            #[test]
            fn own() {
                let name = concat!(module_path!(), "::own");
                if hatrace_tests::ready(name) {
                    super::$name(&hatrace_tests::release::Release::own());
                }
            }

            #[test]
            fn newer() {
                let name = concat!(module_path!(), "::newer");
                if hatrace_tests::ready(name)
                    && let Some(release) = hatrace_tests::release::Release::of("sid", name)
                {
                    super::$name(&release);
                }
            }
        }
    };
}
pub(crate) use on_both;

/// A frontend with an address of its own, one server, and timeouts that no test waits for.
pub(crate) const DIRECT: &str = "
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend fe
  bind 10.0.0.1:8000
  default_backend be
backend be
  server s1 127.0.0.1:9000
";

/// A namespace with addresses of its own, and a HAProxy in it.
pub(crate) struct Rig {
    pub(crate) haproxy: Haproxy,
    pub(crate) netns: Netns,
}

impl Rig {
    pub(crate) fn start(release: &Release, addresses: &[&str], config: &str) -> Self {
        let netns = Netns::new();
        netns.addresses(addresses);
        Self::within(netns, release, config)
    }

    pub(crate) fn within(netns: Netns, release: &Release, config: &str) -> Self {
        let haproxy = Haproxy::spawn(
            &netns,
            Start {
                release: Some(release),
                args: &["-db"],
                config: &(GLOBAL.to_owned() + config),
                ..Start::default()
            },
        );
        haproxy.await_socket();
        Self { haproxy, netns }
    }

    /// The line of the configuration that holds this text, as hatrace would say it.
    pub(crate) fn line(&self, text: &str) -> String {
        let config = std::fs::read_to_string(self.haproxy.path("haproxy.cfg")).unwrap();
        let at = config.lines().position(|line| line.contains(text)).unwrap();
        format!("haproxy.cfg:{}", at + 1)
    }

    /// `hatrace culprits` for so many seconds, under way.
    pub(crate) fn culprits(&self, seconds: u32) -> Tracer {
        let (pid, seconds) = (self.haproxy.pid().to_string(), seconds.to_string());
        Tracer::start(&["culprits", "--json", "-d", &seconds, "--pid", &pid])
    }
}

/// Every socket is under one finding at most, and those that linger long enough under exactly one.
pub(crate) fn each_under_one(report: &Report) {
    let mut seen = std::collections::BTreeMap::new();
    let notices = report.json()["notices"].as_array().cloned().unwrap_or_default();
    for finding in report.culprits().into_iter().chain(notices) {
        for cookie in finding["sockets"].as_array().into_iter().flatten() {
            let verdict = finding["verdict"].clone();
            if let Some(other) = seen.insert(cookie.to_string(), verdict.clone()) {
                panic!("{cookie} is under {other} and {verdict}");
            }
        }
    }
    let mut ghosts = 0;
    for row in report.lingering() {
        if row.json["age_s"].as_f64().unwrap() >= 5.0 {
            let cookie = row.json["cookie"].to_string();
            // A record whose end the kernel has not shown has no socket any more, and no addresses.
            if row.json["peer"].is_null() && ghosts < report.missed() {
                ghosts += 1;
                continue;
            }
            assert!(
                seen.contains_key(&cookie),
                "under no finding: {} {} {}",
                row.json,
                report.json()["totals"],
                report.json()["notices"]
            );
            assert_eq!(row.json["verdict"], seen[&cookie], "{}", row.json);
        }
    }
}

/// A text field.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or("")
}

/// What it says that was fixed.
pub(crate) fn fixes(finding: &Value) -> Vec<String> {
    finding["fix"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|fix| Some(fix.as_str()?.to_owned()))
        .collect()
}
