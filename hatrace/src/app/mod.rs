//! The only loop: pulls from a source, pushes into the engine, hands snapshots to views.
