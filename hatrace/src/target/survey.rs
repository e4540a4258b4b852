//! A survey of everything the target has open.

use hatrace_core::sock::HeldSock;
use hatrace_core::survey::Survey;

use super::Target;
use super::neighbours::neighbours;
use crate::sockdiag::{Namespaces, survey};

impl Target {
    /// What its processes hold beside what the kernel keeps around it. `thorough`: who else on this host has the other ends, too.
    ///
    /// # Errors
    /// A namespace that couldn't be listed.
    pub fn survey(
        &self,
        namespaces: &mut Namespaces,
        held: &[HeldSock],
        thorough: bool,
    ) -> Result<Survey, String> {
        let failed = |error: std::io::Error| format!("sock_diag: {error}");
        let rows = namespaces.every_state().map_err(failed)?;
        let timewaits = namespaces.timewaits().map_err(failed)?;
        let (mut found, opposites) = survey(held, &rows, timewaits, namespaces.spaces());
        found.replaced = self.replaced();
        if thorough {
            found.neighbours = neighbours(&opposites);
        }
        Ok(found)
    }
}
