//! Names of contents, as DVC gives them: an MD5, and whether it is that of a folder's manifest. They find accidents,
//! not attackers.

use std::fmt::{self, Write as _};
use std::io::{self, Read as _, Write};
use std::path::Path;
use std::str::FromStr;

use md5::{Digest as _, Md5 as Hasher};

/// Shown as 32 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Md5([u8; 16]);

impl Md5 {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(Hasher::digest(bytes).into())
    }

    /// With the number of bytes. The file is read in pieces.
    pub(super) fn of_file(path: &Path) -> io::Result<(Self, u64)> {
        copy(path, io::sink())
    }
}

/// What was read, and how much.
pub(super) fn copy(from: &Path, to: impl Write) -> io::Result<(Md5, u64)> {
    let mut file = fs_err::File::open(from)?;
    let mut to = Hashing::new(to);
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((to.md5(), to.bytes)),
            Ok(read) => to.write_all(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl fmt::Display for Md5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Md5 {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not an MD5 of 32 lower-case hex digits");
        let hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.as_bytes().iter().all(hex) {
            return Err(wrong());
        }
        let mut md5 = [0; 16];
        for (byte, digits) in md5.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_not_ascii| wrong())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_not_hex| wrong())?;
        }
        Ok(Self(md5))
    }
}

/// Passes bytes on, and knows the MD5 of all that passed.
pub(super) struct Hashing<W> {
    inner: W,
    hasher: Hasher,
    bytes: u64,
}

impl<W: Write> Hashing<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, hasher: Hasher::new(), bytes: 0 }
    }

    pub(super) fn md5(&self) -> Md5 {
        Md5(self.hasher.clone().finalize().into())
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn into_inner(self) -> W {
        self.inner
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Shown as in a pointer: the MD5, of a folder with `.dir` behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Object {
    pub(super) md5: Md5,
    pub(super) is_folder: bool,
}

impl Object {
    pub(super) fn file(md5: Md5) -> Self {
        Self { md5, is_folder: false }
    }

    pub(super) fn folder(md5: Md5) -> Self {
        Self { md5, is_folder: true }
    }

    /// Its two path components, alike in the cache and on every remote.
    pub(super) fn place(self) -> (String, String) {
        let mut first = self.to_string();
        let rest = first.split_off(2);
        (first, rest)
    }

    /// From the components; anything else than an object lies there for other reasons.
    pub(super) fn at(first: &str, rest: &str) -> Option<Self> {
        (first.len() == 2).then(|| format!("{first}{rest}").parse().ok())?
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.md5, if self.is_folder { ".dir" } else { "" })
    }
}

impl FromStr for Object {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_suffix(".dir") {
            Some(md5) => md5.parse().map(Self::folder),
            None => text.parse().map(Self::file),
        }
    }
}

/// As Python's `json.dumps` writes a string: ASCII alone.
pub(super) fn json_string(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            ' '..='~' => json.push(character),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    write!(json, "\\u{unit:04x}").expect("writing to a String cannot fail");
                }
            }
        }
    }
    json.push('"');
    json
}
