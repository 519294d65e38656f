//! Every command explains itself.

use crate::program::Store;

fn commands(store: &Store) -> Vec<String> {
    let help = String::from_utf8(store.ok(["--help"])).expect("UTF-8");
    let list = help.split_once("Commands:\n").expect("a list").1;
    list.lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_has_examples_of_itself() {
    let store = Store::new();
    let commands = commands(&store);
    assert!(commands.len() >= 17, "{commands:?}");
    for command in commands {
        let help = String::from_utf8(store.ok([command.as_str(), "--help"])).expect("UTF-8");
        let examples = help.split_once("Examples:\n").map(|(_, examples)| examples);
        let used = format!("nokv {command}");
        assert!(
            examples.is_some_and(|text| text.contains(&used)),
            "{command}: {help}"
        );
    }
    assert!(!store.dir().exists(), "help made a store");
}

#[test]
fn completions_are_made_for_every_shell() {
    let store = Store::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = String::from_utf8(store.ok(["completions", shell])).expect("UTF-8");
        for word in ["put-artifact", "branch", "on-conflict", "restore", "undo"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn wrong_usage_is_exit_code_two() {
    let store = Store::new();
    for arguments in [
        &["no-such-command"][..],
        &["put"],
        &["ls", "--no-such-option"],
        &[],
    ] {
        let outcome = store.run(arguments);
        assert_eq!(outcome.code, Some(2), "{arguments:?}: {outcome:?}");
        assert!(outcome.stdout.is_empty(), "{outcome:?}");
    }
    let outcome = store.run(["ls", "--dir", "/x", "--server", "127.0.0.1:1"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
}

#[test]
fn the_version_is_printed() {
    let version = Store::new().ok(["--version"]);
    assert_eq!(
        version,
        format!("nokv {}\n", env!("CARGO_PKG_VERSION")).into_bytes()
    );
}
