//! `show stat`: by the names of its heading, for columns come and go with versions and modules.

use hatrace_core::stream::{Service, ServiceKind};

use super::words::Names;

/// The frontends, backends and servers. A listener's own row (`option socket-stats`) is none of them.
#[must_use]
pub fn services(text: &str, names: &mut Names) -> Vec<Service> {
    let text = text.trim_start_matches(['\n', '\r', ' ', '#']);
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(text.as_bytes());
    let Ok(headings) = reader.headers().cloned() else {
        return Vec::new();
    };
    let place = |name: &str| headings.iter().position(|heading| heading == name);
    let columns = [
        "pxname", "svname", "status", "scur", "smax", "slim", "qcur", "stot", "type",
    ]
    .map(place);
    let mut found = Vec::new();
    for record in reader.records().filter_map(Result::ok) {
        let cell = |index: usize| {
            let at = columns.get(index).copied().flatten()?;
            record.get(at).filter(|text| !text.is_empty())
        };
        let number = |index: usize| cell(index).and_then(|text| text.parse().ok());
        let (Some(proxy), Some(service)) = (cell(0), cell(1)) else {
            continue;
        };
        // `type`: 0 frontend, 1 backend, 2 server, 3 listener.
        let kind = match (cell(8), service) {
            (Some("3"), _) => continue,
            (_, "FRONTEND") => ServiceKind::Frontend,
            (_, "BACKEND") => ServiceKind::Backend,
            _ => ServiceKind::Server,
        };
        let Some(proxy) = names.name(proxy) else { continue };
        found.push(Service {
            server: (kind == ServiceKind::Server)
                .then(|| names.name(service))
                .flatten(),
            kind,
            proxy,
            status: cell(2).unwrap_or_default().to_owned(),
            current: number(3),
            most: number(4),
            limit: number(5),
            queued: number(6),
            total: number(7),
        });
    }
    found
}
