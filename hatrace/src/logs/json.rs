//! Lines that are JSON: journald's, whose message is the line; and HAProxy's own, by a format that writes objects.

use hatrace_core::log::Entry;
use serde_json::{Map, Value};

use super::format::{Format, Var, by_word};
use super::read::set;

/// Room for what a JSON line says, unescaped.
#[derive(Debug, Default)]
pub struct Scratch {
    text: Vec<u8>,
}

/// What such a line is.
pub(super) enum Object {
    /// journald's: the message is in the scratch; the process.
    Message(Option<u32>),
    /// HAProxy's own: where each value is in the scratch.
    Fields(Vec<(Var, std::ops::Range<usize>)>),
    /// Neither.
    Other,
}

/// Takes an object apart. `formats`: those that write objects say what their names mean; else names are taken for variables, or for what
/// people call them.
pub(super) fn object(line: &[u8], formats: &[Format], scratch: &mut Scratch) -> Object {
    let Ok(Value::Object(map)) = serde_json::from_slice(line) else {
        return Object::Other;
    };
    scratch.text.clear();
    if let Some(message) = map.get("MESSAGE") {
        return message_of(message, &map, scratch);
    }
    let named = formats
        .iter()
        .filter_map(|format| format.names.as_ref())
        .flatten();
    let named: Vec<&(String, Var)> = named.collect();
    let mut fields = Vec::new();
    for (key, value) in &map {
        let known = named.iter().find(|(name, _)| name == key).map(|(_, var)| *var);
        let Some(var) = known.or_else(|| guess(key)) else {
            continue;
        };
        let start = scratch.text.len();
        match value {
            Value::String(text) => scratch.text.extend_from_slice(text.as_bytes()),
            Value::Number(number) => scratch.text.extend_from_slice(number.to_string().as_bytes()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => continue,
        }
        fields.push((var, start..scratch.text.len()));
    }
    let tells = |wanted: Var| fields.iter().any(|(var, _)| *var == wanted);
    if tells(Var::Code) || tells(Var::ClientIp) && tells(Var::Frontend) {
        Object::Fields(fields)
    } else {
        Object::Other
    }
}

/// journald writes what isn't text as an array of bytes.
fn message_of(message: &Value, map: &Map<String, Value>, scratch: &mut Scratch) -> Object {
    match message {
        Value::String(text) => scratch.text.extend_from_slice(text.as_bytes()),
        Value::Array(bytes) => {
            let bytes = bytes.iter().filter_map(|byte| u8::try_from(byte.as_u64()?).ok());
            scratch.text.extend(bytes);
        }
        _ => return Object::Other,
    }
    let pid = map
        .get("SYSLOG_PID")
        .or_else(|| map.get("_PID"))
        .and_then(Value::as_str);
    Object::Message(pid.and_then(|pid| pid.parse().ok()))
}

impl Scratch {
    /// The message that was put here.
    pub(super) fn message(&self) -> &[u8] {
        &self.text
    }

    /// The session that these values tell of; `None`: one of them can't be.
    pub(super) fn entry(&self, fields: &[(Var, std::ops::Range<usize>)]) -> Option<Entry<'_>> {
        let mut entry = Entry::default();
        for (var, range) in fields {
            set(&mut entry, *var, self.text.get(range.clone())?)?;
        }
        Some(entry)
    }
}

/// What people call the variables in their own formats.
fn guess(key: &str) -> Option<Var> {
    const CALLED: [(&str, Var); 34] = [
        ("termination_state", Var::Code),
        ("term_state", Var::Code),
        ("client_ip", Var::ClientIp),
        ("clientip", Var::ClientIp),
        ("src_ip", Var::ClientIp),
        ("src", Var::ClientIp),
        ("client_port", Var::ClientPort),
        ("src_port", Var::ClientPort),
        ("frontend", Var::Frontend),
        ("frontend_name", Var::Frontend),
        ("fe", Var::Frontend),
        ("backend", Var::Backend),
        ("backend_name", Var::Backend),
        ("be", Var::Backend),
        ("server", Var::Server),
        ("server_name", Var::Server),
        ("srv", Var::Server),
        ("status", Var::Status),
        ("status_code", Var::Status),
        ("http_status", Var::Status),
        ("st", Var::Status),
        ("bytes", Var::Bytes),
        ("bytes_read", Var::Bytes),
        ("time_request", Var::TimeRequest),
        ("time_queue", Var::TimeQueue),
        ("time_connect", Var::TimeConnect),
        ("time_backend_connect", Var::TimeConnect),
        ("time_response", Var::TimeResponse),
        ("time_backend_response", Var::TimeResponse),
        ("time_total", Var::TimeTotal),
        ("time_duration", Var::TimeTotal),
        ("request", Var::Request),
        ("date", Var::Accepted),
        ("retries", Var::Retries),
    ];
    let var = by_word(key).filter(|var| *var != Var::Other);
    let called = || {
        CALLED
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, var)| *var)
    };
    var.or_else(called)
}
