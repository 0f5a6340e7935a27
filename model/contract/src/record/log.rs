//! [`Log`]: the lines of a file one by one, packed or not, in memory that a line bounds. A file that breaks off gives
//! the lines before.

use std::io::{self, BufRead, BufReader, Read, stdin};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use fs_err::File;

use super::skip::Skip;

/// Far above what a record with all its pixels takes: of the largest input that a task may have, 512×512×3, those are
/// 1 MiB in base64.
const LONGEST: usize = 4 << 20;
const BUFFER: usize = 256 << 10;
/// RFC 1952.
const GZIP: [u8; 2] = [0x1f, 0x8b];

pub struct Log {
    lines: Box<dyn BufRead>,
    line: Vec<u8>,
}

impl Log {
    /// `-` is stdin.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file: Box<dyn Read> =
            if path == Path::new("-") { Box::new(stdin()) } else { Box::new(File::open(path)?) };
        let mut file = BufReader::with_capacity(BUFFER, file);
        let start = file.fill_buf()?;
        let lines: Box<dyn BufRead> = if start.starts_with(&GZIP) {
            Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(file)))
        } else {
            Box::new(file)
        };
        Ok(Self { lines, line: Vec::new() })
    }

    /// Nothing at the end.
    pub fn next_line(&mut self) -> io::Result<Option<Result<&[u8], Skip>>> {
        self.line.clear();
        let most = LONGEST as u64 + 1;
        let read = self.lines.by_ref().take(most).read_until(b'\n', &mut self.line);
        match read {
            Ok(0) => Ok(None),
            Ok(_) if self.line.ends_with(b"\n") => Ok(Some(Ok(&self.line))),
            Ok(_) if self.line.len() > LONGEST => self.skip_to_the_next().map(Some),
            // The writer may be in the middle of it.
            Ok(_) => Ok(Some(Err(Skip::CutOff))),
            Err(error) if is_damage(&error) => Ok(Some(Err(self.end_early()))),
            Err(error) => Err(error),
        }
    }

    fn skip_to_the_next(&mut self) -> io::Result<Result<&[u8], Skip>> {
        loop {
            let there = match self.lines.fill_buf() {
                Ok(there) => there,
                Err(error) if is_damage(&error) => &[],
                Err(error) => return Err(error),
            };
            let end = there.iter().position(|byte| *byte == b'\n');
            let (used, is_over) = end.map_or((there.len(), there.is_empty()), |at| (at + 1, true));
            self.lines.consume(used);
            if is_over {
                return Ok(Err(Skip::Long));
            }
        }
    }

    fn end_early(&mut self) -> Skip {
        self.lines = Box::new(io::empty());
        Skip::Damaged
    }
}

/// Of the file's content; whatever else goes wrong is the machine's.
fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(text).unwrap();
        packer.finish().unwrap()
    }

    fn lines(content: &[u8]) -> Vec<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), content).unwrap();
        let mut log = Log::open(file.path()).unwrap();
        let mut lines = Vec::new();
        while let Some(line) = log.next_line().unwrap() {
            lines.push(match line {
                Ok(line) => String::from_utf8_lossy(line).trim_end().to_owned(),
                Err(skip) => format!("{skip:?}"),
            });
        }
        lines
    }

    #[test]
    fn what_can_be_read_is_and_the_rest_is_named() {
        let long = [vec![b'x'; LONGEST + 1], b"\nb\n".to_vec()].concat();
        let twice = [packed(b"a\n"), packed(b"b\n")].concat();
        let whole = packed("a\n".repeat(100_000).as_bytes());
        for (content, wanted) in [
            (&b""[..], &[][..]),
            (b"a\nb\n", &["a", "b"]),
            (b"a\n{\"half", &["a", "CutOff"]),
            (&long, &["Long", "b"]),
            (&twice, &["a", "b"]),
        ] {
            assert_eq!(lines(content), wanted);
        }
        let broken = lines(&whole[..whole.len() - 20]);
        assert_eq!(broken.first().map(String::as_str), Some("a"));
        assert_eq!(broken.last().map(String::as_str), Some("Damaged"));
        let garbled = [&GZIP[..], &[0xff; 64]].concat();
        assert_eq!(lines(&garbled), ["Damaged"]);
    }
}
