//! [`Content`]: what a body holds once it is parsed, and what it costs to go on from there.

use contract::image::Image;
use contract::task::Task;

use crate::picture;
use crate::problem::{Code, Refusal, shown};

/// The kinds of body the service reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    Json,
    Picture,
    Multipart,
}

impl MediaType {
    /// Of a `Content-Type` header; parameters such as `charset` are left to whoever needs them.
    pub fn parse(header: Option<&str>) -> Result<Self, Refusal> {
        let essence = header.unwrap_or("").split(';').next().unwrap_or("").trim();
        match essence.to_ascii_lowercase().as_str() {
            "application/json" => Ok(Self::Json),
            "image/png" | "image/jpeg" => Ok(Self::Picture),
            "multipart/form-data" => Ok(Self::Multipart),
            _ => Err(Self::unsupported(header)),
        }
    }

    pub fn unsupported(header: Option<&str>) -> Refusal {
        let found = match header {
            Some(found) => format!("`{}`", shown(found)),
            None => "no Content-Type".to_owned(),
        };
        Refusal::new(Code::UnsupportedMediaType, format!("this address does not read {found}"))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Image(Image),
    /// Bytes of a PNG or JPEG, not looked at yet: decoding one can take a tenth of a second, so it
    /// never happens where other requests wait.
    Picture(Vec<u8>),
}

impl Content {
    pub fn is_decoded(&self) -> bool {
        matches!(self, Self::Image(_))
    }

    /// About what decoding takes, in pixels that are gone over.
    pub fn work(&self) -> u64 {
        match self {
            Self::Image(_) => 0,
            Self::Picture(bytes) => picture::work(bytes),
        }
    }

    pub fn decode(self, task: &Task) -> Result<Image, Refusal> {
        match self {
            Self::Image(image) => Ok(image),
            Self::Picture(bytes) => picture::decode(&bytes, task.input, task.picture),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_is_read_whatever_its_case_and_parameters() {
        let check = |header, kind| assert_eq!(MediaType::parse(Some(header)).unwrap(), kind);
        check("application/json; charset=utf-8", MediaType::Json);
        check("Image/PNG", MediaType::Picture);
        check("image/jpeg", MediaType::Picture);
        check("multipart/form-data; boundary=x", MediaType::Multipart);
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        let check = |header: Option<&str>, part: &str| {
            let refusal = MediaType::parse(header).unwrap_err();
            assert_eq!(refusal.code, Code::UnsupportedMediaType);
            assert!(refusal.detail.contains(part) && refusal.detail.len() < 200, "{refusal:?}");
        };
        check(None, "no Content-Type");
        check(Some("application/x-www-form-urlencoded"), "`application/x-www-form-urlencoded`");
        check(Some("image/gif"), "`image/gif`");
        check(Some(""), "``");
        check(Some(&"x".repeat(9999)), "`xxx");
    }

    /// Every byte of a good body replaced by others, and every beginning of it.
    fn damaged(good: &[u8]) -> impl Iterator<Item = Vec<u8>> {
        let replaced = (0..good.len()).flat_map(move |i| {
            [0, 1, b'"', b'[', b'9', 0x7f, 0xff].map(|byte| {
                let mut bad = good.to_vec();
                bad[i] = byte;
                bad
            })
        });
        replaced.chain((0..good.len()).map(|end| good[..end].to_vec()))
    }

    #[test]
    fn no_damage_to_a_body_is_more_than_a_refusal() {
        let yaml = "
name: small
title: Small
input: { height: 8, width: 8, channels: 1 }
classes: [a, b]
normalisation: { mean: [0.5], std: [0.5] }
picture: centred-ink
data: { name: small, folders: { train: a, test: b } }
";
        let task = Task::from_yaml(yaml).unwrap();
        let bright = |x, y| image::Luma([if x / 5 == 1 && y > 1 { 200u8 } else { 3 }]);
        for format in [image::ImageFormat::Png, image::ImageFormat::Jpeg] {
            let mut good = std::io::Cursor::new(Vec::new());
            image::GrayImage::from_fn(19, 23, bright).write_to(&mut good, format).unwrap();
            let good = good.into_inner();
            assert!(Content::Picture(good.clone()).decode(&task).is_ok());
            for bad in damaged(&good) {
                if let Ok(image) = Content::Picture(bad).decode(&task) {
                    assert_eq!(image.shape(), task.input);
                }
            }
        }
        let good = format!(r#"{{"image": {:?}}}"#, [[7; 8]; 8]);
        for bad in damaged(good.as_bytes()) {
            if let Ok(Content::Image(image)) = crate::json::image(&bad, task.input) {
                assert_eq!(image.shape(), task.input);
            }
        }
    }
}
