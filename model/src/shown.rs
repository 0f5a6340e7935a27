//! Pictures that a service was shown, and that were labelled afterwards: one folder per class, as the task names it, of
//! PNG files called by the digest of their pixels.
//!
//! They are images already, so they are read pixel for pixel and never fitted again as an upload is.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use contract::digest::Digest;
use contract::prediction::Label;
use contract::task::Task;
use image::{DynamicImage, ImageError, ImageFormat};

use crate::dataset::Split;
use crate::folders::sorted;

#[derive(Debug, thiserror::Error)]
pub enum ShownError {
    #[error("a folder of labelled pictures cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("`{path}` is no class of the task, whose classes are {}", .classes.join(", "))]
    UnknownClass { path: PathBuf, classes: Vec<String> },
    #[error("`{path}` is no PNG: {error}")]
    Picture { path: PathBuf, error: ImageError },
    #[error("`{path}` is not what was labelled: its name is the digest of other pixels")]
    Changed { path: PathBuf },
}

/// Class by class, each class's pictures in the order of their names. A class may have none.
pub fn read(folder: &Path, task: &Task) -> Result<Split, ShownError> {
    for path in sorted(folder)? {
        let is_class = task.classes.iter().any(|class| path.file_name() == Some(class.as_ref()));
        if path.is_dir() && !is_class {
            return Err(ShownError::UnknownClass { path, classes: task.classes.clone() });
        }
    }
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for (label, class) in task.classes.iter().enumerate() {
        let class = folder.join(class);
        if !class.is_dir() {
            continue;
        }
        for path in sorted(&class)?.into_iter().filter(|path| is_png(path)) {
            pixels.extend(read_one(path, task)?);
            labels.push(label);
        }
    }
    Ok(Split::new(task.input, pixels, labels))
}

/// What each of these pictures is, by the digest of its pixels.
pub fn labels(folder: &Path, task: &Task) -> Result<BTreeMap<Digest, Label>, ShownError> {
    let split = read(folder, task)?;
    Ok(split.each().map(Digest::of).zip(split.labels().iter().copied()).collect())
}

fn is_png(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("png"))
}

fn read_one(path: PathBuf, task: &Task) -> Result<Vec<u8>, ShownError> {
    let picture = match image::load_from_memory_with_format(&fs_err::read(&path)?, ImageFormat::Png)
    {
        Ok(picture) => picture,
        Err(error) => return Err(ShownError::Picture { path, error }),
    };
    let pixels = match picture {
        DynamicImage::ImageLuma8(grey) if task.input.channels == 1 => grey.into_raw(),
        DynamicImage::ImageRgb8(colour) if task.input.channels == 3 => colour.into_raw(),
        _ => return Err(ShownError::Changed { path }),
    };
    let name = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
    let is_whole = pixels.len() == task.input.len() && Digest::of(&pixels).hex() == name;
    if is_whole { Ok(pixels) } else { Err(ShownError::Changed { path }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str = "
name: toy
title: A toy
input: { height: 8, width: 8, channels: 1 }
classes: [a, b]
normalisation: { mean: [0.5], std: [0.5] }
picture: centred-ink
data: { name: toy, folders: { train: a, test: b } }
";

    fn write(folder: &Path, class: &str, pixels: &[u8], side: u32) -> PathBuf {
        fs_err::create_dir_all(folder.join(class)).unwrap();
        let path = folder.join(class).join(format!("{}.png", Digest::of(pixels).hex()));
        let picture = image::GrayImage::from_raw(side, side, pixels.to_vec()).unwrap();
        picture.save(&path).unwrap();
        path
    }

    #[test]
    fn pictures_are_taken_pixel_for_pixel_and_a_changed_one_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let task = Task::from_yaml(TASK).unwrap();
        // On light ground, which an upload would not keep.
        let light: Vec<u8> = (0..64).map(|value| 255 - value).collect();
        write(folder.path(), "b", &light, 8);
        fs_err::write(folder.path().join("b/notes.txt"), "seen").unwrap();
        let split = read(folder.path(), &task).unwrap();
        assert_eq!((split.labels(), split.pixels()), (&[1][..], &light[..]));

        let refused = |told: &str| {
            let error = read(folder.path(), &task).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        };
        let changed = write(folder.path(), "a", &[9; 64], 8);
        image::GrayImage::from_raw(8, 8, vec![8; 64]).unwrap().save(&changed).unwrap();
        refused(changed.to_str().unwrap());
        fs_err::write(&changed, "no picture").unwrap();
        refused("is no PNG");
        fs_err::remove_file(&changed).unwrap();
        let large = write(folder.path(), "a", &[9; 81], 9);
        refused("is not what was labelled");
        fs_err::remove_file(large).unwrap();
        fs_err::create_dir(folder.path().join("c")).unwrap();
        refused("whose classes are a, b");
    }
}
