//! [`Image`]: the only picture type inside the house, always of the task's shape.

use serde::{Deserialize, Serialize};

/// Height and width in pixels, and channels (1 grey, 3 RGB), of every picture of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
}

impl Shape {
    /// Bytes in one image of this shape: one per pixel and channel.
    pub fn len(&self) -> usize {
        self.height * self.width * self.channels
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}×{}×{}", self.height, self.width, self.channels)
    }
}

/// A picture as rows of pixels, channels last, 0 to 255.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    shape: Shape,
    pixels: Box<[u8]>,
}

#[derive(Debug, thiserror::Error)]
#[error("expected {expected} values for a {shape} image, found {found}")]
pub struct WrongLength {
    pub shape: Shape,
    pub expected: usize,
    pub found: usize,
}

impl Image {
    pub fn new(shape: Shape, pixels: impl Into<Box<[u8]>>) -> Result<Self, WrongLength> {
        let pixels = pixels.into();
        if pixels.len() == shape.len() {
            Ok(Self { shape, pixels })
        } else {
            Err(WrongLength { shape, expected: shape.len(), found: pixels.len() })
        }
    }

    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// `[height][width][channels]`, row-major.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_as_many_pixels_as_its_shape_says() {
        let shape = Shape { height: 2, width: 3, channels: 3 };
        assert!(Image::new(shape, vec![0; 18]).is_ok());
        let error = Image::new(shape, vec![0; 17]).unwrap_err();
        assert_eq!(error.to_string(), "expected 18 values for a 2×3×3 image, found 17");
    }
}
