//! Which program a file starts: itself, a loader, or an interpreter.
//!
//! Landlock says what execve(2) accepts, not what is mapped as code. A loader maps and starts whatever it can read, so
//! where one can be executed, nothing may be writable: this module finds out. What it can't tell it does not guess.

use crate::path::AbsolutePath;
use crate::resolve::Tree;

/// The program headers follow the ELF header in every file that a linker makes.
const HEAD_BYTES: usize = 64 * 1024;

/// `e_ident` of a 64-bit little-endian ELF file, version 1 (elf(5)).
const ELF: &[u8] = b"\x7fELF\x02\x01\x01";

const PT_INTERP: u32 = 3;

/// How a file starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Linking {
    /// By itself.
    Static,
    /// By the loader of this path.
    Dynamic(String),
    /// By the interpreter of this path.
    Script(String),
    /// It is no program that is understood, or it can't be read.
    Unknown,
}

/// Looks at the file there.
pub fn linking(tree: &dyn Tree, file: &AbsolutePath) -> Linking {
    of(&tree.head(file, HEAD_BYTES))
}

fn of(head: &[u8]) -> Linking {
    if let Some(line) = head.strip_prefix(b"#!").and_then(|rest| rest.split(|byte| *byte == b'\n').next()) {
        let text = String::from_utf8_lossy(line);
        return text.split_whitespace().next().map_or(Linking::Unknown, |path| Linking::Script(path.to_owned()));
    }
    if !head.starts_with(ELF) {
        return Linking::Unknown;
    }
    elf(head).unwrap_or(Linking::Unknown)
}

/// Nothing where a header or the loader's name is beyond the head.
fn elf(head: &[u8]) -> Option<Linking> {
    let (first, size, count) = (long(head, 32)?, short(head, 54)?, short(head, 56)?);
    for index in 0..count {
        let at = first.checked_add(size.checked_mul(index)?)?;
        if word(head, at)? == PT_INTERP {
            let (from, length) = (long(head, at.checked_add(8)?)?, long(head, at.checked_add(32)?)?);
            let name = head.get(from..from.checked_add(length)?)?.strip_suffix(b"\0")?;
            return String::from_utf8(name.to_vec()).ok().map(Linking::Dynamic);
        }
    }
    (count > 0).then_some(Linking::Static)
}

fn short(head: &[u8], at: usize) -> Option<usize> {
    Some(u16::from_le_bytes(*head.get(at..)?.first_chunk()?).into())
}

fn word(head: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*head.get(at..)?.first_chunk()?))
}

fn long(head: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(*head.get(at..)?.first_chunk()?)).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An ELF file with these program headers: type, and the text that it points at.
    pub(crate) fn elf_file(headers: &[(u32, &str)]) -> Vec<u8> {
        let mut file = ELF.to_vec();
        file.resize(64, 0);
        file[32] = 64;
        file[54] = 56;
        file[56] = u8::try_from(headers.len()).unwrap();
        let mut texts = Vec::new();
        for (kind, text) in headers {
            let mut header = kind.to_le_bytes().to_vec();
            header.resize(8, 0);
            header.extend((64 + 56 * headers.len() + texts.len()).to_le_bytes());
            header.resize(32, 0);
            header.extend((text.len() + 1).to_le_bytes());
            header.resize(56, 0);
            file.extend(header);
            texts.extend(text.bytes().chain([0]));
        }
        file.extend(texts);
        file
    }

    #[test]
    fn a_file_says_what_starts_it() {
        let loader = "/lib64/ld-linux-x86-64.so.2";
        for (file, expected) in [
            (elf_file(&[(1, ""), (2, "")]), Linking::Static),
            (elf_file(&[(6, ""), (PT_INTERP, loader), (1, "")]), Linking::Dynamic(loader.to_owned())),
            (b"#! /bin/sh -e\necho".to_vec(), Linking::Script("/bin/sh".to_owned())),
            (b"#!/bin/sh".to_vec(), Linking::Script("/bin/sh".to_owned())),
            (b"#!\n".to_vec(), Linking::Unknown),
            (b"echo".to_vec(), Linking::Unknown),
            (Vec::new(), Linking::Unknown),
            (elf_file(&[]), Linking::Unknown),
        ] {
            assert_eq!(of(&file), expected);
        }
    }

    #[test]
    fn what_is_cut_off_or_of_another_kind_is_unknown() {
        let file = elf_file(&[(1, ""), (PT_INTERP, "/lib/ld.so")]);
        for length in 0..file.len() {
            assert_eq!(of(&file[..length]), Linking::Unknown, "{length}");
        }
        let mut of_32_bits = file.clone();
        of_32_bits[4] = 1;
        assert_eq!(of(&of_32_bits), Linking::Unknown);
        let mut far = file;
        far[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(of(&far), Linking::Unknown);
    }

    #[test]
    fn this_machine_s_programs_are_understood() {
        let head = std::fs::read("/proc/self/exe").unwrap();
        assert!(matches!(of(&head[..HEAD_BYTES]), Linking::Dynamic(_) | Linking::Static));
    }
}
