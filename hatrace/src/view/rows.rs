//! The table of lingering sockets, as `stuck` and `report` list them.

use hatrace_core::snapshot::Lingering;
use hatrace_core::sock::Holder;

use super::columns::{Align, Cell, Table};
use super::paint::Ink;
use super::{clock, names, units};

/// The table of these sockets, in their order.
#[must_use]
pub fn table<'a>(rows: impl IntoIterator<Item = &'a Lingering>) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("AGE", Right),
        ("SIDE", Left),
        ("STATE", Left),
        ("HOLDER", Left),
        ("LOCAL", Left),
        ("PEER", Left),
        ("PID", Right),
        ("FD", Right),
        ("PROXY", Left),
        ("SERVER", Left),
        ("SESSION", Left),
        ("PAIR", Left),
        ("UNREAD", Right),
        ("UNACKED", Right),
        ("RETR", Right),
        ("FIRST-FIN", Left),
        ("CLOCK", Left),
    ]);
    for row in rows {
        // What the kernel will end by itself, or HAProxy will yet accept, is of less interest.
        let ink = match row.holder {
            Holder::Held => Ink::Warn,
            Holder::Orphaned | Holder::Timewait | Holder::Unaccepted => Ink::Plain,
        };
        table.push_on(
            row.host.as_deref(),
            vec![
                Cell::new(units::age_cell(row.age)),
                Cell::new(row.side),
                Cell::inked(ink, row.state),
                Cell::new(row.holder),
                Cell::known(row.endpoints.map(|ends| ends.local)),
                Cell::known(row.endpoints.map(|ends| ends.peer)),
                Cell::known(row.pid),
                Cell::known(row.fd.map(|fd| fd.0)),
                Cell::new(names::proxy(&row.naming)),
                Cell::new(names::server(&row.naming)),
                Cell::new(names::session(&row.naming)),
                Cell::new(names::pair(&row.naming)),
                Cell::known(row.unread),
                Cell::known(row.unacked),
                Cell::new(row.retransmits),
                Cell::new(row.first_fin.name()),
                Cell::new(clock::cell(&row.clock)),
            ],
        );
    }
    table
}
