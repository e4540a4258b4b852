//! What the target adds to a survey of its sockets.

use hatrace_core::ids::Cookie;
use hatrace_core::survey::Survey;

use super::Target;
use super::neighbours::neighbours;

impl Target {
    /// A survey with the workers that a reload has replaced and, if it is to be `thorough`, the holders of `opposites`: inodes of other
    /// ends on this host.
    #[must_use]
    pub fn complete(&self, mut survey: Survey, opposites: &[(Cookie, u64)], thorough: bool) -> Survey {
        survey.replaced = self.replaced();
        if thorough {
            survey.neighbours = neighbours(opposites);
        }
        survey
    }
}
