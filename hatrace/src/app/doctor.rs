//! `doctor`: probes, then says.

use hatrace_core::ids::Pid;
use hatrace_core::stream::Access;

use super::unless_gone;
use crate::cli::{ApiOptions, DoctorOptions};
use crate::doctor::{Host, Probes, checks};
use crate::error::Problem;
use crate::haproxy::Reach;
use crate::kernel::probe;
use crate::port::Status;
use crate::sockdiag;
use crate::target::{Proc, Target};
use crate::view::{Format, Output, Page, Selection, doctor};

pub(super) async fn run(options: &DoctorOptions) -> Result<(), Problem> {
    let mut output = Output::open(&options.output)?;
    let mut probes = probes(options)?;
    probes.access = access(&probes.haproxy, &options.api).await;
    let found = checks(&Host::this(), &probes);
    let page = Page::on(&output, usize::MAX, Selection::default());
    let _ = unless_gone(output.draw(|out| match options.output.format {
        Format::Json => doctor::json(out, &found),
        Format::Text => doctor::text(out, &found, &page),
    }))?;
    match found.iter().filter(|check| check.status == Status::Fail).count() {
        0 => Ok(()),
        fails => Err(Problem::cannot(format!(
            "this host lacks what tracing needs: {fails} of its checks say `fail`"
        ))
        .remedy("what stands below each of them")),
    }
}

fn probes(options: &DoctorOptions) -> Result<Probes, Problem> {
    let probed = probe(&options.without);
    Ok(Probes {
        core: probed.core.map_err(|error| {
            tracing::debug!("{error}");
            error.in_a_line()
        }),
        abilities: probed.abilities,
        sock_diag: sockdiag::probe(&options.without),
        haproxy: haproxy(options)?,
        access: Vec::new(),
    })
}

/// Knocks at the command line of each that serves connections.
async fn access(haproxy: &[(u32, String)], api: &ApiOptions) -> Vec<(u32, Access)> {
    let mut found = Vec::new();
    for (pid, _) in haproxy.iter().filter(|(_, role)| role != "master") {
        if api.off {
            found.push((*pid, Access::Off));
        } else if let Some(process) = Proc::find(Pid(*pid)) {
            let master = process.master();
            let mut reach = Reach::new(process, master, api.socket.clone());
            reach.open().await;
            found.extend(reach.asking().access.clone().map(|access| (*pid, access)));
        }
    }
    found
}

/// The HAProxy that was named, or every one there is.
fn haproxy(options: &DoctorOptions) -> Result<Vec<(u32, String)>, Problem> {
    let role = |target: &Target, pid| if target.is_master(pid) { "master" } else { "worker" };
    let of = |target: &Target| {
        let pids = target.pids();
        pids.into_iter()
            .map(|pid| (pid.0, role(target, pid).to_owned()))
            .collect::<Vec<_>>()
    };
    if let Some(pids) = options
        .target
        .pids
        .as_deref()
        .filter(|pids| pids.iter().any(|pid| !pid.trim().is_empty()))
    {
        return Target::resolve(pids, true).map(|target| of(&target));
    }
    if let Ok(target) = Target::resolve(&[], false) {
        return Ok(of(&target));
    }
    let all = Proc::all().into_iter().filter(Proc::is_haproxy);
    Ok(all
        .map(|process| (process.pid.0, "one of several".to_owned()))
        .collect())
}
