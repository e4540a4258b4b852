//! Why the kernel half could not be loaded, in few words.

/// Why the kernel half isn't there.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No type information.
    #[error("this kernel has no BTF ({path})")]
    NoBtf {
        /// Where it was looked for.
        path: String,
    },
    /// A field that every kernel from 5.12 on has.
    #[error("this kernel's BTF has no {0}")]
    NoField(String),
    /// Rights.
    #[error("loading eBPF is not permitted")]
    NotPermitted,
    /// As if this kernel could not.
    #[error("the kernel half is switched off by --without programs")]
    SwitchedOff,
    /// Anything else, in the kernel's words.
    #[error("the kernel refused {what}: {why}")]
    Refused {
        /// What was being done.
        what: String,
        /// Its reason.
        why: String,
    },
}

impl LoadError {
    /// Its first line.
    #[must_use]
    pub fn in_a_line(&self) -> String {
        self.to_string().lines().next().unwrap_or_default().to_owned()
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = brief(&error.to_string());
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = brief(&cause.to_string());
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// Without the verifier's log, which is as long as the program: its last word is the reason.
fn brief(text: &str) -> String {
    let Some((before, log)) = text.split_once("Verifier output:") else {
        return text.to_owned();
    };
    let statistics = ["verification time", "stack depth", "processed"];
    let reason = log
        .lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty() && !statistics.iter().any(|word| line.starts_with(word)));
    format!(
        "{}; the verifier: {}",
        before.trim().trim_end_matches('.'),
        reason.unwrap_or("no reason")
    )
}

/// An error of aya's or of the kernel's, met while doing `what`.
pub(super) fn refused(what: &str, error: &(dyn std::error::Error + 'static)) -> LoadError {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref::<std::io::Error>()
            // EPERM is about rights; EACCES is the verifier's no.
            && io.raw_os_error() == Some(libc::EPERM)
        {
            return LoadError::NotPermitted;
        }
        next = cause.source();
    }
    LoadError::Refused {
        what: what.to_owned(),
        why: chain(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifiers_log_is_told_by_its_last_word() {
        let log = "the BPF_PROG_LOAD syscall returned Permission denied (os error 13). Verifier output: 0: R1=ctx()\n\
                   7: (61) r1 = *(u32 *)(r2 +512)\nR2 unbounded memory access\nverification time 21 usec\nstack depth 0\n\
                   processed 9 insns\n\n";
        let told = "the BPF_PROG_LOAD syscall returned Permission denied (os error 13); the verifier: R2 unbounded memory access";
        assert_eq!(brief(log), told);
        assert_eq!(brief("no such file"), "no such file");
    }
}
