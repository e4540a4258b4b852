//! A real HAProxy with a leaky peer, traced.
