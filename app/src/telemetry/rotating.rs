//! [`Rotating`]: a file that is put aside when it is full, a few times over, so that what is written without end
//! needs no more room than said. What is handed over at once is never torn in two.

use std::ffi::OsString;
use std::io::{self, Read as _, Seek as _, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;

/// Full files that are kept, the newest as `FILE.1`.
const KEPT: u32 = 4;

pub struct Rotating {
    path: PathBuf,
    limit: u64,
    written: u64,
    file: io::BufWriter<fs::File>,
}

impl Rotating {
    /// Goes on where an earlier process stopped, be it in the middle of a line.
    pub fn open(path: &Path, limit: u64) -> io::Result<Self> {
        let mut file = fs::OpenOptions::new().create(true).append(true).read(true).open(path)?;
        let mut written = file.metadata()?.len();
        if written > 0 {
            let mut last = [0];
            file.seek(io::SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
                written += 1;
            }
        }
        Ok(Self { path: path.to_owned(), limit, written, file: io::BufWriter::new(file) })
    }

    fn put_aside(&mut self) -> io::Result<()> {
        self.file.flush()?;
        for age in (1..KEPT).rev() {
            match fs::rename(aside(&self.path, age), aside(&self.path, age + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        // Whoever took it away took it: what comes next needs a file all the same.
        match fs::rename(&self.path, aside(&self.path, 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        *self = Self::open(&self.path, self.limit)?;
        Ok(())
    }
}

fn aside(path: &Path, age: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{age}"));
    name.into()
}

impl Write for Rotating {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len() as u64;
        if self.written > 0 && self.written + length > self.limit {
            self.put_aside()?;
        }
        self.file.write_all(bytes)?;
        self.written += length;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &Path) -> Vec<String> {
        fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_newest_lines_are_kept_whole_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        let mut file = Rotating::open(&path, 30).unwrap();
        for n in 0..100 {
            file.write_all(format!("line {n:03}\n").as_bytes()).unwrap();
        }
        file.flush().unwrap();
        assert_eq!(lines(&path), ["line 099"]);
        assert_eq!(lines(&aside(&path, 1)), ["line 096", "line 097", "line 098"]);
        assert_eq!(lines(&aside(&path, KEPT)), ["line 087", "line 088", "line 089"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5);
    }

    #[test]
    fn a_file_that_somebody_removed_is_begun_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        let mut file = Rotating::open(&path, 10).unwrap();
        file.write_all(b"line 1\n").unwrap();
        fs::remove_file(&path).unwrap();
        for line in ["line 2\n", "line 3\n", "line 4\n"] {
            file.write_all(line.as_bytes()).unwrap();
        }
        file.flush().unwrap();
        assert_eq!(lines(&path), ["line 4"]);
        assert_eq!(lines(&aside(&path, 1)), ["line 3"]);
        assert_eq!(lines(&aside(&path, 2)), ["line 2"]);
    }

    #[test]
    fn a_line_that_was_cut_off_does_not_spoil_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        fs::write(&path, "whole\ncut o").unwrap();
        let mut file = Rotating::open(&path, 1000).unwrap();
        file.write_all(b"next\n").unwrap();
        file.flush().unwrap();
        assert_eq!(lines(&path), ["whole", "cut o", "next"]);
    }
}
