//! SOCK_DIAG netlink dumps, tolerant of what newer kernels append.
