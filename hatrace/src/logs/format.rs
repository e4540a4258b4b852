//! A `log-format` as HAProxy writes it (configuration manual, section 8.2.6), compiled to what a line is read by.

/// What a line tells, by HAProxy's own name of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Var {
    ClientIp,
    ClientPort,
    FrontIp,
    FrontPort,
    BackIp,
    BackPort,
    ServerIp,
    ServerPort,
    /// The peer of the client's socket, where the log calls the client something else (`fc_src`).
    SocketIp,
    SocketPort,
    Accepted,
    Frontend,
    Backend,
    Server,
    TimeRequest,
    TimeQueue,
    TimeConnect,
    TimeResponse,
    TimeTotal,
    Status,
    Bytes,
    Code,
    Pid,
    Request,
    Retries,
    TermEvents,
    /// Captured headers: in braces, or nothing at all.
    Captures,
    /// Anything else.
    Other,
}

/// A piece of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// As it stands.
    Literal(Vec<u8>),
    /// Blanks: several are one, and one after nothing is none.
    Blank,
    /// A value, and whether it is in quotes.
    Value { var: Var, quoted: bool, escaped: bool },
}

/// A format, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// What it is called where it is spoken of.
    pub name: String,
    pub(super) tokens: Vec<Token>,
    /// `%{+json}o`: an object, whose names are these.
    pub(super) names: Option<Vec<(String, Var)>>,
}

/// The formats that have names (configuration manual, section 8.2).
pub const HTTP: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r";
/// `option httpslog`.
pub const HTTPS: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r %[fc_err]/%[ssl_fc_err,hex]/%[ssl_c_err]/%[ssl_c_ca_err]/%[ssl_fc_is_resumed] %[ssl_fc_sni]/%sslv/%sslc";
/// `option tcplog`.
pub const TCP: &str = "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq";
/// `option httplog clf`.
pub const CLF: &str = "%{+Q}o %{-Q}ci - - [%trg] %r %ST %B \"\" \"\" %cp %ms %ft %b %s %TR %Tw %Tc %Tr %Ta %tsc %ac %fc %bc %sc %rc %sq %bq %CC %CS %hrl %hsl";
/// `option tcplog clf` (3.x).
pub const TCP_CLF: &str = "%{+Q}o %{-Q}ci - - [%T] \"TCP \" 000 %B \"\" \"\" %cp %ms %ft %b %s %Th %Tw %Tc %Tt %U %ts-- %ac %fc %bc %sc %rc %sq %bq \"\" \"\" ";

impl Format {
    /// Compiles one, written as in a configuration (blanks escaped or in quotes) or as it is meant.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut reader = Reader {
            text,
            at: 0,
            quoted: false,
            escaped: false,
            json: false,
            literal: Vec::new(),
            tokens: Vec::new(),
            names: Vec::new(),
        };
        reader.read()?;
        let Reader {
            tokens, json, names, ..
        } = reader;
        if !tokens.iter().any(|token| matches!(token, Token::Value { .. })) {
            return Err("there is no variable in it (%ci, %ts, ...)".to_owned());
        }
        let touching = tokens.windows(2).any(|pair| {
            matches!(
                pair,
                [
                    Token::Value { var: one, quoted: false, .. },
                    Token::Value { quoted: false, .. }
                ] if *one != Var::Captures
            )
        });
        if touching && !json {
            return Err(
                "two values follow each other without anything between them: where one ends can't be told"
                    .to_owned(),
            );
        }
        Ok(Self {
            name: name.to_owned(),
            tokens,
            names: json.then_some(names),
        })
    }

    /// One that is known to be right.
    pub(super) fn known(name: &str, text: &str) -> Self {
        Self::parse(name, text).unwrap_or_else(|_| Self {
            name: name.to_owned(),
            tokens: Vec::new(),
            names: None,
        })
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    quoted: bool,
    escaped: bool,
    json: bool,
    literal: Vec<u8>,
    tokens: Vec<Token>,
    names: Vec<(String, Var)>,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn read(&mut self) -> Result<(), String> {
        while let Some(c) = self.rest().chars().next() {
            match c {
                '%' => {
                    self.at += 1;
                    self.variable()?;
                }
                '\\' => {
                    self.at += 1;
                    if let Some(next) = self.rest().chars().next() {
                        self.at += next.len_utf8();
                        self.push(next);
                    }
                }
                _ => {
                    self.at += c.len_utf8();
                    self.push(c);
                }
            }
        }
        self.flush();
        Ok(())
    }

    fn push(&mut self, c: char) {
        if c == ' ' {
            self.flush();
            if self.tokens.last() != Some(&Token::Blank) {
                self.tokens.push(Token::Blank);
            }
        } else {
            let mut bytes = [0; 4];
            self.literal
                .extend_from_slice(c.encode_utf8(&mut bytes).as_bytes());
        }
    }

    fn flush(&mut self) {
        if !self.literal.is_empty() {
            self.tokens
                .push(Token::Literal(std::mem::take(&mut self.literal)));
        }
    }

    /// What follows a `%`: `%`, or `(name)`, `{flags}` and a variable or `[expression]`.
    fn variable(&mut self) -> Result<(), String> {
        if self.rest().starts_with('%') {
            self.at += 1;
            self.push('%');
            return Ok(());
        }
        let (mut quoted, mut escaped) = (self.quoted, self.escaped);
        let mut name = String::new();
        loop {
            if self.rest().starts_with('(') {
                self.within(')')?
                    .split(':')
                    .next()
                    .unwrap_or_default()
                    .clone_into(&mut name);
            } else if self.rest().starts_with('{') {
                let flags = self.within('}')?;
                for flag in flags.split(',').map(str::trim) {
                    match flag {
                        "+Q" => quoted = true,
                        "-Q" => quoted = false,
                        "+E" => escaped = true,
                        "-E" => escaped = false,
                        "+json" => self.json = true,
                        "+cbor" | "+bin" => return Err(format!("`{flag}` makes lines that aren't text")),
                        _ => {}
                    }
                }
            } else {
                break;
            }
        }
        let word = if self.rest().starts_with('[') {
            self.within(']')?
        } else {
            let rest = self.rest();
            // The longest name wins: %trg before %tr before %t.
            let known = NAMES
                .iter()
                .map(|(name, _)| *name)
                .filter(|name| rest.starts_with(name))
                .max_by_key(|name| name.len())
                .ok_or_else(|| {
                    format!(
                        "no variable begins with `%{}`",
                        rest.chars().take(4).collect::<String>()
                    )
                })?;
            self.at += known.len();
            known.to_owned()
        };
        if word == "o" {
            (self.quoted, self.escaped) = (quoted, escaped);
            return Ok(());
        }
        let var = var(&word);
        self.flush();
        self.tokens.push(Token::Value { var, quoted, escaped });
        if !name.is_empty() {
            self.names.push((name, var));
        }
        Ok(())
    }

    /// What stands between a bracket here and its fellow.
    fn within(&mut self, close: char) -> Result<String, String> {
        let open = self.rest().chars().next().unwrap_or_default();
        let mut depth = 0usize;
        for (index, c) in self.rest().char_indices() {
            if c == open {
                depth += 1;
            } else if c == close {
                depth -= 1;
                if depth == 0 {
                    let inner = self
                        .rest()
                        .get(open.len_utf8()..index)
                        .unwrap_or_default()
                        .to_owned();
                    self.at += index + close.len_utf8();
                    return Ok(inner);
                }
            }
        }
        Err(format!("`{open}` is not closed: {}", self.rest()))
    }
}

/// What a variable tells, by its letters.
pub(super) fn by_word(word: &str) -> Option<Var> {
    NAMES.iter().find(|(name, _)| *name == word).map(|(_, var)| *var)
}

/// What a variable or an expression tells.
fn var(word: &str) -> Var {
    by_word(word).unwrap_or_else(|| match word.split(',').next().unwrap_or_default() {
        "fc_src" => Var::SocketIp,
        "fc_src_port" => Var::SocketPort,
        "src" => Var::ClientIp,
        "src_port" => Var::ClientPort,
        "dst" => Var::FrontIp,
        "dst_port" => Var::FrontPort,
        "bc_src" => Var::BackIp,
        "bc_src_port" => Var::BackPort,
        "bc_dst" => Var::ServerIp,
        "bc_dst_port" => Var::ServerPort,
        "fe_name" => Var::Frontend,
        "be_name" => Var::Backend,
        "srv_name" => Var::Server,
        "pid" => Var::Pid,
        "status" | "txn.status" => Var::Status,
        "bytes_out" | "res.bytes_out" => Var::Bytes,
        "txn.sess_term_state" => Var::Code,
        "term_events" => Var::TermEvents,
        _ => Var::Other,
    })
}

/// Every variable, by its letters after `%`.
const NAMES: [(&str, Var); 64] = [
    ("o", Var::Other),
    ("B", Var::Bytes),
    ("CC", Var::Other),
    ("CS", Var::Other),
    ("H", Var::Other),
    ("HM", Var::Other),
    ("HP", Var::Other),
    ("HPO", Var::Other),
    ("HQ", Var::Other),
    ("HU", Var::Other),
    ("HV", Var::Other),
    ("ID", Var::Other),
    ("ST", Var::Status),
    ("T", Var::Other),
    ("Ta", Var::TimeTotal),
    ("Tc", Var::TimeConnect),
    ("Td", Var::Other),
    ("Th", Var::Other),
    ("Ti", Var::Other),
    ("Tl", Var::Other),
    ("Tq", Var::Other),
    ("TR", Var::TimeRequest),
    ("Tr", Var::TimeResponse),
    ("Ts", Var::Other),
    ("Tt", Var::TimeTotal),
    ("Tu", Var::Other),
    ("Tw", Var::TimeQueue),
    ("U", Var::Other),
    ("ac", Var::Other),
    ("b", Var::Backend),
    ("bc", Var::Other),
    ("bi", Var::BackIp),
    ("bp", Var::BackPort),
    ("bq", Var::Other),
    ("ci", Var::ClientIp),
    ("cp", Var::ClientPort),
    ("f", Var::Frontend),
    ("fc", Var::Other),
    ("fi", Var::FrontIp),
    ("fp", Var::FrontPort),
    ("ft", Var::Frontend),
    ("hr", Var::Captures),
    ("hrl", Var::Other),
    ("hs", Var::Captures),
    ("hsl", Var::Other),
    ("lc", Var::Other),
    ("ms", Var::Other),
    ("pid", Var::Pid),
    ("r", Var::Request),
    ("rc", Var::Retries),
    ("rt", Var::Other),
    ("s", Var::Server),
    ("sc", Var::Other),
    ("si", Var::ServerIp),
    ("sp", Var::ServerPort),
    ("sq", Var::Other),
    ("sslc", Var::Other),
    ("sslv", Var::Other),
    ("t", Var::Accepted),
    ("tr", Var::Accepted),
    ("trg", Var::Accepted),
    ("trl", Var::Accepted),
    ("ts", Var::Code),
    ("tsc", Var::Code),
];
