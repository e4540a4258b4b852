//! Lines into what the engine knows of a configuration: sections, what they take from their `defaults`, and what they set.

use std::time::Duration;

use hatrace_core::config::{
    Bind, ClientAddress, Configuration, Doubt, Place, Proxy, ProxyKind, ProxyMode, Server, Set, TimeoutKind,
};
use hatrace_core::stream::Name;

use super::lines::Line;
use super::values;

/// Words that begin a section, whatever stands before them: HAProxy doesn't look at indentation.
const SECTIONS: [&str; 24] = [
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "peers",
    "resolvers",
    "mailers",
    "userlist",
    "cache",
    "program",
    "http-errors",
    "ring",
    "log-forward",
    "log-profile",
    "crt-store",
    "fcgi-app",
    "traces",
    "acme",
    "haterm",
    "healthcheck",
    "spoe-agent",
    "spoe-message",
    "spoe-group",
];

/// Whether a line that begins with this word begins a section.
#[must_use]
pub fn is_section(word: &str) -> bool {
    SECTIONS.contains(&word)
}

/// Puts lines together. What isn't known is left alone.
#[must_use]
pub fn configuration(lines: &[Line], doubts: Vec<Doubt>) -> Configuration {
    let mut builder = Builder {
        found: Configuration {
            doubts,
            ..Configuration::default()
        },
        defaults: Vec::new(),
        section: Section::Other,
        server_defaults: ServerDefaults::default(),
    };
    for line in lines {
        builder.line(line);
    }
    builder.found
}

/// The section at hand.
#[derive(Clone, Copy)]
enum Section {
    Global,
    Defaults,
    Proxy,
    Other,
}

/// What `default-server` lines say.
#[derive(Clone, Copy, Default)]
struct ServerDefaults {
    maxconn: Option<u64>,
    tcp_ut: Option<Duration>,
    layered: bool,
}

struct Builder {
    found: Configuration,
    /// `defaults` sections as if they were proxies, the last one in force for whoever names none.
    defaults: Vec<(Proxy, ServerDefaults)>,
    section: Section,
    server_defaults: ServerDefaults,
}

impl Builder {
    fn line(&mut self, line: &Line) {
        let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
        let Some((first, rest)) = words.split_first() else {
            return;
        };
        if is_section(first) {
            self.begin(first, rest, line);
            return;
        }
        match self.section {
            Section::Global => self.global(&words, line),
            Section::Defaults => {
                if let Some((proxy, servers)) = self.defaults.last_mut() {
                    setting(proxy, servers, &words, line, &mut self.found.doubts);
                }
            }
            Section::Proxy => {
                if let Some(proxy) = self.found.proxies.last_mut() {
                    setting(
                        proxy,
                        &mut self.server_defaults,
                        &words,
                        line,
                        &mut self.found.doubts,
                    );
                }
            }
            Section::Other => {}
        }
    }

    fn begin(&mut self, keyword: &str, rest: &[&str], line: &Line) {
        let kind = match keyword {
            "frontend" => ProxyKind::Frontend,
            "backend" => ProxyKind::Backend,
            "listen" => ProxyKind::Listen,
            "defaults" => {
                self.section = Section::Defaults;
                let (name, from) = match rest {
                    ["from", from, ..] => ("", Some(*from)),
                    [name, "from", from, ..] => (*name, Some(*from)),
                    [name, ..] => (*name, None),
                    [] => ("", None),
                };
                let made = match from.and_then(|from| self.template(from)) {
                    Some((template, servers)) => {
                        (inherit(template, ProxyKind::Listen, name, &line.place), *servers)
                    }
                    // Without `from` it begins with nothing: it takes nothing over from the one before.
                    None => (
                        blank(ProxyKind::Listen, name, &line.place),
                        ServerDefaults::default(),
                    ),
                };
                self.defaults.push(made);
                return;
            }
            other => {
                self.section = if other == "global" {
                    self.found.global.place.get_or_insert_with(|| line.place.clone());
                    Section::Global
                } else {
                    Section::Other
                };
                return;
            }
        };
        let (name, from) = match rest {
            [name, "from", from, ..] => (*name, Some(*from)),
            [name, ..] => (*name, None),
            [] => ("", None),
        };
        let template = match from {
            Some(from) => self.template(from),
            None => self.defaults.last(),
        };
        let (proxy, servers) = match template {
            Some((template, servers)) => (inherit(template, kind, name, &line.place), *servers),
            None => (blank(kind, name, &line.place), ServerDefaults::default()),
        };
        self.section = Section::Proxy;
        self.server_defaults = servers;
        self.found.proxies.push(proxy);
    }

    fn template(&self, name: &str) -> Option<&(Proxy, ServerDefaults)> {
        self.defaults
            .iter()
            .rev()
            .find(|(proxy, _)| &*proxy.name == name && !name.is_empty())
    }

    fn global(&mut self, words: &[&str], line: &Line) {
        let global = &mut self.found.global;
        match words {
            ["maxconn", number, ..] => match number.parse() {
                Ok(number) => global.maxconn = Some(set(number, line)),
                Err(_) => self.found.doubts.push(garbled(line, "maxconn takes a number")),
            },
            ["hard-stop-after", time, ..] => match values::time(time) {
                Some(time) => global.hard_stop_after = Some(set(time, line)),
                None => self
                    .found
                    .doubts
                    .push(garbled(line, "hard-stop-after takes a time")),
            },
            _ => {}
        }
    }
}

fn garbled(line: &Line, why: &str) -> Doubt {
    Doubt::Garbled {
        place: line.place.clone(),
        why: why.to_owned(),
    }
}

fn set<T>(value: T, line: &Line) -> Set<T> {
    Set {
        value,
        place: line.place.clone(),
        inherited: false,
        certain: line.certain,
    }
}

fn blank(kind: ProxyKind, name: &str, place: &Place) -> Proxy {
    Proxy {
        name: Name::from(name),
        kind,
        place: place.clone(),
        defaults: None,
        mode: Set {
            value: ProxyMode::Tcp,
            place: place.clone(),
            inherited: false,
            certain: true,
        },
        timeouts: std::collections::BTreeMap::new(),
        options: std::collections::BTreeMap::new(),
        maxconn: None,
        binds: Vec::new(),
        servers: Vec::new(),
        set_timeouts: Vec::new(),
        source: None,
        client_address: ClientAddress::Socket,
    }
}

/// What a section takes from its `defaults`: of the timeouts, those that are its own business.
fn inherit(template: &Proxy, kind: ProxyKind, name: &str, place: &Place) -> Proxy {
    let mut proxy = Proxy {
        kind,
        name: Name::from(name),
        place: place.clone(),
        defaults: Some(template.place.clone()),
        ..template.clone()
    };
    proxy.mode.inherited = true;
    proxy.timeouts.retain(|timeout, _| {
        timeout.of_frontend() && kind.accepts() || timeout.of_backend() && kind.connects()
    });
    for timeout in proxy.timeouts.values_mut() {
        timeout.inherited = true;
    }
    for option in proxy.options.values_mut() {
        option.inherited = true;
    }
    match &mut proxy.maxconn {
        Some(maxconn) if kind.accepts() => maxconn.inherited = true,
        maxconn => *maxconn = None,
    }
    if !kind.connects() {
        proxy.source = None;
    }
    proxy
}

/// A line of a proxy, or of `defaults`.
fn setting(
    proxy: &mut Proxy,
    servers: &mut ServerDefaults,
    words: &[&str],
    line: &Line,
    doubts: &mut Vec<Doubt>,
) {
    match words {
        ["mode", mode, ..] => {
            proxy.mode = set(
                match *mode {
                    "tcp" => ProxyMode::Tcp,
                    "http" => ProxyMode::Http,
                    _ => ProxyMode::Other,
                },
                line,
            );
        }
        ["timeout", kind, value, ..] => match (TimeoutKind::parse(kind), values::limit(value)) {
            (Some(kind), Some(limit)) => {
                proxy.timeouts.insert(kind, set(limit, line));
            }
            (Some(_), None) => doubts.push(garbled(line, "a timeout takes a time like 30s")),
            (None, _) => {}
        },
        ["option", option, ..] => {
            proxy.options.insert(Name::from(*option), set(true, line));
        }
        ["no", "option", option, ..] => {
            proxy.options.insert(Name::from(*option), set(false, line));
        }
        ["maxconn", number, ..] => match number.parse() {
            Ok(number) => proxy.maxconn = Some(set(number, line)),
            Err(_) => doubts.push(garbled(line, "maxconn takes a number")),
        },
        ["source", ..] => proxy.source = Some(line.place.clone()),
        ["bind", address, options @ ..] => bind(proxy, address, options, line),
        ["default-server", options @ ..] => {
            *servers = ServerDefaults {
                maxconn: number(options, "maxconn").or(servers.maxconn),
                tcp_ut: after(options, "tcp-ut").and_then(values::time).or(servers.tcp_ut),
                layered: is_layered(options) || servers.layered,
            };
        }
        ["server", name, address, options @ ..] => proxy.servers.push(Server {
            place: line.place.clone(),
            name: Name::from(*name),
            address: values::address(address),
            maxconn: number(options, "maxconn").or(servers.maxconn),
            tcp_ut: after(options, "tcp-ut").and_then(values::time).or(servers.tcp_ut),
            source: options.contains(&"source"),
            layered: is_layered(options) || servers.layered,
        }),
        [
            when
            @ ("http-request" | "http-response" | "tcp-request" | "tcp-response" | "http-after-response"),
            rule @ ..,
        ] => {
            if rule.contains(&"set-timeout") {
                proxy.set_timeouts.push(line.place.clone());
            }
            proxy.client_address = proxy.client_address.max(called_by(when, rule));
        }
        _ => {}
    }
}

/// A `bind` line.
fn bind(proxy: &mut Proxy, address: &str, options: &[&str], line: &Line) {
    if options.contains(&"accept-proxy") || options.contains(&"accept-netscaler-cip") {
        proxy.client_address = ClientAddress::Told;
    }
    let quic = address.starts_with("quic");
    proxy.binds.push(Bind {
        place: line.place.clone(),
        addresses: address.split(',').filter_map(values::address).collect(),
        tcp_ut: after(options, "tcp-ut").and_then(values::time),
        layered: is_layered(options) || quic,
    });
}

/// Whether these options of a `bind` or a `server` put TLS or HTTP/2 on its connections.
fn is_layered(options: &[&str]) -> bool {
    options.contains(&"ssl") || after(options, "proto") == Some("h2")
}

/// What a client is called by after this rule.
fn called_by(when: &str, rule: &[&str]) -> ClientAddress {
    let expects = rule.contains(&"expect-proxy") || rule.contains(&"expect-netscaler-cip");
    match (when, rule) {
        ("tcp-request", ["connection", rest @ ..]) if expects || rest.contains(&"set-src") => {
            ClientAddress::Told
        }
        _ if rule.contains(&"set-src") => ClientAddress::Changed,
        _ => ClientAddress::Socket,
    }
}

fn after<'a>(options: &[&'a str], keyword: &str) -> Option<&'a str> {
    let at = options.iter().position(|word| *word == keyword)?;
    options.get(at + 1).copied()
}

fn number(options: &[&str], keyword: &str) -> Option<u64> {
    after(options, keyword)?.parse().ok()
}
