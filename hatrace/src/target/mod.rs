//! Which processes are HAProxy, and which of them are meant.
