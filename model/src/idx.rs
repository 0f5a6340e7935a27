//! The IDX format of <http://yann.lecun.com/exdb/mnist>, gzipped: a magic number that tells element type
//! and rank, a big-endian size per dimension, then the elements.
//!
//! A file passes only if its bytes are the ones the task names and its header fits the task's shape.

use std::fmt::Display;
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
        let short = || {
            let expected = format!("at least the {header} bytes of the header");
            self.wrong("length", expected, self.bytes.len())
        };
        let word = |bytes: &[u8; 4]| u32::from_be_bytes(*bytes);
        let magic = word(self.bytes.first_chunk().ok_or_else(short)?);
        let byte = u8::try_from(rank).unwrap_or(u8::MAX);
        let expected = u32::from_be_bytes([0, 0, UNSIGNED_BYTE, byte]);
        if magic != expected {
            let expected = format!("{expected:#010x} (unsigned bytes, {rank} dimensions)");
            return Err(self.wrong("magic number", expected, format!("{magic:#010x}")));
        }
        let (head, bytes) = self.bytes.split_at_checked(header).ok_or_else(short)?;
        let (words, _) = head[4..].as_chunks();
        let mut lengths = words.iter().map(|size| word(size) as usize);
        let count = lengths.next().expect("a rank is at least 1");
        let found: Vec<usize> = lengths.collect();
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

    fn wrong(&self, what: &'static str, expected: impl Display, found: impl Display) -> IdxError {
        IdxError::Content {
            path: self.path.clone(),
            what,
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use contract::task::Sha256Hex;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const SHAPE: Shape = Shape { height: 2, width: 3, channels: 1 };

    fn packed(magic: u32, sizes: &[u32], elements: &[u8]) -> Vec<u8> {
        let mut writer = GzEncoder::new(Vec::new(), Compression::fast());
        for word in [&[magic], sizes].concat() {
            writer.write_all(&word.to_be_bytes()).unwrap();
        }
        writer.write_all(elements).unwrap();
        writer.finish().unwrap()
    }

    fn images() -> Vec<u8> {
        packed(0x803, &[2, 2, 3], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
    }

    fn labels() -> Vec<u8> {
        packed(0x801, &[2], &[1, 0])
    }

    fn remote(file: &str, bytes: &[u8]) -> RemoteFile {
        let sha256 = Sha256Hex(Digest::of(bytes));
        RemoteFile { file: file.to_owned(), bytes: bytes.len() as u64, sha256 }
    }

    /// Reads these files where the task names exactly them.
    fn read_named(images: &[u8], labels: &[u8], shape: Shape) -> Result<Split, IdxError> {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("images.gz"), images).unwrap();
        fs_err::write(folder.path().join("labels.gz"), labels).unwrap();
        let pair =
            IdxPair { images: remote("images.gz", images), labels: remote("labels.gz", labels) };
        read_pair(folder.path(), &pair, shape, 2)
    }

    #[track_caller]
    fn check(images: &[u8], labels: &[u8], file: &str, expected: &str, found: &str) {
        let error = read_named(images, labels, SHAPE).unwrap_err().to_string();
        for part in
            [format!("{file}.gz`"), format!("expected {expected}"), format!("found {found}")]
        {
            assert!(error.contains(&part), "`{part}` missing in: {error}");
        }
    }

    #[test]
    fn reads_images_with_their_labels() {
        let split = read_named(&images(), &labels(), SHAPE).unwrap();
        assert_eq!(split.labels(), [1, 0]);
        assert_eq!(split.images().nth(1).unwrap().pixels(), [6, 7, 8, 9, 10, 11]);
    }

    #[test]
    fn colour_has_a_fourth_dimension_with_channels_last() {
        let shape = Shape { height: 1, width: 2, channels: 3 };
        let images = packed(0x804, &[1, 1, 2, 3], &[1, 2, 3, 4, 5, 6]);
        let split = read_named(&images, &packed(0x801, &[1], &[0]), shape).unwrap();
        assert_eq!(split.pixels(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_file_that_is_not_what_it_should_be_is_named_with_expected_and_found() {
        let (images, labels) = (images(), labels());
        let images_of = |sizes: &[u32], count| packed(0x803, sizes, &vec![0; count]);
        check(&labels, &images, "images", "0x00000803", "0x00000801");
        check(&packed(0xd03, &[2, 2, 3], &[0; 48]), &labels, "images", "0x00000803", "0x00000d03");
        check(&images_of(&[2, 3, 2], 12), &labels, "images", "[2, 3]", "[3, 2]");
        check(&images_of(&[2, 2, 3], 11), &labels, "images", "12 bytes", "11 bytes");
        check(&images_of(&[2, 2, 3], 13), &labels, "images", "12 bytes", "13 bytes");
        check(
            &images_of(&[u32::MAX, 2, 3], 12),
            &labels,
            "images",
            "25769803770 bytes",
            "12 bytes",
        );
        check(&images_of(&[0, 2, 3], 0), &labels, "images", "at least 1", "0");
        check(&images_of(&[3, 2, 3], 18), &labels, "labels", "3", "2");
        check(&images, &packed(0x801, &[2], &[0, 2]), "labels", "a class from 0 to 1", "2");
        check(&images, &packed(0x801, &[], &[]), "labels", "at least the 8 bytes", "4");
        check(&images, &packed(0x801, &[2], &[1]), "labels", "2 bytes", "1 bytes");
        check(&images, b"not gzip", "labels", "a whole gzip stream", "");
        check(&images[..images.len() - 9], &labels, "images", "a whole gzip stream", "");
    }

    #[test]
    fn a_file_that_the_task_does_not_name_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let (images, labels) = (images(), labels());
        let pair =
            IdxPair { images: remote("images.gz", &images), labels: remote("labels.gz", &labels) };
        let mut corrupt = images.clone();
        corrupt[20] ^= 1;
        let (right, wrong) = (Digest::of(&images), Digest::of(&corrupt));
        let truncated = &images[..images.len() / 2];
        let cases = [
            (&corrupt[..], format!("expected {right}, found {wrong}")),
            (truncated, format!("expected {} bytes, found {}", images.len(), truncated.len())),
        ];
        fs_err::write(folder.path().join("labels.gz"), &labels).unwrap();
        for (content, message) in cases {
            fs_err::write(folder.path().join("images.gz"), content).unwrap();
            let error = read_pair(folder.path(), &pair, SHAPE, 2).unwrap_err().to_string();
            assert!(error.contains("images.gz") && error.contains(&message), "{error}");
        }
    }
}
