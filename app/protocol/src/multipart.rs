//! Multipart forms: the first file in one is the picture, whatever its field is called. Forms in the wild say
//! `file`, `image`, `picture` and `upload`.

use std::convert::Infallible;

use futures_util::{FutureExt, stream};
use multer::{Field, Multipart};

use crate::content::Content;
use crate::problem::{Code, Refusal};

/// Up to its picture; a form with a picture has few.
const MAX_PARTS: usize = 32;

/// Reads a whole form; its `Content-Type` tells how parts are kept apart.
pub fn picture(content_type: &str, body: Vec<u8>) -> Result<Content, Refusal> {
    // All of it is there, so nothing is waited for.
    let file = first_file(content_type, body).now_or_never().and_then(Result::ok);
    match file {
        Some(Some(bytes)) => Ok(Content::Picture(bytes)),
        Some(None) => {
            let detail = format!(
                "the form has no file among its first {MAX_PARTS} parts: expected a part with a file name, \
                 holding a PNG or JPEG"
            );
            Err(Refusal::new(Code::MalformedRequest, detail))
        }
        // What the parser has to say is for us: it names its own types.
        None => Err(Refusal::new(Code::MalformedRequest, "the form is damaged or cut short")),
    }
}

async fn first_file(content_type: &str, body: Vec<u8>) -> multer::Result<Option<Vec<u8>>> {
    let boundary = multer::parse_boundary(content_type)?;
    let mut form = Multipart::new(stream::iter([Ok::<_, Infallible>(body)]), boundary);
    for _ in 0..MAX_PARTS {
        let Some(field) = form.next_field().await? else { break };
        if is_file(&field) {
            return Ok(Some(field.bytes().await?.into()));
        }
    }
    Ok(None)
}

fn is_file(field: &Field<'_>) -> bool {
    let is_picture = field.content_type().is_some_and(|kind| kind.type_() == "image");
    field.file_name().is_some() || is_picture
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=x";

    fn read(parts: &[(&str, &str)]) -> Result<Content, Refusal> {
        let part = |(head, content): &(&str, &str)| {
            format!("--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
        };
        let body = parts.iter().map(part).collect::<String>() + "--x--\r\n";
        picture(TYPE, body.into_bytes())
    }

    #[test]
    fn the_first_part_with_a_file_name_or_a_picture_type_is_the_picture() {
        let check = |parts: &[(&str, &str)], content: &str| {
            assert_eq!(read(parts), Ok(Content::Picture(content.into())), "{parts:?}");
        };
        let (text, file) = (("name=\"note\"", "7"), ("name=\"a\"; filename=\"7.png\"", "one"));
        let typed = ("name=\"b\"\r\nContent-Type: image/png", "two");
        check(&[file], "one");
        check(&[text, file, typed], "one");
        check(&[text, typed, file], "two");
        check(&[("name=\"c\"; filename=\"\"", ""), file], "");
    }

    #[test]
    fn a_form_without_a_file_or_an_end_cannot_be_read() {
        let check = |found: Result<Content, Refusal>, detail: &str| {
            let refusal = found.unwrap_err();
            assert_eq!(refusal.code, Code::MalformedRequest);
            assert!(refusal.detail.contains(detail), "{refusal:?}");
        };
        check(read(&[("name=\"note\"", "7")]), "no file");
        check(read(&[("name=\"note\"\r\nContent-Type: text/plain", "7")]), "no file");
        check(read(&[]), "no file");
        for (content_type, body) in [
            (TYPE, "--x\r\nContent-Disposition: form-data; filename=\"a\"\r\n\r\nab"),
            (TYPE, "--x\r\nContent-Disp"),
            (TYPE, ""),
            ("multipart/form-data", "--x--\r\n"),
            ("multipart/form-data; boundary=", "--x--\r\n"),
        ] {
            check(picture(content_type, body.into()), "damaged");
        }
    }
}
