//! Local trees: made from a seed, with everything that is nasty about real ones, and compared bit
//! for bit.

use crate::random::Random;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Sizes around every boundary of the body format: nothing, inline, packed, one block, several
/// blocks.
const SIZES: &[usize] = &[
    0,
    1,
    10,
    4095,
    4096,
    4097,
    10_000,
    70_000,
    300_000,
    (4 << 20) - 1,
    (4 << 20) + 1,
];

/// Names that break naive code.
fn nasty_names() -> Vec<OsString> {
    let mut names: Vec<OsString> = [
        "plain.txt",
        "with space",
        " leading and trailing ",
        "-rf",
        "--help",
        "tab\tname",
        "line\nbreak",
        "ctrl\u{1b}[31m",
        "quote'\"`$(x)",
        "back\\slash",
        "*?[glob]",
        "#hash;semi&amp",
        ".hidden",
        "...",
        "grüße-日本語-🙂",
        "e\u{301} combining",
        "a:b|c<d>e",
        "~",
        "{brace,list}",
    ]
    .into_iter()
    .map(OsString::from)
    .collect();
    names.push(OsString::from_vec(vec![b'n'; 255]));
    names.push(OsString::from_vec("ü".repeat(127).into_bytes()));
    names.push(OsString::from_vec(b"latin1-\xe4\xf6\xfc".to_vec()));
    names.push(OsString::from_vec(vec![0xff, 0xfe, 0x01]));
    names
}

/// Makes a tree below `root` (which must not exist): nasty names as files, directories and links,
/// all sizes, modes and times.
pub(crate) fn make_nasty(root: &Path, seed: u64) {
    let mut random = Random::new(seed);
    fs::create_dir(root).expect("the root is new");
    let names = nasty_names();
    for (index, name) in names.iter().enumerate() {
        let file = root.join(name);
        let bytes = random.bytes(SIZES[index % SIZES.len()]);
        write_file(
            &file,
            &bytes,
            random.pick(&[0o644, 0o600, 0o755, 0o444, 0o4755]),
            &mut random,
        );
    }
    let below = root.join("directories");
    fs::create_dir(&below).expect("new");
    for name in &names {
        let folder = below.join(name);
        fs::create_dir(&folder).expect("new");
        for count in 0..random.below(4) {
            let size = random.below(9000);
            let bytes = random.bytes(usize::try_from(size).expect("small"));
            write_file(
                &folder.join(format!("file {count}")),
                &bytes,
                0o640,
                &mut random,
            );
        }
    }
    fs::create_dir_all(root.join("empty/inside/empty")).expect("new");
    make_deep(root);
    make_links(root);
    set_directory_times(root, &mut random);
}

/// A chain of directories as deep as a put into `/x` allows within the limit on paths.
fn make_deep(root: &Path) {
    let deep: PathBuf = std::iter::repeat_n("deeper-and-deeper", 60).collect();
    fs::create_dir_all(root.join(&deep)).expect("new");
    fs::write(root.join(&deep).join("bottom"), b"reached").expect("new");
}

fn make_links(root: &Path) {
    let link = |target: &[u8], name: &str| {
        symlink(OsStr::from_bytes(target), root.join(name)).expect("new");
    };
    link(b"plain.txt", "link to a file");
    link(b"directories", "link to a directory");
    link(b"nowhere/at all", "dangling");
    link(b"loop", "loop");
    link(b"/etc/../etc/passwd", "absolute");
    link(b"latin1-\xe4\xf6\xfc", "to a name that is no UTF-8");
    link(&[b't'; 4000], "long target");
}

/// Gives every directory a time of its own; afterwards nothing may be made inside.
fn set_directory_times(root: &Path, random: &mut Random) {
    for path in walk(root).into_keys().collect::<Vec<_>>().into_iter().rev() {
        let path = root.join(path);
        if path.symlink_metadata().expect("there").is_dir() {
            set_time(&path, random);
        }
    }
}

fn write_file(path: &Path, bytes: &[u8], mode: u32, random: &mut Random) {
    fs::write(path, bytes).expect("new");
    set_time(path, random);
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
}

fn set_time(path: &Path, random: &mut Random) {
    let since = std::time::Duration::from_nanos(random.below(1_700_000_000_000_000_000));
    let file = fs::File::open(path).expect("there");
    file.set_modified(std::time::UNIX_EPOCH + since)
        .expect("ours");
}

/// What is compared of one name in a tree.
#[derive(PartialEq, Eq, Clone, Debug)]
pub(crate) enum Node {
    /// A directory: mode and mtime.
    Directory(u32, i128),
    /// A file: mode, mtime and bytes.
    File(u32, i128, Vec<u8>),
    /// A symbolic link and its target.
    Symlink(PathBuf),
}

/// Everything below `root`, itself included as the empty path.
pub(crate) fn walk(root: &Path) -> BTreeMap<PathBuf, Node> {
    let mut nodes = BTreeMap::new();
    let mut open = vec![PathBuf::new()];
    while let Some(path) = open.pop() {
        let full = if path.as_os_str().is_empty() {
            root.to_owned()
        } else {
            root.join(&path)
        };
        let metadata = full.symlink_metadata().expect("there");
        let mode = metadata.permissions().mode() & 0o7777;
        let mtime =
            i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        let node = if metadata.is_dir() {
            for entry in fs::read_dir(&full).expect("a directory") {
                open.push(path.join(entry.expect("an entry").file_name()));
            }
            Node::Directory(mode, mtime)
        } else if metadata.is_symlink() {
            Node::Symlink(fs::read_link(&full).expect("a link"))
        } else {
            Node::File(mode, mtime, fs::read(&full).expect("a file"))
        };
        nodes.insert(path, node);
    }
    nodes
}

/// Panics with the first difference between two trees; bytes are not printed.
pub(crate) fn assert_same(left: &Path, right: &Path) {
    let (left, right) = (walk(left), walk(right));
    for (path, node) in &left {
        let other = right.get(path);
        assert!(
            other == Some(node),
            "{path:?}: {} became {}",
            brief(Some(node)),
            brief(other)
        );
    }
    let extra: Vec<_> = right
        .keys()
        .filter(|path| !left.contains_key(*path))
        .collect();
    assert!(extra.is_empty(), "made up: {extra:?}");
}

fn brief(node: Option<&Node>) -> String {
    match node {
        None => "nothing".to_owned(),
        Some(Node::File(mode, mtime, bytes)) => {
            format!("file {mode:o} of {} bytes at {mtime}", bytes.len())
        }
        Some(other) => format!("{other:?}"),
    }
}

/// Panics unless `diff -r` finds two trees equal: a second opinion from somebody else's code.
pub(crate) fn assert_diff_is_empty(left: &Path, right: &Path) {
    let output = std::process::Command::new("diff")
        .args(["-r", "--no-dereference"])
        .args([left, right])
        .output()
        .expect("diff is installed");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && told.is_empty(), "{told}");
}
