//! From what the user typed to processes, with answers to what can be wrong about it.

use hatrace_core::ids::Pid;

use super::{Proc, Target};
use crate::error::Problem;

/// The pids in the values of `--pid`: one or several, blanks or commas between them, quoted together or not.
///
/// # Errors
/// Something that is no process id.
pub fn parse_pids(values: &[String]) -> Result<Vec<Pid>, Problem> {
    let mut pids = Vec::new();
    for word in values
        .iter()
        .flat_map(|value| value.split([',', ' ', '\t', '\n']))
        .filter(|word| !word.is_empty())
    {
        let number: u32 = word
            .parse()
            .ok()
            .filter(|&number| number > 0 && i32::try_from(number).is_ok())
            .ok_or_else(|| {
                Problem::usage(format!("--pid takes process ids: `{word}` isn't one"))
                    .remedy("sudo hatrace --pid $(pidof haproxy)")
                    .remedy("a subcommand goes first: hatrace report --pid 5108")
            })?;
        if !pids.contains(&Pid(number)) {
            pids.push(Pid(number));
        }
    }
    Ok(pids)
}

fn none_running(what: &str) -> Problem {
    Problem::cannot(what)
        .remedy("systemctl status haproxy")
        .remedy("or see it work: sudo hatrace demo")
}

/// No pid was named: the HAProxy of this host, if there is one and only one.
pub(super) fn find(all: &[Proc], given: bool) -> Result<Target, Problem> {
    let roots: Vec<&Proc> = roots(all);
    match roots.as_slice() {
        [] if given => Err(none_running(
            "--pid got no value: no HAProxy is running here (pidof printed nothing)",
        )),
        [] => Err(none_running("no HAProxy is running here")),
        [root] => Ok(Target::of(vec![(*root).clone()], all)),
        several => {
            let mut problem = Problem::usage(format!(
                "{} HAProxys are running here: which one is meant?",
                several.len()
            ));
            for root in several {
                problem = problem.remedy(format!(
                    "hatrace --pid {}    # {}",
                    root.pid,
                    root.cmdline.join(" ")
                ));
            }
            Err(problem)
        }
    }
}

/// HAProxys that no other HAProxy has born: masters and lone ones.
fn roots(all: &[Proc]) -> Vec<&Proc> {
    let haproxys = || all.iter().filter(|process| process.is_haproxy());
    haproxys()
        .filter(|process| !haproxys().any(|other| other.pid == process.parent))
        .collect()
}

/// The process of a pid that was named.
pub(super) fn named(pid: Pid, all: &[Proc]) -> Result<Proc, Problem> {
    match all.iter().find(|process| process.pid == pid) {
        Some(process) if process.is_haproxy() => Ok(process.clone()),
        Some(process) => Err(with_found(
            Problem::cannot(format!("pid {pid} is {}, not HAProxy", process.describe())),
            pid,
            all,
        )),
        None => Err(with_found(
            Problem::cannot(format!("no process {pid} is running here")),
            pid,
            all,
        )),
    }
}

/// The HAProxys there are, as remedies.
fn with_found(mut problem: Problem, wanted: Pid, all: &[Proc]) -> Problem {
    let haproxys: Vec<&Proc> = all.iter().filter(|process| process.is_haproxy()).collect();
    for process in &haproxys {
        if process.inner_pids.contains(&wanted.0) {
            problem = problem.remedy(format!(
                "hatrace --pid {}    # {wanted} is HAProxy's number inside its container; here it is {}",
                process.pid, process.pid
            ));
        }
    }
    if haproxys.is_empty() {
        return problem
            .remedy("no HAProxy is running here: systemctl status haproxy")
            .remedy("or see it work: sudo hatrace demo");
    }
    let found: Vec<String> = haproxys.iter().map(|process| process.pid.to_string()).collect();
    problem.remedy(format!(
        "hatrace --pid {}    # the HAProxy found here",
        found.join(" ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(values: &[&str]) -> Result<Vec<u32>, String> {
        let values: Vec<String> = values.iter().map(|&value| value.to_owned()).collect();
        parse_pids(&values)
            .map(|pids| pids.into_iter().map(|pid| pid.0).collect())
            .map_err(|problem| problem.what)
    }

    #[test]
    fn as_pidof_prints_it() {
        assert_eq!(parse(&["12 34"]), Ok(vec![12, 34]));
        assert_eq!(parse(&["12", "34"]), Ok(vec![12, 34]));
        assert_eq!(parse(&["12,34\n", "12"]), Ok(vec![12, 34]));
        assert_eq!(parse(&[""]), Ok(vec![]));
        assert_eq!(parse(&[]), Ok(vec![]));
    }

    #[test]
    fn what_is_no_pid() {
        for wrong in ["abc", "0", "-1", "4294967296", "1.5", "2147483648"] {
            assert!(parse(&[wrong]).is_err(), "{wrong}");
        }
    }
}
