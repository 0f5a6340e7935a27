//! Provides libtorch at `.libtorch`, the link that `.cargo/config.toml` names. In this order: the user's
//! own `LIBTORCH`, the per-user cache, a download. Nothing is installed system-wide.
//!
//! The download is the `torch` wheel by way of pip, because pip alone knows the user's package index,
//! and checks the digest. Of the 526 MB (built for CUDA) a CPU libtorch needs the headers and three
//! libraries; `libtorch_cpu.so` also names two small CUDA libraries as needed, which have wheels of
//! their own. The wheel's `libtorch.so` would drag in all of CUDA: a linker script takes its place.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use contract::atomic::AtomicDir;
use contract::digest::Digest;
use fs_err as fs;

use crate::repo::Repo;
use crate::report::{WithHint, step};
use crate::tools::cargo;
use crate::tools::pip::{self, Wheel};

/// The one version that tch 0.26 is written for.
pub(crate) const VERSION: &str = "2.13.0";

/// What is built against, once [`ensure`] has seen to it.
pub(crate) fn in_use(repo: &Repo) -> PathBuf {
    users_own(repo).unwrap_or_else(|| repo.libtorch())
}

/// Makes `.libtorch` name a usable libtorch.
pub(crate) fn ensure(repo: &Repo) -> anyhow::Result<()> {
    if cargo::programs().is_some() {
        return Ok(());
    }
    if let Some(own) = users_own(repo) {
        check(&own).with_context(|| format!("LIBTORCH is set to `{}`", own.display())).hint(
            format!("point LIBTORCH at libtorch {VERSION}, or unset it and one is downloaded"),
        )?;
        step(format_args!("libtorch: using your own at {}", own.display()));
        return Ok(());
    }
    let link = repo.libtorch();
    if check(&link).is_ok() {
        return Ok(());
    }
    let platform = Platform::current()?;
    let cache = cache_folder()?.join("libtorch");
    let home = cache.join(format!("{VERSION}-cpu-{}", platform.name));
    fs::create_dir_all(&cache)?;
    // Two checkouts may want it at once: the second waits and finds it.
    let lock = fs::File::create(cache.join(".lock"))?;
    lock.file().lock().context("waiting for another setup")?;
    if check(&home).is_err() {
        download(platform, &cache, &home)?;
    }
    check(&home)?;
    relink(&home, &link)?;
    step(format_args!("libtorch {VERSION}: {}", home.display()));
    Ok(())
}

/// Folder for what every checkout of this user shares.
pub(crate) fn cache_folder() -> anyhow::Result<PathBuf> {
    let folder = env("XDG_CACHE_HOME").or_else(|| env("HOME").map(|home| home.join(".cache")));
    match folder {
        Some(folder) => Ok(folder.join("mnist-api")),
        None => {
            Err(anyhow::anyhow!("no folder for caches is known")).hint("set HOME or XDG_CACHE_HOME")
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "three variables of the platform, not configuration of ours"
)]
fn env(name: &str) -> Option<PathBuf> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// `LIBTORCH` as the user set it: cargo hands us our own link under the same name.
fn users_own(repo: &Repo) -> Option<PathBuf> {
    env("LIBTORCH").filter(|path| *path != repo.libtorch())
}

/// Whether a folder holds libtorch of our version.
fn check(home: &Path) -> anyhow::Result<()> {
    let file = home.join("build-version");
    let version = fs::read_to_string(&file)?;
    // A libtorch archive says `2.13.0+cpu`.
    let version = version.trim().split('+').next().unwrap_or_default();
    if version != VERSION {
        bail!("`{}` says version {version}, tch needs {VERSION}", file.display());
    }
    let library = home.join("lib").join(Platform::current()?.library);
    fs::metadata(library)?;
    Ok(())
}

fn relink(home: &Path, link: &Path) -> io::Result<()> {
    match fs::symlink_metadata(link) {
        Ok(metadata) if metadata.is_symlink() => fs::remove_file(link)?,
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("`{}` is in the way: not a link of ours", link.display()),
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs_err::os::unix::fs::symlink(home, link)
}

/// A platform that libtorch can be put together for, and from what.
struct Platform {
    name: &'static str,
    /// The library without which there is no libtorch.
    library: &'static str,
    wheels: &'static [Wheel],
    /// Members of the wheels that go to `lib/`.
    libraries: &'static [&'static str],
    /// Replaces the wheel's own `libtorch.so` by a linker script.
    without_cuda: bool,
}

const PLATFORMS: &[Platform] = &[
    Platform {
        name: "x86_64-linux",
        library: "libtorch_cpu.so",
        wheels: &[
            Wheel {
                package: "torch",
                version: VERSION,
                platform: "manylinux_2_28_x86_64",
                sha256: "796633c4cdf0fe2cdced72d8f88f22e73dbcfce83132763162f6d4bff13b820b",
            },
            Wheel {
                package: "nvidia-cuda-runtime",
                version: "13.0.96",
                platform: "manylinux2014_x86_64",
                sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
            },
            Wheel {
                package: "nvidia-cuda-cupti",
                version: "13.0.85",
                platform: "manylinux_2_25_x86_64",
                sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
            },
        ],
        libraries: &[
            "libtorch_cpu.so",
            "libc10.so",
            "libgomp.so.1",
            "libcudart.so.13",
            "libcupti.so.13",
        ],
        without_cuda: true,
    },
    // Complete in itself, CPU and MPS. Not run by us.
    Platform {
        name: "aarch64-macos",
        library: "libtorch_cpu.dylib",
        wheels: &[Wheel {
            package: "torch",
            version: VERSION,
            platform: "macosx_14_0_arm64",
            sha256: "2fe228aba290d14b9f31b049be550dbd469c3fd3013d7a19705b30454da97027",
        }],
        libraries: &["libtorch.dylib", "libtorch_cpu.dylib", "libc10.dylib", "libomp.dylib"],
        without_cuda: false,
    },
];

impl Platform {
    fn current() -> anyhow::Result<&'static Self> {
        let name = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
        PLATFORMS
            .iter()
            .find(|platform| platform.name == name)
            .with_context(|| format!("no libtorch is known for {name}"))
            .hint(format!("set LIBTORCH to a libtorch {VERSION} built for it"))
    }
}

fn download(platform: &Platform, cache: &Path, home: &Path) -> anyhow::Result<()> {
    let downloads = cache.join("downloads");
    let mut files = Vec::new();
    for wheel in platform.wheels {
        files.push(fetch(wheel, &downloads)?);
    }
    step("unpacking libtorch (about 500 MB)");
    let folder = AtomicDir::create(home)?;
    for file in &files {
        unpack(file, platform.libraries, folder.path())
            .with_context(|| format!("unpacking `{}`", file.display()))?;
    }
    if platform.without_cuda {
        fs::write(folder.path().join("lib/libtorch.so"), "INPUT(libtorch_cpu.so)\n")?;
    }
    for library in platform.libraries {
        fs::metadata(folder.path().join("lib").join(library))?;
    }
    fs::write(folder.path().join("build-version"), format!("{VERSION}\n"))?;
    folder.commit()?;
    fs::remove_dir_all(&downloads)?;
    Ok(())
}

/// A wheel that an interrupted setup left whole is not fetched again.
fn fetch(wheel: &Wheel, downloads: &Path) -> anyhow::Result<PathBuf> {
    let folder = downloads.join(wheel.package);
    if let Some(file) = only_file(&folder)? {
        if Digest::of_file(&file)?.hex() == wheel.sha256 {
            return Ok(file);
        }
        fs::remove_file(&file)?;
    }
    step(format_args!("downloading {} {}", wheel.package, wheel.version));
    pip::download(wheel, &folder)?;
    only_file(&folder)?.with_context(|| format!("pip put no file into `{}`", folder.display()))
}

fn only_file(folder: &Path) -> io::Result<Option<PathBuf>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Headers keep their tree under `include/`; wanted libraries lose theirs.
fn unpack(wheel: &Path, libraries: &[&str], folder: &Path) -> anyhow::Result<()> {
    let mut archive = zip::ZipArchive::new(fs::File::open(wheel)?)?;
    for index in 0..archive.len() {
        let mut member = archive.by_index(index)?;
        let Some(name) = member.enclosed_name() else { continue };
        let target = if let Ok(header) = name.strip_prefix("torch/include") {
            folder.join("include").join(header)
        } else {
            match name.file_name().and_then(|name| name.to_str()) {
                Some(file) if libraries.contains(&file) => folder.join("lib").join(file),
                _ => continue,
            }
        };
        if member.is_file() {
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            io::copy(&mut member, &mut fs::File::create(&target)?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_built_from_the_same_files() {
        let linux = PLATFORMS.iter().find(|platform| platform.name == "x86_64-linux").unwrap();
        let dockerfile = include_str!("../../Dockerfile");
        for library in linux.libraries {
            assert!(dockerfile.contains(library), "{library}");
        }
        let requirements: Vec<_> = include_str!("libtorch/x86_64-linux.txt").lines().collect();
        assert_eq!(requirements.len(), linux.wheels.len());
        for (wheel, requirement) in linux.wheels.iter().zip(requirements) {
            let Wheel { package, version, platform, sha256 } = wheel;
            assert_eq!(requirement, format!("{package}=={version} --hash=sha256:{sha256}"));
            assert!(dockerfile.contains(&format!("--platform {platform}")), "{platform}");
        }
    }
}
