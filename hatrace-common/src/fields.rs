//! The kernel's fields that the kernel half reads. Their offsets differ between kernels, so its instructions carry a number of this list
//! in place of an offset, and the agent writes the offset of the running kernel there before it loads them: what CO-RE does for C,
//! which Rust's compiler has no words for. The verifier then sees plain loads at constant offsets and holds them against the type.

/// A load's offset is 16 bits, signed. From here on it is a number of the list: no structure that is read is that long.
pub const LOAD: i32 = 0x6000;

/// An immediate of this and a number of the list stands for the field's offset, to be added to a pointer.
pub const ADD: i32 = 0x5a5a_0000;

macro_rules! fields {
    ($($name:ident = $structure:literal, $path:literal;)+) => {
        /// Numbers of the list.
        #[expect(missing_docs, reason = "named after the structure and the member that `ALL` has")]
        pub mod number {
            #[expect(non_camel_case_types, reason = "only for counting")]
            enum Order { $($name),+ }
            $(pub const $name: i32 = Order::$name as i32;)+
        }

        /// Structure and member path of each, in the order of their numbers.
        pub const ALL: &[(&str, &str)] = &[$(($structure, $path)),+];
    };
}

fields! {
    SK_FAMILY = "sock", "__sk_common.skc_family";
    SK_STATE = "sock", "__sk_common.skc_state";
    SK_DPORT = "sock", "__sk_common.skc_dport";
    SK_NUM = "sock", "__sk_common.skc_num";
    SK_DADDR = "sock", "__sk_common.skc_daddr";
    SK_SADDR = "sock", "__sk_common.skc_rcv_saddr";
    SK_V6_DADDR = "sock", "__sk_common.skc_v6_daddr";
    SK_V6_SADDR = "sock", "__sk_common.skc_v6_rcv_saddr";
    SK_NET = "sock", "__sk_common.skc_net.net";
    SK_COOKIE = "sock", "__sk_common.skc_cookie";
    SK_FLAGS = "sock", "__sk_common.skc_flags";
    SK_ERR = "sock", "sk_err";
    SK_PROTOCOL = "sock", "sk_protocol";
    SK_SOCKET = "sock", "sk_socket";
    INET_SPORT = "inet_sock", "inet_sport";
    NET_INUM = "net", "ns.inum";
    TCP_MSTAMP = "tcp_sock", "tcp_mstamp";
    TCP_RCV_NXT = "tcp_sock", "rcv_nxt";
    TCP_COPIED_SEQ = "tcp_sock", "copied_seq";
    TCP_WRITE_SEQ = "tcp_sock", "write_seq";
    TCP_SND_UNA = "tcp_sock", "snd_una";
    TW_SUBSTATE = "inet_timewait_sock", "tw_substate";
    SOCKET_SK = "socket", "sk";
    FILE_INODE = "file", "f_inode";
    INODE_INO = "inode", "i_ino";
    TASK_PID = "task_struct", "pid";
    TASK_TGID = "task_struct", "tgid";
    TASK_COMM = "task_struct", "comm";
}
