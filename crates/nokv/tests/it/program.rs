//! The real binary in a store of its own: one-shot commands, and servers that end with the test.

use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

/// Bytes of standard output that a failed assertion shows.
const STDOUT_SHOWN: usize = 1000;

/// A store directory and how to reach it.
pub(crate) struct Store {
    home: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

/// What a command did.
pub(crate) struct Outcome {
    /// Exit code; `None` after a signal.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: Vec<u8>,
    /// Standard error.
    pub(crate) stderr: String,
}

impl Store {
    /// A home directory without a store.
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        Self {
            home,
            environment: Vec::new(),
        }
    }

    /// The same with one more environment variable in every command.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The store's directory.
    pub(crate) fn dir(&self) -> PathBuf {
        self.home.path().join("store")
    }

    /// A path beside the store for local files.
    pub(crate) fn local(&self, name: impl AsRef<Path>) -> PathBuf {
        self.home.path().join(name)
    }

    /// The command, not yet started; nothing of the caller's environment or home reaches it.
    pub(crate) fn command<I: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = I>,
    ) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nokv"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("NOKV_DIR", self.dir())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TZ", "UTC")
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Outcome {
        Outcome::from(self.command(arguments).output().expect("the binary runs"))
    }

    /// Runs a command that must succeed; its standard output.
    pub(crate) fn ok<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Vec<u8> {
        let outcome = self.run(arguments);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.stdout
    }

    /// Runs a command that must succeed with `input` as its standard input; its standard output.
    pub(crate) fn ok_with_input(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let outcome = self.run_with_input(arguments, input);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.stdout
    }

    /// Runs a command to its end with `input` as its standard input.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Outcome {
        let mut command = self.command(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        // A command that fails early does not read all of it.
        drop(child.stdin.take().expect("piped").write_all(input));
        Outcome::from(child.wait_with_output().expect("it ends"))
    }

    /// Runs a command that must fail with exit code 1 and one line on standard error; that line.
    pub(crate) fn fails<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> String {
        let outcome = self.run(arguments);
        outcome.assert_failed()
    }

    /// Starts `nokv serve`, waits until it listens, and stops it when dropped.
    pub(crate) fn serve<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Server {
        Server::start(self.command(["serve"]).args(arguments))
    }
}

impl Outcome {
    /// The one line of a failed command.
    pub(crate) fn assert_failed(&self) -> String {
        assert_eq!(self.code, Some(1), "{self:?}");
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert!(
            lines.len() == 1 && lines[0].starts_with("nokv: "),
            "not one line: {self:?}"
        );
        lines[0].to_owned()
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.stdout.get(..STDOUT_SHOWN).unwrap_or(&self.stdout);
        f.debug_struct("Outcome")
            .field("code", &self.code)
            .field("stdout", &String::from_utf8_lossy(shown))
            .field("stderr", &self.stderr)
            .finish()
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Self {
            code: output.status.code(),
            stdout: output.stdout,
            stderr,
        }
    }
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// The lines it printed until it was ready.
    pub(crate) welcome: Vec<String>,
}

impl Server {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut server = Self {
            child,
            stdout,
            welcome: Vec::new(),
        };
        while !server
            .welcome
            .last()
            .is_some_and(|line| line.starts_with("ready"))
        {
            let mut line = String::new();
            if server.stdout.read_line(&mut line).expect("text") == 0 {
                let mut told = String::new();
                let mut stderr = server.child.stderr.take().expect("piped");
                stderr.read_to_string(&mut told).expect("text");
                panic!("the server ended before it was ready: {told}");
            }
            server.welcome.push(line.trim_end().to_owned());
        }
        server
    }

    /// The TCP address it listens on.
    pub(crate) fn address(&self) -> String {
        let line = self
            .welcome
            .iter()
            .find_map(|line| line.split_once("tcp "))
            .expect("told");
        line.1.trim().to_owned()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it without warning.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("alive");
        self.child.wait().expect("ours");
    }

    /// Asks it to end; its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.terminate();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("text");
        self.child.wait().expect("ours").code()
    }

    fn terminate(&self) {
        let id = self.child.id().to_string();
        let status = Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .expect("kill is installed");
        assert!(status.success(), "the server is gone already");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already ended or not: nothing of it may stay.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
