//! HAProxy's own words on what is stuck, for people who know HAProxy's code: asked once, at the end, and not understood here.

use std::time::Duration;

use hatrace_core::ids::{Fd, SessionPtr};

use super::reach::Reach;
use crate::target::haproxy_build;

/// What one process said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verbatim {
    /// `haproxy -vv`, by the program that it runs.
    pub build: String,
    /// `show info`, without what names the host.
    pub info: String,
    /// `show sess PTR` of each.
    pub sessions: String,
    /// `show fd FD` of each.
    pub descriptors: String,
}

/// Lines of `show info` that say where it runs, and what for.
const NAMING: [&str; 3] = ["Name:", "Node:", "description:"];

impl Reach {
    /// Asks for the words on these sessions and descriptors, the most important first; for no longer than `allowed`.
    pub async fn verbatim(&mut self, sessions: &[SessionPtr], fds: &[Fd], allowed: Duration) -> Verbatim {
        let mut words = Verbatim {
            build: haproxy_build(self.process()).unwrap_or_default(),
            ..Verbatim::default()
        };
        let before = self.asking().took;
        for ptr in sessions {
            if self.asking().took.saturating_sub(before) > allowed || !self.ready() {
                break;
            }
            words.sessions.push_str(
                &self
                    .behind_info(&[format!("show sess {ptr}")], &mut words.info)
                    .await,
            );
        }
        let commands: Vec<String> = fds.iter().map(|fd| format!("show fd {}", fd.0)).collect();
        if self.ready() {
            words.descriptors = self.behind_info(&commands, &mut words.info).await;
        }
        words
    }

    /// What comes behind `show info`, with which every answer begins.
    async fn behind_info(&mut self, commands: &[String], info: &mut String) -> String {
        let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
        let (mut behind, mut text, mut own) = (false, String::new(), String::new());
        let mut take = |line: &str| {
            if behind {
                text.push_str(line);
                text.push('\n');
            } else if line.is_empty() {
                behind = true;
            } else if !NAMING.iter().any(|naming| line.starts_with(naming)) {
                own.push_str(line);
                own.push('\n');
            }
            true
        };
        self.ask(&commands, &mut take).await;
        if info.is_empty() {
            *info = own;
        }
        text
    }
}
