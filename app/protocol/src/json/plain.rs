//! Bodies as most clients write them: one field, numbers, nothing else. Read in one pass over the bytes,
//! four times as fast as by [`super::Reader`], which is asked where this one finds anything else than it
//! expects: it alone knows what is wrong and how to say so.

use contract::image::{Image, Shape};

/// Reads `{"image": …}` of numbers.
pub(super) fn image(body: &[u8], shape: Shape) -> Option<Image> {
    let mut rest = Rest(body);
    rest.begin("image")?;
    let image = rest.image(shape)?;
    rest.end()?;
    Some(image)
}

/// Reads `{"images": […]}` of numbers, at most `limit` of them.
pub(super) fn images(body: &[u8], shape: Shape, limit: usize) -> Option<Vec<Image>> {
    let mut rest = Rest(body);
    rest.begin("images")?;
    rest.token(b'[')?;
    let mut images = vec![rest.image(shape)?];
    while rest.token(b',').is_some() {
        if images.len() == limit {
            return None;
        }
        images.push(rest.image(shape)?);
    }
    rest.token(b']')?;
    rest.end()?;
    Some(images)
}

/// What is not read yet.
struct Rest<'b>(&'b [u8]);

impl Rest<'_> {
    fn begin(&mut self, field: &str) -> Option<()> {
        self.token(b'{')?;
        self.token(b'"')?;
        self.0 = self.0.strip_prefix(field.as_bytes())?.strip_prefix(b"\"")?;
        self.token(b':')
    }

    fn end(&mut self) -> Option<()> {
        self.token(b'}')?;
        self.skip_space();
        self.0.is_empty().then_some(())
    }

    fn image(&mut self, shape: Shape) -> Option<Image> {
        let Shape { height, width, channels } = shape;
        let mut pixels = Vec::with_capacity(shape.len());
        match (self.depth(), channels) {
            (1, _) => self.array(&[shape.len()], &mut pixels)?,
            (2, 1) => self.array(&[height, width], &mut pixels)?,
            (3, _) => self.array(&[height, width, channels], &mut pixels)?,
            _ => return None,
        }
        Image::new(shape, pixels).ok()
    }

    /// Arrays that begin here, one in the other.
    fn depth(&self) -> usize {
        let brackets = self.0.iter().filter(|byte| !is_space(**byte));
        brackets.take_while(|byte| **byte == b'[').count()
    }

    /// An array of so many arrays of so many … numbers.
    fn array(&mut self, counts: &[usize], pixels: &mut Vec<u8>) -> Option<()> {
        let (&count, inner) = counts.split_first()?;
        self.token(b'[')?;
        for index in 0..count {
            if index > 0 {
                self.token(b',')?;
            }
            if inner.is_empty() {
                pixels.push(self.pixel()?);
            } else {
                self.array(inner, pixels)?;
            }
        }
        self.token(b']')
    }

    /// At most three figures and not more than 255. What follows must be a token, so that nothing which
    /// goes on, such as `25e1`, is read.
    fn pixel(&mut self) -> Option<u8> {
        self.skip_space();
        let figure = |index: usize| {
            Some(self.0.get(index)?.wrapping_sub(b'0')).filter(|figure| *figure < 10)
        };
        let mut value = u16::from(figure(0)?);
        let mut length = 1;
        if value > 0 {
            while let Some(next) = figure(length).filter(|_| length < 3) {
                value = value * 10 + u16::from(next);
                length += 1;
            }
        }
        self.0 = &self.0[length..];
        u8::try_from(value).ok()
    }

    fn token(&mut self, wanted: u8) -> Option<()> {
        self.skip_space();
        let (&found, rest) = self.0.split_first()?;
        (found == wanted).then(|| self.0 = rest)
    }

    fn skip_space(&mut self) {
        while let [first, rest @ ..] = self.0
            && is_space(*first)
        {
            self.0 = rest;
        }
    }
}

/// White space of JSON.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\t' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::super::{Reader, read};
    use super::*;
    use crate::content::Content;

    const GREY: Shape = Shape { height: 2, width: 3, channels: 1 };
    const RGB: Shape = Shape { height: 1, width: 2, channels: 3 };

    /// Every byte of a good body left out, doubled, and replaced by others.
    fn variants(good: &str) -> impl Iterator<Item = Vec<u8>> {
        let bytes = good.as_bytes();
        (0..bytes.len()).flat_map(move |at| {
            let with = |middle: &[u8]| [&bytes[..at], middle, &bytes[at + 1..]].concat();
            let others = b"0159 \n[],.-e\"{}\x00\xff".map(|other| with(&[other]));
            others.into_iter().chain([with(&[]), with(&[bytes[at], bytes[at]])])
        })
    }

    #[test]
    fn what_is_read_in_passing_is_what_the_other_reader_reads() {
        let mut agreed = 0;
        for (shape, good) in [
            (GREY, r#"{"image":[0,1,2,30,44,255]}"#),
            (GREY, "\n{ \"image\" :\t[ [0 , 1,2],\r[ 100,25,5 ] ] }\n"),
            (GREY, r#"{"image":[[[0],[1],[2]],[[3],[4],[255]]]}"#),
            (RGB, r#"{"image":[0,1,2,30,44,255]}"#),
            (RGB, r#"{"image":[[[0,1,2],[30,44,255]]]}"#),
        ] {
            assert!(image(good.as_bytes(), shape).is_some(), "{good}");
            for body in variants(good) {
                let Some(image) = image(&body, shape) else { continue };
                let other = read(&body, Reader::new(shape, "image", 1)).unwrap();
                assert_eq!(other, [Content::Image(image)], "{}", String::from_utf8_lossy(&body));
                agreed += 1;
            }
        }
        assert!(agreed > 100, "{agreed}");
    }

    #[test]
    fn several_images_are_read_up_to_their_limit() {
        let body = br#"{"images": [[0,1,2,3,4,5], [[0,1,2],[3,4,5]]]}"#;
        let [one, other] = &images(body, GREY, 2).unwrap()[..] else { panic!("not two images") };
        assert_eq!(one, other);
        assert!(images(body, GREY, 1).is_none());
        assert!(images(br#"{"images": []}"#, GREY, 2).is_none());
    }
}
