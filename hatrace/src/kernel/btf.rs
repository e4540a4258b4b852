//! Offsets of structure members from the kernel's own type information (`/sys/kernel/btf/vmlinux`).
//!
//! aya doesn't tell them, Rust can't emit CO-RE relocations, and the one crate that could is LGPL: so, a reader of just what is
//! needed. Pure: bytes in, offsets out; truncated or hostile bytes give `None`, never a panic.

use std::collections::HashMap;

const MAGIC: u16 = 0xeb9f;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_TYPEDEF: u32 = 8;
/// Qualifiers between a member and its structure: volatile, const, restrict, type tags.
const QUALIFIERS: [u32; 4] = [9, 10, 11, 18];

/// The kernel's types, indexed.
pub struct Types<'a> {
    bytes: &'a [u8],
    strings: &'a [u8],
    /// Offset of each type's record; index 0 is `void`.
    records: Vec<usize>,
    structs: HashMap<&'a str, u32>,
}

#[derive(Clone, Copy)]
struct Record {
    at: usize,
    name: u32,
    kind: u32,
    members: usize,
    bitfields: bool,
    /// Size, or the type it refers to.
    size_or_type: u32,
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(
        bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

fn record(types: &[u8], at: usize) -> Option<Record> {
    let info = word(types, at + 4)?;
    Some(Record {
        at,
        name: word(types, at)?,
        kind: info >> 24 & 0x1f,
        members: (info & 0xffff) as usize,
        bitfields: info >> 31 != 0,
        size_or_type: word(types, at + 8)?,
    })
}

/// Bytes that follow the twelve of a type's record (`include/uapi/linux/btf.h`).
fn tail(record: &Record) -> Option<usize> {
    Some(match record.kind {
        1 | 14 | 17 => 4,
        3 => 12,
        KIND_STRUCT | KIND_UNION | 15 | 19 => record.members * 12,
        6 | 13 => record.members * 8,
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    })
}

impl<'a> Types<'a> {
    /// Reads the index. `None`: this is no BTF, or of a shape that is not known.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        if u16::from_le_bytes(bytes.get(..2)?.try_into().ok()?) != MAGIC {
            return None;
        }
        let header = word(bytes, 4)? as usize;
        let part = |at: usize| -> Option<&'a [u8]> {
            let start = header.checked_add(word(bytes, at)? as usize)?;
            bytes.get(start..start.checked_add(word(bytes, at + 4)? as usize)?)
        };
        let (types, strings) = (part(8)?, part(16)?);
        let mut this = Self {
            bytes: types,
            strings,
            records: vec![usize::MAX],
            structs: HashMap::new(),
        };
        let mut at = 0;
        while at < types.len() {
            let found = record(types, at)?;
            if matches!(found.kind, KIND_STRUCT | KIND_UNION)
                && let Some(name) = this.string(found.name).filter(|name| !name.is_empty())
            {
                this.structs
                    .entry(name)
                    .or_insert(u32::try_from(this.records.len()).ok()?);
            }
            this.records.push(at);
            at = at.checked_add(12)?.checked_add(tail(&found)?)?;
        }
        Some(this)
    }

    fn string(&self, at: u32) -> Option<&'a str> {
        let from = self.strings.get(at as usize..)?;
        let end = from.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(&from[..end]).ok()
    }

    fn record(&self, id: u32) -> Option<Record> {
        record(
            self.bytes,
            *self.records.get(id as usize).filter(|at| **at != usize::MAX)?,
        )
    }

    /// The structure behind typedefs and qualifiers.
    fn structure(&self, mut id: u32) -> Option<Record> {
        for _ in 0..16 {
            let found = self.record(id)?;
            match found.kind {
                KIND_STRUCT | KIND_UNION => return Some(found),
                kind if kind == KIND_TYPEDEF || QUALIFIERS.contains(&kind) => id = found.size_or_type,
                _ => return None,
            }
        }
        None
    }

    /// The byte offset of a member, by path: `offset("sock", "__sk_common.skc_state")`. Members of anonymous structures and
    /// unions are found as C finds them.
    #[must_use]
    pub fn offset(&self, structure: &str, path: &str) -> Option<u32> {
        let mut id = *self.structs.get(structure)?;
        let mut bits = 0;
        for name in path.split('.') {
            let (at, of) = self.member(self.structure(id)?, name, 0)?;
            bits += at;
            id = of;
        }
        (bits % 8 == 0).then_some(bits / 8)
    }

    /// A member's offset in bits, and its type.
    fn member(&self, of: Record, wanted: &str, depth: u32) -> Option<(u32, u32)> {
        for index in 0..of.members {
            let at = of.at + 12 + index * 12;
            let (name, kind, offset) = (
                word(self.bytes, at)?,
                word(self.bytes, at + 4)?,
                word(self.bytes, at + 8)?,
            );
            let offset = if of.bitfields {
                offset & 0x00ff_ffff
            } else {
                offset
            };
            let name = self.string(name)?;
            if name == wanted {
                return Some((offset, kind));
            }
            if name.is_empty()
                && depth < 8
                && let Some(inner) = self.structure(kind)
                && let Some((more, found)) = self.member(inner, wanted, depth + 1)
            {
                return Some((offset + more, found));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Types;

    #[test]
    fn offsets_of_this_kernel_agree_with_what_never_moved() {
        let Ok(bytes) = std::fs::read("/sys/kernel/btf/vmlinux") else {
            return;
        };
        let types = Types::parse(&bytes).expect("the kernel's BTF parses");
        // Unchanged from 5.10 to 7.2.
        assert_eq!(types.offset("sock", "__sk_common.skc_state"), Some(18));
        assert_eq!(types.offset("sock_common", "skc_daddr"), Some(0));
        assert_eq!(types.offset("inet_timewait_sock", "tw_substate"), Some(140));
        assert_eq!(types.offset("sock", "no_such_member"), None);
        assert_eq!(types.offset("no_such_struct", "x"), None);
    }

    #[test]
    fn broken_bytes_are_no_types() {
        assert!(Types::parse(&[]).is_none());
        assert!(Types::parse(&[0x9f, 0xeb]).is_none());
        let mut bytes = vec![0u8; 64];
        bytes[..2].copy_from_slice(&0xeb9fu16.to_le_bytes());
        bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(Types::parse(&bytes).is_none());
    }
}
