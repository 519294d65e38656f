//! Names and paths: raw bytes with POSIX rules and stated limits.
//!
//! A path is absolute or refused; repeated slashes and `.` fold away; `..` is an error, never
//! resolved by text, because a symlink or a concurrent rename would make the answer wrong (and let
//! a token escape its subtree).

use crate::{Failure, Reason};
use bytes::Bytes;
use std::fmt;

/// Longest name, bytes (`NAME_MAX` of POSIX).
pub const NAME_BYTES_MAX: usize = 255;
/// Longest path, bytes (`PATH_MAX` of Linux).
pub const PATH_BYTES_MAX: usize = 4096;
/// Most components of a path: follows from the limits above, since each takes at least two bytes.
pub const PATH_COMPONENTS_MAX: usize = PATH_BYTES_MAX / 2;
/// Longest target of a symbolic link, bytes.
pub const SYMLINK_BYTES_MAX: usize = 4095;

/// One component of a path.
///
/// **Shape**: 1..=255 bytes of any encoding, without `/` and NUL, and neither `.` nor `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Bytes);

impl Name {
    /// Parses a name. **Errors**: [`Reason::InvalidName`], [`Reason::NameTooLong`].
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, Failure> {
        let bytes = bytes.into();
        if bytes.len() > NAME_BYTES_MAX {
            return Err(Failure::new(
                Reason::NameTooLong,
                format!(
                    "name of {} bytes is longer than {NAME_BYTES_MAX}: {}; choose a shorter one",
                    bytes.len(),
                    display(&bytes)
                ),
            ));
        }
        let flaw = match &bytes[..] {
            b"" => "is empty",
            b"." | b".." => "is reserved",
            name if name.contains(&b'/') => "contains '/'",
            name if name.contains(&0) => "contains a NUL byte",
            _ => return Ok(Self(bytes)),
        };
        Err(Failure::new(
            Reason::InvalidName,
            format!("name {:?} {flaw}", display(&bytes)),
        ))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, shared.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&display(&self.0))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", display(&self.0))
    }
}

/// An absolute path in a namespace.
///
/// **Shape**: at most 4,096 bytes as text; zero components is the root. **Guarantees**: every
/// component is a valid [`Name`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NsPath(Vec<Name>);

impl NsPath {
    /// The root directory.
    #[must_use]
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Parses an absolute path; repeated slashes, `.` and a trailing slash fold away.
    ///
    /// **Errors**: [`Reason::InvalidPath`] (relative, `..`, NUL), [`Reason::PathTooLong`],
    /// [`Reason::NameTooLong`].
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, Failure> {
        let text = text.as_ref();
        let invalid = |flaw: &str| {
            Err(Failure::new(
                Reason::InvalidPath,
                format!("path {:?} {flaw}", display(text)),
            ))
        };
        if text.len() > PATH_BYTES_MAX {
            return Err(Failure::new(
                Reason::PathTooLong,
                format!(
                    "path of {} bytes is longer than {PATH_BYTES_MAX}",
                    text.len()
                ),
            ));
        }
        if text.first() != Some(&b'/') {
            return invalid("is not absolute; start it with '/'");
        }
        if text.contains(&0) {
            return invalid("contains a NUL byte");
        }
        let mut names = Vec::new();
        for part in text.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return invalid("contains '..'; write the path out"),
                name => names.push(Name::new(Bytes::copy_from_slice(name))?),
            }
        }
        Ok(Self(names))
    }

    /// The components from the root down.
    #[must_use]
    pub fn names(&self) -> &[Name] {
        &self.0
    }

    /// Whether this is `/`.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The last component; `None` for the root.
    #[must_use]
    pub fn last(&self) -> Option<&Name> {
        self.0.last()
    }

    /// The parent directory and the last component; `None` for the root.
    #[must_use]
    pub fn split_last(&self) -> Option<(Self, &Name)> {
        let (last, parents) = self.0.split_last()?;
        Some((Self(parents.to_vec()), last))
    }

    /// This path with one more component. **Errors**: [`Reason::PathTooLong`].
    pub fn join(&self, name: &Name) -> Result<Self, Failure> {
        let bytes = self.text_len() + 1 + name.as_bytes().len();
        if bytes > PATH_BYTES_MAX {
            return Err(Failure::new(
                Reason::PathTooLong,
                format!("path of {bytes} bytes is longer than {PATH_BYTES_MAX}: {self}/{name}"),
            ));
        }
        let mut names = self.0.clone();
        names.push(name.clone());
        Ok(Self(names))
    }

    /// Whether `self` is `ancestor` or lies below it, by components (`/ab` is not below `/a`).
    #[must_use]
    pub fn starts_with(&self, ancestor: &Self) -> bool {
        self.0.starts_with(&ancestor.0)
    }

    /// The path as text, bytes as they are.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        if self.0.is_empty() {
            return b"/".to_vec();
        }
        let mut text = Vec::with_capacity(self.text_len());
        for name in &self.0 {
            text.push(b'/');
            text.extend_from_slice(name.as_bytes());
        }
        text
    }

    fn text_len(&self) -> usize {
        self.0.iter().map(|name| name.as_bytes().len() + 1).sum()
    }
}

impl fmt::Display for NsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&display(&self.to_bytes()))
    }
}

impl fmt::Debug for NsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", display(&self.to_bytes()))
    }
}

/// Bytes for a person: UTF-8 as it is, control characters and other bytes escaped, so that a name
/// can neither break a line of output nor steer a terminal.
fn display(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &[u8]) -> Reason {
        NsPath::parse(text).expect_err("refused").reason()
    }

    #[test]
    fn paths_fold_slashes_and_dots() {
        let path = NsPath::parse("//a/./b//c/").expect("valid");
        assert_eq!(path.to_string(), "/a/b/c");
        assert_eq!(path.to_bytes(), b"/a/b/c");
        assert_eq!(NsPath::parse("/").expect("root"), NsPath::root());
    }

    #[test]
    fn bad_paths_are_refused_with_their_reason() {
        assert_eq!(reason(b""), Reason::InvalidPath);
        assert_eq!(reason(b"a/b"), Reason::InvalidPath);
        assert_eq!(reason(b"/a/../b"), Reason::InvalidPath);
        assert_eq!(reason(b"/a\0b"), Reason::InvalidPath);
        assert_eq!(
            reason(&[b"/", &[b'x'; 256][..]].concat()),
            Reason::NameTooLong
        );
        assert_eq!(reason(&[b'/'; 4097]), Reason::PathTooLong);
    }

    #[test]
    fn the_longest_name_and_raw_bytes_are_legal() {
        assert!(NsPath::parse([b"/", &[0xff; 255][..]].concat()).is_ok());
        assert_eq!(
            NsPath::parse(b"/\xff\n").expect("valid").to_string(),
            "/\\xff\\n"
        );
    }

    #[test]
    fn a_sibling_with_the_same_prefix_is_not_below() {
        let parse = |text| NsPath::parse(text).expect("valid");
        assert!(parse("/a/b").starts_with(&parse("/a")));
        assert!(!parse("/ab").starts_with(&parse("/a")));
        assert!(parse("/a").starts_with(&NsPath::root()));
    }

    #[test]
    fn joining_keeps_the_limit() {
        let name = Name::new(vec![b'n'; 255]).expect("valid");
        let mut path = NsPath::root();
        for _ in 0..16 {
            path = path.join(&name).expect("4096 bytes");
        }
        assert_eq!(
            path.join(&name).expect_err("too long").reason(),
            Reason::PathTooLong
        );
    }
}
