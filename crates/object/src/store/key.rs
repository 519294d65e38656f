//! Where a block is: `blocks/{hh}/{session:016x}/{sequence:08x}`.
//!
//! The page docs/format/objects.md gives the reasons. Invariants: a key and its block id determine
//! each other; the objects of a session, and nothing else, share its prefix; a name that is not
//! exactly a key is no block.

use nokv_types::{BlockId, SessionId};

/// The folder of all blocks.
pub(crate) const BLOCKS: &str = "blocks";
/// What the name of a file that is being written ends with (local folder only).
pub(crate) const PARTIAL: &str = ".partial";

/// 2^64 divided by the golden ratio: multiplying by it spreads consecutive numbers evenly over the
/// top bits (Knuth, volume 3, section 6.4).
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// The prefix of a session's objects, without a slash at the end.
pub(crate) fn session_prefix(session: SessionId) -> String {
    let spread = session.get().wrapping_mul(SPREAD) >> 56;
    format!("{BLOCKS}/{spread:02x}/{:016x}", session.get())
}

/// The last part of a block's key.
pub(crate) fn block_name(block: BlockId) -> String {
    format!("{:08x}", block.sequence)
}

/// The key of a block.
pub(crate) fn block_key(block: BlockId) -> String {
    format!("{}/{}", session_prefix(block.session), block_name(block))
}

/// The session that a directory name stands for; `None` for any other name.
pub(crate) fn parse_session(name: &str) -> Option<SessionId> {
    let number = parse_hex(name, 16)?;
    Some(SessionId::new(number))
}

/// The sequence number that an object's name stands for; `None` for any other name.
pub(crate) fn parse_sequence(name: &str) -> Option<u32> {
    u32::try_from(parse_hex(name, 8)?).ok()
}

fn parse_hex(text: &str, digits: usize) -> Option<u64> {
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == digits && text.bytes().all(lower))
        .then(|| u64::from_str_radix(text, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_key_and_its_block_determine_each_other() {
        let block = BlockId {
            session: SessionId::new(0x1234),
            sequence: 0xabcd,
        };
        let key = block_key(block);
        assert_eq!(key, "blocks/09/0000000000001234/0000abcd");
        let parts: Vec<_> = key.split('/').collect();
        assert_eq!(parse_session(parts[2]), Some(block.session));
        assert_eq!(parse_sequence(parts[3]), Some(block.sequence));
    }

    #[test]
    fn other_names_are_no_keys() {
        for name in [
            "",
            "0000000",
            "000000000",
            "0000000G",
            "0000000A",
            "+0000001",
            "00000000.partial",
        ] {
            assert_eq!(parse_sequence(name), None, "{name}");
        }
        assert_eq!(parse_session("0000000000001234x"), None);
    }

    #[test]
    fn consecutive_sessions_spread_over_all_prefixes() {
        let prefix = |number| session_prefix(SessionId::new(number))[..9].to_owned();
        let prefixes: HashSet<_> = (0..1024).map(prefix).collect();
        assert_eq!(prefixes.len(), 256);
    }
}
