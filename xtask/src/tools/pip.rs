//! pip, for downloading and nothing else: it knows the user's package index and checks digests.

use std::path::Path;

use contract::atomic;

use crate::process::Cmd;
use crate::report::WithHint;

/// One file of a package index, known by its digest.
pub(crate) struct Wheel {
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    pub(crate) platform: &'static str,
    pub(crate) sha256: &'static str,
}

/// Puts the wheel into `folder`; pip refuses any other digest and leaves no partial file.
pub(crate) fn download(wheel: &Wheel, folder: &Path) -> anyhow::Result<()> {
    fs_err::create_dir_all(folder)?;
    let requirements = folder.join("requirements.txt");
    let Wheel { package, version, platform, sha256 } = wheel;
    atomic::write_file(
        &requirements,
        format!("{package}=={version} --hash=sha256:{sha256}\n").as_bytes(),
    )?;
    pip()?
        .args(["download", "--no-deps", "--only-binary=:all:", "--require-hashes"])
        .args(["--disable-pip-version-check", "--no-cache-dir", "--python-version", "3.12"])
        .args(["--platform", platform, "--dest"])
        .arg(folder)
        .arg("--requirement")
        .arg(&requirements)
        .run()
        .hint("run the command again: what was downloaded whole is kept. Behind a mirror, set pip's index-url")
}

/// However pip is called here.
fn pip() -> anyhow::Result<Cmd> {
    let here = Path::new(".");
    let candidates = [
        Cmd::new("pip3", here),
        Cmd::new("pip", here),
        Cmd::new("python3", here).args(["-m", "pip"]),
    ];
    candidates
        .into_iter()
        .find(|pip| pip.clone().arg("--version").succeeds())
        .ok_or_else(|| anyhow::anyhow!("pip is needed to download libtorch and was not found"))
        .hint("install it (Debian: `apt-get install python3-pip`), or set LIBTORCH to a libtorch 2.13.0")
}
