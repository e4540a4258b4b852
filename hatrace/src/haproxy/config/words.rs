//! A line into words: quotes, escapes, comments and environment variables (configuration manual, sections 2.2 and 2.3;
//! HAProxy's `src/tools.c: parse_line()`).

use std::collections::BTreeMap;

/// The environment that variables are taken from.
pub type Environment = BTreeMap<String, String>;

/// The words of a line. Strong quotes keep everything; weak ones let `$VAR`, `${VAR}`, `${VAR-default}` and escapes through;
/// outside of quotes a variable is no variable.
///
/// # Errors
/// In words, for a line that HAProxy would refuse: an open quote, an unfinished variable.
pub fn words(line: &str, environment: &Environment) -> Result<Vec<String>, &'static str> {
    let mut reader = Reader {
        rest: line.chars().collect::<Vec<_>>().into_iter().peekable(),
        words: Vec::new(),
        word: None,
    };
    let (mut weak, mut strong) = (false, false);
    while let Some(c) = reader.rest.next() {
        match c {
            '"' if !strong => {
                weak = !weak;
                reader.begin();
            }
            '\'' if !weak => {
                strong = !strong;
                reader.begin();
            }
            _ if strong => reader.push(c),
            '\\' => reader.escape(),
            '$' if weak => reader.variable(environment)?,
            _ if weak => reader.push(c),
            '#' => break,
            c if c.is_whitespace() => reader.end(),
            _ => reader.push(c),
        }
    }
    if weak || strong {
        return Err("a quote is not closed");
    }
    reader.end();
    Ok(reader.words)
}

struct Reader {
    rest: std::iter::Peekable<std::vec::IntoIter<char>>,
    words: Vec<String>,
    /// The word under way; a quote begins one even if nothing stands in it.
    word: Option<String>,
}

impl Reader {
    fn begin(&mut self) {
        self.word.get_or_insert_default();
    }

    fn push(&mut self, c: char) {
        self.word.get_or_insert_default().push(c);
    }

    fn end(&mut self) {
        self.words.extend(self.word.take());
    }

    fn escape(&mut self) {
        match self.rest.peek().copied() {
            Some(c @ (' ' | '\\' | '#' | '\'' | '"' | '$')) => {
                self.rest.next();
                self.push(c);
            }
            Some('n') => self.escaped('\n'),
            Some('r') => self.escaped('\r'),
            Some('t') => self.escaped('\t'),
            Some('x') => {
                let digits: String = self.rest.clone().skip(1).take(2).collect();
                match u8::from_str_radix(&digits, 16) {
                    Ok(byte) if digits.len() == 2 => {
                        self.rest.nth(2);
                        self.push(char::from(byte));
                    }
                    _ => self.push('\\'),
                }
            }
            _ => self.push('\\'),
        }
    }

    fn escaped(&mut self, c: char) {
        self.rest.next();
        self.push(c);
    }

    fn variable(&mut self, environment: &Environment) -> Result<(), &'static str> {
        let braces = self.rest.next_if_eq(&'{').is_some();
        let mut name = String::new();
        while let Some(c) = self
            .rest
            .next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
        {
            name.push(c);
        }
        if name.is_empty() {
            return Err("a `$` within weak quotes is followed by no name");
        }
        let (mut default, mut list) = (None, false);
        if braces {
            // `${NAME[*]}`: a word for each of the value's.
            if self.rest.next_if_eq(&'[').is_some() {
                list = self.rest.next() == Some('*') && self.rest.next() == Some(']');
                if !list {
                    return Err("a variable's brackets hold something else than `*`");
                }
            }
            if self.rest.next_if_eq(&'-').is_some() {
                let mut text = String::new();
                while let Some(c) = self.rest.next_if(|c| *c != '}') {
                    text.push(c);
                }
                default = Some(text);
            }
            if self.rest.next() != Some('}') {
                return Err("a variable's brace is not closed");
            }
        }
        let value = environment.get(&name).or(default.as_ref());
        self.begin();
        let value = value.map(String::as_str).unwrap_or_default();
        if list {
            let mut parts = value.split_whitespace();
            if let Some(first) = parts.next() {
                self.word.get_or_insert_default().push_str(first);
            }
            for part in parts {
                self.end();
                self.word = Some(part.to_owned());
            }
        } else {
            self.word.get_or_insert_default().push_str(value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Vec<String>, &'static str> {
        let environment = [("PORT", "8080"), ("LIST", "one two"), ("EMPTY", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        words(line, &environment.into())
    }

    #[test]
    fn quotes_escapes_and_comments() {
        for (line, expected) in [
            ("  timeout client 30s # slow", vec!["timeout", "client", "30s"]),
            (r"log-format \#\ x", vec!["log-format", "# x"]),
            (r#"a "b c" 'd $PORT' e\"f"#, vec!["a", "b c", "d $PORT", "e\"f"]),
            (r#"bind ":${PORT}""#, vec!["bind", ":8080"]),
            (r#"bind ":$PORT" $PORT"#, vec!["bind", ":8080", "$PORT"]),
            (
                r#"x "${NONE-7}" "${PORT-7}" "${NONE}""#,
                vec!["x", "7", "8080", ""],
            ),
            (r#"x "${LIST[*]}" y"#, vec!["x", "one", "two", "y"]),
            (r"x a\tb \x41 \x4", vec!["x", "a\tb", "A", r"\x4"]),
            (r#"x "a#b" ''"#, vec!["x", "a#b", ""]),
            ("# nothing", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(read(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn what_haproxy_refuses() {
        for line in [
            r#"x "a"#,
            "x 'a",
            r#"x "${PORT""#,
            r#"x "$ ""#,
            r#"x "${LIST[1]}""#,
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
