//! Images from folders: one folder per class, named as the task names it, with PNG or JPEG files of any
//! size.
//!
//! A picture becomes an image exactly as it does when it is served: by the same function.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use contract::task::Task;
use protocol::picture;
use protocol::problem::Refusal;

use crate::dataset::Split;

#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("a folder of images cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("`{path}` cannot be used: {}", .refusal.detail)]
    Picture { path: PathBuf, refusal: Refusal },
    #[error("`{path}` is no class of the task, whose classes are {}", .classes.join(", "))]
    UnknownClass { path: PathBuf, classes: Vec<String> },
    #[error("`{path}` holds no PNG or JPEG file")]
    Empty { path: PathBuf },
}

/// Class by class, each class's files in the order of their names.
pub fn read(folder: &Path, task: &Task) -> Result<Split, FolderError> {
    for path in sorted(folder)? {
        let is_class = task.classes.iter().any(|class| path.file_name() == Some(class.as_ref()));
        if path.is_dir() && !is_class {
            return Err(FolderError::UnknownClass { path, classes: task.classes.clone() });
        }
    }
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for (label, class) in task.classes.iter().enumerate() {
        let class = folder.join(class);
        let before = labels.len();
        for path in sorted(&class)?.into_iter().filter(|path| is_picture(path)) {
            let image = picture::decode(&fs_err::read(&path)?, task.input, task.picture)
                .map_err(|refusal| FolderError::Picture { path, refusal })?;
            pixels.extend_from_slice(image.pixels());
            labels.push(label);
        }
        if labels.len() == before {
            return Err(FolderError::Empty { path: class });
        }
    }
    Ok(Split::new(task.input, pixels, labels))
}

pub(crate) fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs_err::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut paths = entries.collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    ["png", "jpg", "jpeg"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}
