//! stub
pub(crate) mod churn;
use crate::workspace::Workspace;
use anyhow::Result;
pub(crate) fn command(_: &Workspace, _: &[String]) -> Result<()> {
    Ok(())
}
