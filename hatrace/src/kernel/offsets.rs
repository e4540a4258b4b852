//! Which kernel fields the kernel half reads, and the globals that hold their offsets.

use super::btf::Types;

/// Global, structure, member path.
const FIELDS: [(&str, &str, &str); 27] = [
    ("OFF_SK_FAMILY", "sock", "__sk_common.skc_family"),
    ("OFF_SK_STATE", "sock", "__sk_common.skc_state"),
    ("OFF_SK_DPORT", "sock", "__sk_common.skc_dport"),
    ("OFF_SK_NUM", "sock", "__sk_common.skc_num"),
    ("OFF_SK_DADDR", "sock", "__sk_common.skc_daddr"),
    ("OFF_SK_SADDR", "sock", "__sk_common.skc_rcv_saddr"),
    ("OFF_SK_V6_DADDR", "sock", "__sk_common.skc_v6_daddr"),
    ("OFF_SK_V6_SADDR", "sock", "__sk_common.skc_v6_rcv_saddr"),
    ("OFF_SK_NET", "sock", "__sk_common.skc_net.net"),
    ("OFF_SK_COOKIE", "sock", "__sk_common.skc_cookie"),
    ("OFF_SK_FLAGS", "sock", "__sk_common.skc_flags"),
    ("OFF_SK_ERR", "sock", "sk_err"),
    ("OFF_SK_PROTOCOL", "sock", "sk_protocol"),
    ("OFF_SK_SOCKET", "sock", "sk_socket"),
    ("OFF_INET_SPORT", "inet_sock", "inet_sport"),
    ("OFF_NET_INUM", "net", "ns.inum"),
    ("OFF_TCP_RCV_NXT", "tcp_sock", "rcv_nxt"),
    ("OFF_TCP_COPIED_SEQ", "tcp_sock", "copied_seq"),
    ("OFF_TCP_WRITE_SEQ", "tcp_sock", "write_seq"),
    ("OFF_TCP_SND_UNA", "tcp_sock", "snd_una"),
    ("OFF_TW_SUBSTATE", "inet_timewait_sock", "tw_substate"),
    ("OFF_SOCKET_SK", "socket", "sk"),
    ("OFF_FILE_INODE", "file", "f_inode"),
    ("OFF_INODE_INO", "inode", "i_ino"),
    ("OFF_TASK_PID", "task_struct", "pid"),
    ("OFF_TASK_TGID", "task_struct", "tgid"),
    ("OFF_TASK_COMM", "task_struct", "comm"),
];

/// The offset of each field, by the name of its global.
///
/// # Errors
/// The first field this kernel doesn't have, as `struct.member`.
pub fn resolve(types: &Types<'_>) -> Result<Vec<(&'static str, u32)>, String> {
    FIELDS
        .iter()
        .map(|&(global, structure, path)| {
            let found = types.offset(structure, path);
            // inet_sock's protocol was a bit-field before 5.6; every kernel the tracer runs on has all of these.
            found
                .map(|offset| (global, offset))
                .ok_or_else(|| format!("{structure}.{path}"))
        })
        .collect()
}
