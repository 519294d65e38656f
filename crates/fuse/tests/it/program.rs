//! What programs do with a mount: whole trees, mappings, descriptors of all kinds.

use crate::store::{Store, Way};
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Command;

fn each_way(test: impl Fn(&mut Store, &std::path::Path)) {
    for way in [Way::InProcess, Way::Socket] {
        let Some(mut store) = Store::new() else {
            return;
        };
        let mount = store.mount(way);
        test(&mut store, &mount);
        store.check();
    }
}

#[test]
fn what_was_written_is_there_after_a_remount() {
    each_way(|store, mount| {
        fs::create_dir_all(mount.join("a/b/c")).expect("makes");
        let sizes = [0usize, 1, 4096, 4097, 70_000, 5_000_000];
        for size in sizes {
            let bytes: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            fs::write(mount.join(format!("a/b/{size}")), bytes).expect("writes");
        }
        let number = fs::metadata(mount.join("a/b")).expect("stats").ino();
        store.unmount();
        let again = store.mount(Way::InProcess);
        assert_eq!(
            fs::metadata(again.join("a/b")).expect("stats").ino(),
            number
        );
        for size in sizes {
            let bytes = fs::read(again.join(format!("a/b/{size}"))).expect("reads");
            assert!(
                bytes.len() == size
                    && bytes
                        .iter()
                        .enumerate()
                        .all(|(n, byte)| *byte == (n % 251) as u8)
            );
        }
    });
}

#[test]
fn a_large_directory_is_listed_once_each_while_it_changes() {
    each_way(|_store, mount| {
        let dir = mount.join("many");
        fs::create_dir(&dir).expect("makes");
        for index in 0..1500 {
            fs::write(dir.join(format!("stays-{index:05}")), []).expect("writes");
        }
        let mut seen = std::collections::BTreeMap::new();
        for (index, entry) in fs::read_dir(&dir).expect("lists").enumerate() {
            let entry = entry.expect("an entry");
            *seen.entry(entry.file_name()).or_insert(0) += 1;
            if index % 10 == 0 {
                fs::write(dir.join(format!("comes-{index:05}")), []).expect("writes");
                let gone = dir.join(format!("comes-{:05}", index / 2));
                // It may not be there yet.
                drop(fs::remove_file(gone));
            }
        }
        assert!(seen.values().all(|count| *count == 1));
        let stayed = seen
            .keys()
            .filter(|name| name.to_string_lossy().starts_with("stays"));
        assert_eq!(stayed.count(), 1500);
        fs::remove_dir_all(&dir).expect("removes");
    });
}

#[test]
fn control_files_answer_and_are_not_listed() {
    each_way(|store, mount| {
        fs::write(mount.join("kept"), "as it was").expect("writes");
        let snapshot = nokv_client::NewSnapshot {
            name: nokv_types::SnapshotName::parse("before").expect("a name"),
            at: None,
            lease_ms: None,
        };
        let root = nokv_types::NsPath::root();
        let made = store
            .runtime
            .block_on(store.client.create_snapshot(&root, &snapshot));
        made.expect("a snapshot");
        fs::write(mount.join("kept"), "changed").expect("writes");
        let listed = fs::read_dir(mount).expect("lists").count();
        assert_eq!(listed, 1);
        let past = mount.join(".nokv/snapshots/before/kept");
        assert_eq!(fs::read_to_string(&past).expect("reads"), "as it was");
        let refused = fs::write(&past, "x").expect_err("a snapshot can't change");
        assert_eq!(
            refused.raw_os_error(),
            Some(rustix::io::Errno::ROFS.raw_os_error())
        );
        let stats = fs::read_to_string(mount.join(".nokv/stats")).expect("reads");
        assert!(stats.contains("\"create\":{\"count\":1"), "{stats}");
        let status = fs::read_to_string(mount.join(".nokv/status")).expect("reads");
        assert!(status.contains("store_id"), "{status}");
    });
}

#[test]
fn tar_and_copy_keep_trees_as_they_are() {
    each_way(|_store, mount| {
        let source = tempfile::tempdir().expect("a directory");
        let script = "set -e; cd \"$1\"; mkdir -p t/x/y; echo hello > t/a; ln t/a t/x/hard; \
            ln -s ../a t/x/soft; head -c 300000 /dev/urandom > t/x/y/random; chmod 4750 t/a; \
            mkfifo t/pipe; touch -d '2001-02-03 04:05:06.789' t/x/y/random; \
            tar --format=posix -cf t.tar t; mkdir \"$2/out\"; tar xpf t.tar -C \"$2/out\"; diff -r --no-dereference \
            -x pipe t \"$2/out/t\"; cp -a t \"$2/copy\"; diff -r --no-dereference -x pipe t \"$2/copy\"";
        let done = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(source.path())
            .arg(mount)
            .output()
            .expect("runs");
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        for copy in ["out/t", "copy"] {
            let shown = |path: &std::path::Path| {
                let node = fs::symlink_metadata(path).expect("stats");
                (
                    node.mode(),
                    node.nlink(),
                    node.size(),
                    node.mtime(),
                    node.mtime_nsec(),
                )
            };
            for name in ["a", "x/hard", "x/soft", "x/y/random", "pipe"] {
                let (from, to) = (
                    source.path().join("t").join(name),
                    mount.join(copy).join(name),
                );
                assert_eq!(shown(&from), shown(&to), "{name}");
            }
        }
    });
}

#[test]
fn sparse_files_keep_their_holes() {
    each_way(|_store, mount| {
        let path = mount.join("sparse");
        let file = fs::File::create_new(&path).expect("makes");
        file.write_all_at(b"end", 40 << 20).expect("writes");
        drop(file);
        let file = fs::File::open(&path).expect("opens");
        assert_eq!(file.metadata().expect("stats").len(), (40 << 20) + 3);
        let data = rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(0)).expect("there is data");
        assert!(data > 39 << 20, "data begins at {data}");
        let mut bytes = [1; 8];
        file.read_exact_at(&mut bytes, 1 << 20).expect("reads");
        assert_eq!(bytes, [0; 8]);
    });
}
