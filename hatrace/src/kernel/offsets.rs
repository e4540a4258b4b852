//! The offsets of the running kernel, written into the kernel half's instructions (`hatrace_common::fields` says why).

use hatrace_common::fields::{ADD, ALL, LOAD};
use object::{Object, ObjectSection, SectionKind};

use super::btf::Types;

/// Length of an instruction (`struct bpf_insn`: code, registers, a 16-bit offset, a 32-bit immediate).
const INSTRUCTION: usize = 8;
/// `BPF_LDX`, the low three bits of a load's code.
const LOAD_CLASS: u8 = 0x01;
/// `BPF_ALU64 | BPF_ADD | BPF_K`.
const ADD_IMMEDIATE: u8 = 0x07;

/// The offset of each field, in the list's order.
///
/// # Errors
/// The first field this kernel doesn't have, as `struct.member`.
pub fn resolve(types: &Types<'_>) -> Result<Vec<u32>, String> {
    ALL.iter()
        .map(|(structure, path)| {
            types
                .offset(structure, path)
                .ok_or_else(|| format!("{structure}.{path}"))
        })
        .collect()
}

/// The object with these offsets in its programs.
///
/// # Errors
/// It is no object file, or an offset doesn't fit.
pub fn write_into(object: &[u8], offsets: &[u32]) -> Result<Vec<u8>, String> {
    let file = object::File::parse(object).map_err(|error| error.to_string())?;
    let programs: Vec<_> = file
        .sections()
        .filter(|section| section.kind() == SectionKind::Text)
        .filter_map(|section| section.file_range())
        .collect();
    let mut written = object.to_vec();
    for (start, length) in programs {
        let (start, length) = (start as usize, length as usize);
        let code = written
            .get_mut(start..start + length)
            .ok_or("a program lies beyond the object")?;
        for instruction in code.chunks_exact_mut(INSTRUCTION) {
            relocate(instruction, offsets)?;
        }
    }
    Ok(written)
}

/// One instruction: if it carries a field's number, the offset takes its place.
fn relocate(instruction: &mut [u8], offsets: &[u32]) -> Result<(), String> {
    let code = instruction[0];
    let offset = i32::from(i16::from_le_bytes([instruction[2], instruction[3]]));
    let immediate = i32::from_le_bytes([instruction[4], instruction[5], instruction[6], instruction[7]]);
    let numbered = |from: i32, value: i32| {
        let number = usize::try_from(value.checked_sub(from)?).ok()?;
        offsets.get(number).copied()
    };
    if code & 0x07 == LOAD_CLASS {
        if let Some(found) = numbered(LOAD, offset) {
            let found = i16::try_from(found).map_err(|_| format!("an offset of {found}"))?;
            instruction[2..4].copy_from_slice(&found.to_le_bytes());
        }
    } else if code == ADD_IMMEDIATE
        && let Some(found) = numbered(ADD, immediate)
    {
        instruction[4..8].copy_from_slice(&found.to_le_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instruction(code: u8, offset: i16, immediate: i32) -> Vec<u8> {
        let mut bytes = vec![code, 0x21];
        bytes.extend(offset.to_le_bytes());
        bytes.extend(immediate.to_le_bytes());
        bytes
    }

    #[test]
    fn only_numbers_of_the_list_are_replaced() {
        let offsets = [18, 300];
        let numbered = i16::try_from(LOAD + 1).expect("a short offset");
        let cases = [
            // A field's load, whatever its width; the same number in a store; a load from the stack.
            (instruction(0x61, numbered, 0), instruction(0x61, 300, 0)),
            (instruction(0x63, numbered, 0), instruction(0x63, numbered, 0)),
            (instruction(0x79, -8, 0), instruction(0x79, -8, 0)),
            // A field's address, and another sum.
            (instruction(0x07, 0, ADD), instruction(0x07, 0, 18)),
            (instruction(0x07, 0, ADD + 2), instruction(0x07, 0, ADD + 2)),
            (instruction(0x07, 0, 1), instruction(0x07, 0, 1)),
        ];
        for (mut before, after) in cases {
            relocate(&mut before, &offsets).expect("small offsets");
            assert_eq!(before, after);
        }
        let far = [40_000, 40_000];
        assert!(relocate(&mut instruction(0x61, numbered, 0), &far).is_err());
    }
}
