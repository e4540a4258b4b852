//! A HAProxy with a frontend for each format, each with backends of its own in which sessions can end in every way.

/// HAProxy's headers; each has a port of its own.
pub(super) const HEADERS: [&str; 7] = ["rfc3164", "rfc5424", "short", "priority", "raw", "timed", "iso"];
pub(super) const FIRST_PORT: u16 = 5140;

/// A frontend that logs in one format.
pub(super) struct Frontend {
    pub(super) name: &'static str,
    pub(super) http: bool,
    /// Its port; in TCP mode the first of several, which stand for paths.
    pub(super) port: u16,
    format: &'static str,
    /// Without the configuration nobody can know it.
    pub(super) own: bool,
}

pub(super) const FRONTENDS: [Frontend; 7] = [
    Frontend {
        name: "f_http",
        http: true,
        port: 8000,
        format: "option httplog",
        own: false,
    },
    Frontend {
        name: "f_https",
        http: true,
        port: 8010,
        format: "option httpslog",
        own: false,
    },
    Frontend {
        name: "f_clf",
        http: true,
        port: 8020,
        format: "option httplog clf",
        own: false,
    },
    Frontend {
        name: "f_json",
        http: true,
        port: 8030,
        format: r#"log-format '{"t":"%t","ci":"%ci","cp":%cp,"fe":"%f","be":"%b","srv":"%s","st":%ST,"B":%B,"tsc":"%tsc","Tw":%Tw,"Tt":%Tt}'"#,
        own: false,
    },
    Frontend {
        name: "f_own",
        http: true,
        port: 8040,
        format: r#"log-format "%pid %ci:%cp -> %fi:%fp %bi:%bp -> %si:%sp [%tr] %f %b/%s %tsc %ST %Ta {%[capture.req.hdr(0)]} %{+Q}r""#,
        own: true,
    },
    Frontend {
        name: "f_tcp",
        http: false,
        port: 8100,
        format: "option tcplog",
        own: false,
    },
    Frontend {
        name: "f_tcp_own",
        http: false,
        port: 8120,
        format: r#"log-format "%ci:%cp -> %fi:%fp [%t] %ft %b/%s %Tw/%Tc/%Tt %ts %bi:%bp %si:%sp""#,
        own: true,
    },
];

/// What decides the backend: a path, in TCP mode a port.
pub(super) const PLACES: [&str; 7] = ["/", "/refused", "/queued", "/black", "/ports", "/down", "/up"];

impl Frontend {
    /// Where that is to be had.
    pub(super) fn port_of(&self, path: &str) -> u16 {
        let place = PLACES.iter().position(|place| *place == path);
        match place {
            Some(place) if !self.http => self.port + u16::try_from(place).unwrap(),
            _ => self.port,
        }
    }

    fn sections(&self, nth: usize) -> String {
        let Self { name, format, .. } = self;
        let mode = if self.http { "http" } else { "tcp" };
        let binds: String = PLACES
            .iter()
            .map(|place| self.port_of(place))
            .collect::<std::collections::BTreeSet<u16>>()
            .iter()
            .map(|port| format!("  bind 127.0.0.1:{port}\n"))
            .collect();
        let rules = if self.http {
            "  http-request deny if { path /deny }
  http-request tarpit if { path /tarpit }
  http-request redirect location /ok if { path /redirect }
  http-request reject if { path /reject }
  declare capture request len 64
  http-request capture req.hdr(user-agent) len 64
  stats enable
  stats uri /stats\n"
        } else {
            ""
        };
        let uses: String = PLACES[1..]
            .iter()
            .map(|place| {
                let backend = place.trim_start_matches('/');
                let when = if self.http {
                    format!("path {place}")
                } else {
                    format!("dst_port {}", self.port_of(place))
                };
                format!("  use_backend {name}_{backend} if {{ {when} }}\n")
            })
            .collect();
        let mute = if self.http {
            "  http-request set-path /mute\n"
        } else {
            ""
        };
        let source = 31_000 + nth;
        let backends: String = [
            ("b", "", "server s1 127.0.0.1:9000".to_owned()),
            ("refused", "", "server s1 127.0.0.1:9001".to_owned()),
            ("queued", mute, "server s1 127.0.0.1:9000 maxconn 1".to_owned()),
            ("black", "", "server s1 127.0.0.1:9002".to_owned()),
            (
                "ports",
                mute,
                format!("server s1 127.0.0.1:9000 source 127.0.0.1:{source}-{source}"),
            ),
            (
                "down",
                mute,
                "server s1 127.0.0.1:9000 on-marked-down shutdown-sessions".to_owned(),
            ),
            (
                "up",
                mute,
                "server s1 127.0.0.1:9000 on-marked-up shutdown-backup-sessions\n  server s2 127.0.0.1:9000 backup"
                    .to_owned(),
            ),
        ]
        .iter()
        .map(|(backend, rule, server)| format!("backend {name}_{backend}\n  mode {mode}\n{rule}  {server}\n"))
        .collect();
        format!(
            "frontend {name}\n  mode {mode}\n  {format}\n{binds}{rules}{uses}  default_backend {name}_b\n{backends}"
        )
    }
}

pub(super) fn config() -> String {
    let logs: String = HEADERS
        .iter()
        .zip(FIRST_PORT..)
        .map(|(header, port)| format!("  log 127.0.0.1:{port} len 8192 format {header} local0\n"))
        .collect();
    let sections: String = FRONTENDS
        .iter()
        .enumerate()
        .map(|(nth, frontend)| frontend.sections(nth))
        .collect();
    format!(
        "global
  stats socket {{DIR}}/stats.sock mode 600 level admin
{logs}defaults
  log global
  option abortonclose
  retries 0
  timeout connect 500ms
  timeout client 1500ms
  timeout server 600ms
  timeout http-request 700ms
  timeout queue 300ms
  timeout tarpit 400ms
{sections}defaults
  mode tcp
  log global
  timeout connect 500ms
  timeout client 1500ms
  timeout server 600ms
frontend f_none
  bind 127.0.0.1:8007
  default_backend f_tcp_b
"
    )
}
