//! What this host allows, what it costs to lack, and the remedy.
