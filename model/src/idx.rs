//! The IDX format of <http://yann.lecun.com/exdb/mnist>, gzipped: a magic number that tells element type
//! and rank, a big-endian size per dimension, then the elements.
//!
//! A file passes only if its bytes are the ones the task names and its header fits the task's shape.

use std::io::Read;
use std::path::{Path, PathBuf};

use contract::digest::Digest;
use contract::image::Shape;
use contract::prediction::Label;
use contract::task::{IdxPair, RemoteFile};
use flate2::read::GzDecoder;

use crate::dataset::Split;

#[derive(Debug, thiserror::Error)]
pub enum IdxError {
    #[error("a data file cannot be read: {0}")]
    Read(std::io::Error),
    #[error("`{path}` is not the file that the task names: expected {expected}, found {found}")]
    Changed { path: PathBuf, expected: String, found: String },
    #[error(
        "`{path}` is not the IDX file it should be: {what}: expected {expected}, found {found}"
    )]
    Content { path: PathBuf, what: &'static str, expected: String, found: String },
}

/// Unsigned bytes, the only element type in use; the fourth byte of the magic number is the rank.
const UNSIGNED_BYTE: u8 = 0x08;

/// A pair of files from `folder`, images and labels matched.
pub fn read_pair(
    folder: &Path,
    pair: &IdxPair,
    shape: Shape,
    classes: usize,
) -> Result<Split, IdxError> {
    let (images, labels) = std::thread::scope(|scope| {
        let labels = scope.spawn(|| read(folder, &pair.labels));
        (read(folder, &pair.images), labels.join().expect("reading does not panic"))
    });
    decode_pair(&images?, &labels?, shape, classes)
}

fn decode_pair(
    images: &IdxFile,
    labels: &IdxFile,
    shape: Shape,
    classes: usize,
) -> Result<Split, IdxError> {
    let Shape { height, width, channels } = shape;
    let sides = if channels == 1 { vec![height, width] } else { vec![height, width, channels] };
    let pixels = images.elements(&sides)?;
    let classified = labels.elements(&[])?;
    labels.demand("number of labels", pixels.count, classified.count)?;
    if let Some(at) = classified.bytes.iter().position(|&label| usize::from(label) >= classes) {
        let expected = format!("a class from 0 to {} at position {at}", classes - 1);
        return Err(labels.wrong("label", expected, classified.bytes[at]));
    }
    let labels = classified.bytes.iter().map(|&label| Label::from(label)).collect();
    Ok(Split::new(shape, pixels.bytes.to_vec(), labels))
}

struct IdxFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

struct Elements<'a> {
    count: usize,
    bytes: &'a [u8],
}

fn read(folder: &Path, file: &RemoteFile) -> Result<IdxFile, IdxError> {
    let path = folder.join(&file.file);
    let packed = fs_err::read(&path).map_err(IdxError::Read)?;
    let changed =
        |expected: String, found: String| IdxError::Changed { path: path.clone(), expected, found };
    if packed.len() as u64 != file.bytes {
        return Err(changed(format!("{} bytes", file.bytes), format!("{} bytes", packed.len())));
    }
    let found = Digest::of(&packed);
    if found != file.sha256.0 {
        return Err(changed(file.sha256.0.to_string(), found.to_string()));
    }
    unpack(path, &packed)
}

fn unpack(path: PathBuf, packed: &[u8]) -> Result<IdxFile, IdxError> {
    let mut bytes = Vec::new();
    match GzDecoder::new(packed).read_to_end(&mut bytes) {
        Ok(_) => Ok(IdxFile { path, bytes }),
        Err(error) => Err(IdxError::Content {
            path,
            what: "compression",
            expected: "a whole gzip stream".to_owned(),
            found: error.to_string(),
        }),
    }
}

impl IdxFile {
    /// The elements, if the header announces any number of items with these `sides` and the file holds
    /// exactly as many.
    fn elements(&self, sides: &[usize]) -> Result<Elements<'_>, IdxError> {
        let rank = sides.len() + 1;
        let header = 4 * (1 + rank);
        let Some((head, bytes)) = self.bytes.split_at_checked(header) else {
            let expected = format!("at least the {header} bytes of the header");
            return Err(self.wrong("length", expected, self.bytes.len()));
        };
        let mut words = head
            .chunks_exact(4)
            .map(|word| u32::from_be_bytes(word.try_into().expect("a chunk of four bytes")));
        let magic =
            words.next().expect("the header holds the magic number and a size per dimension");
        let expected =
            u32::from_be_bytes([0, 0, UNSIGNED_BYTE, u8::try_from(rank).unwrap_or(u8::MAX)]);
        if magic != expected {
            let expected = format!("{expected:#010x} (unsigned bytes, {rank} dimensions)");
            return Err(self.wrong("magic number", expected, format!("{magic:#010x}")));
        }
        let mut sizes = words.map(|size| size as usize);
        let count = sizes.next().expect("a rank is at least 1");
        let found: Vec<usize> = sizes.collect();
        if found != sides {
            return Err(self.wrong("size of an image", format!("{sides:?}"), format!("{found:?}")));
        }
        if count == 0 {
            return Err(self.wrong("count", "at least 1", count));
        }
        let length = sides.iter().try_fold(count, |length, &side| length.checked_mul(side));
        if length != Some(bytes.len()) {
            let expected = length.map_or("a possible size".to_owned(), |length| {
                format!("{length} bytes after the header")
            });
            return Err(self.wrong("length", expected, format!("{} bytes", bytes.len())));
        }
        Ok(Elements { count, bytes })
    }

    fn demand(&self, what: &'static str, expected: usize, found: usize) -> Result<(), IdxError> {
        if expected == found { Ok(()) } else { Err(self.wrong(what, expected, found)) }
    }

    fn wrong(&self, what: &'static str, expected: impl ToString, found: impl ToString) -> IdxError {
        IdxError::Content {
            path: self.path.clone(),
            what,
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}
