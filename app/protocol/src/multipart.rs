//! Multipart forms: which part is the picture. Splitting the body into parts is left to the web
//! framework; this decides what they mean.

use crate::content::Content;
use crate::problem::{Code, Refusal};

/// What a part says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    pub file_name: Option<&'a str>,
    pub content_type: Option<&'a str>,
}

impl Part<'_> {
    /// The first part for which this holds is the picture, whatever its field is called: forms in
    /// the wild say `file`, `image`, `picture` and `upload`.
    pub fn is_file(&self) -> bool {
        self.file_name.is_some() || self.content_type.is_some_and(|kind| kind.starts_with("image/"))
    }
}

/// The picture in the content of the first file part, if there was one.
pub fn picture(file: Option<Vec<u8>>) -> Result<Content, Refusal> {
    match file {
        Some(bytes) => Ok(Content::Picture(bytes)),
        None => Err(Refusal::new(
            Code::MalformedRequest,
            "the form holds no file: expected a part with a file name, holding a PNG or JPEG",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_with_a_file_name_or_a_picture_type_is_a_file() {
        let check = |file_name, content_type, expected| {
            assert_eq!(Part { file_name, content_type }.is_file(), expected);
        };
        check(Some("7.png"), None, true);
        check(None, Some("image/png"), true);
        check(None, Some("text/plain"), false);
        check(None, None, false);
    }

    #[test]
    fn a_form_without_a_file_cannot_be_read() {
        assert_eq!(picture(None).unwrap_err().code, Code::MalformedRequest);
        assert_eq!(picture(Some(vec![1])).unwrap(), Content::Picture(vec![1]));
    }
}
