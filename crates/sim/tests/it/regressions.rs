//! Scripts of bugs that seeds have found, as small as they could be made.

use nokv_sim::model::{Expected, Item, Put};
use nokv_sim::{By, Mount, Op, Path, Place, Profile, Step, replay};

fn at(path: &Path) -> Place {
    Place {
        path: path.clone(),
        by: By::Path,
    }
}

fn begin(client: usize, op: Op) -> Step {
    Step::Begin {
        client,
        mount: Mount::Default,
        op,
        synced: true,
    }
}

fn make_dir(client: usize, path: Path, parents: bool) -> Step {
    let at = at(&path);
    begin(client, Op::MakeDir { at, parents })
}

fn passes(script: Vec<Step>) {
    let profile = Profile {
        clients: 3,
        steps: 0,
        branches: true,
        quotas: false,
        snapshots: true,
        mounts: false,
        cuts: false,
        tables: false,
        buffered: false,
    };
    if let (_, Some(found)) = replay(1, profile, script, None) {
        panic!("{found}");
    }
}

#[test]
fn the_size_of_a_directory_is_never_set() {
    let size = Op::SetAttributes {
        at: at(&vec!["t"]),
        follow: false,
        mode: None,
        mtime: None,
        size: Some(0),
    };
    passes(vec![make_dir(0, vec!["t"], false), begin(0, size)]);
}

#[test]
fn publishing_a_directory_again_sets_its_time_with_and_without_entries() {
    let again = |path: Path| {
        let item = Item {
            path,
            put: Put::Directory,
            mode: 0o700,
            expected: Expected::Any,
        };
        let items = vec![item];
        begin(
            0,
            Op::Publish {
                items,
                parents: false,
            },
        )
    };
    let made = [
        make_dir(0, vec!["t", "a"], true),
        again(vec!["t"]),
        Step::Compare,
    ];
    let more = [
        again(vec!["t", "a"]),
        Step::Compare,
        again(vec![]),
        Step::Compare,
    ];
    passes(made.into_iter().chain(more).collect());
}

/// `mkdir -p` of what is there answers a version at which it is there, also when others move it
/// between looking and remembering the request.
#[test]
fn make_dir_with_parents_rests_on_the_directory_that_it_found() {
    let moved = Op::Rename {
        from: at(&vec!["t", "a"]),
        to: at(&vec!["t", "c"]),
        mode: nokv_sim::model::Rename::Plain,
    };
    passes(vec![
        make_dir(0, vec!["t", "a"], true),
        Step::Go(0),
        make_dir(0, vec!["t", "a"], true),
        begin(1, moved),
        Step::Go(1),
        Step::Go(0),
    ]);
}

/// What the command made was moved since: taking it back would empty the directory.
#[test]
fn undo_of_a_directory_that_moved_since_is_a_conflict() {
    let moved = Op::Rename {
        from: at(&vec!["t", "b"]),
        to: at(&vec!["t", "a", "c"]),
        mode: nokv_sim::model::Rename::Plain,
    };
    passes(vec![
        make_dir(0, vec!["t", "a"], true),
        Step::Go(0),
        make_dir(0, vec!["t", "b", "b"], true),
        Step::Go(0),
        begin(0, moved),
        Step::Go(0),
        begin(0, Op::Undo { back: 1 }),
        Step::Go(0),
        Step::Compare,
    ]);
}

#[test]
fn undo_into_a_removed_tree_is_a_conflict_whether_it_is_taken_apart_or_not() {
    let mode = Op::SetAttributes {
        at: at(&vec!["t", "a", "c"]),
        follow: false,
        mode: Some(0o600),
        mtime: None,
        size: None,
    };
    let removed = Op::Remove {
        at: at(&vec!["t", "a"]),
        what: nokv_sim::model::Removal::Tree,
    };
    passes(vec![
        make_dir(0, vec!["t", "a", "c"], true),
        Step::Go(0),
        begin(0, mode),
        Step::Go(0),
        begin(0, removed),
        Step::Go(0),
        begin(0, Op::Undo { back: 1 }),
        Step::Go(0),
    ]);
}
