//! Termination codes on the command line: `hatrace explain --NI`. They begin with hyphens, and are no options.

use std::ffi::OsString;

/// What stands before a code so that clap takes it for a word. No word that is explained begins like this.
const SHIELD: &str = "code:";

/// `--`, `----`, `--NI`, `-D--`: a session's end that was normal (HAProxy configuration manual 8.5), behind which are capitals or hyphens.
fn is_code(word: &str) -> bool {
    let rest = word.strip_prefix('-');
    rest.is_some_and(|rest| {
        (rest == "-" || rest.len() == 3) && rest.chars().all(|c| c == '-' || c.is_ascii_uppercase())
    })
}

/// The command line with its codes shielded; only behind `explain`, where there is nothing to run.
pub(super) fn shielded(line: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut explaining = false;
    line.into_iter()
        .map(|word| {
            let code = explaining && word.to_str().is_some_and(is_code);
            explaining |= word == "explain";
            if !code {
                return word;
            }
            let mut shielded = OsString::from(SHIELD);
            shielded.push(word);
            shielded
        })
        .collect()
}

/// The word as it was given.
pub(super) fn bare(word: &str) -> &str {
    word.strip_prefix(SHIELD).unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_words_and_options_stay_options() {
        let line = "hatrace -- explain --NI -- ---- -D-- --json --no --from F -vvv -V sD--";
        let words = line.split(' ').map(OsString::from);
        let shielded: Vec<String> = shielded(words)
            .into_iter()
            .map(|word| word.into_string().unwrap())
            .collect();
        assert_eq!(
            shielded.join(" "),
            "hatrace -- explain code:--NI code:-- code:---- code:-D-- --json --no --from F -vvv -V sD--"
        );
        assert_eq!(bare("code:--NI"), "--NI");
        assert_eq!(bare("FIN_WAIT2"), "FIN_WAIT2");
    }
}
