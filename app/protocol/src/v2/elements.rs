//! [`Elements`]: what the elements of an input tensor are, and which of them are pixels.

use std::fmt;

/// By datatype. Numbers are little-endian in the binary form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elements {
    /// 0 to 255, in so many bytes. The sign of the datatype does not matter: no pixel has one.
    Whole { bytes: usize },
    /// 0 to 1, in so many bytes; the nearest of 256 pixels is meant.
    Real { bytes: usize },
    /// PNG or JPEG files.
    Pictures,
}

/// INT8 is missing since it ends at 127, BOOL since no task has pictures of one bit.
const DATATYPES: [(&str, Elements); 11] = [
    ("UINT8", Elements::Whole { bytes: 1 }),
    ("UINT16", Elements::Whole { bytes: 2 }),
    ("UINT32", Elements::Whole { bytes: 4 }),
    ("UINT64", Elements::Whole { bytes: 8 }),
    ("INT16", Elements::Whole { bytes: 2 }),
    ("INT32", Elements::Whole { bytes: 4 }),
    ("INT64", Elements::Whole { bytes: 8 }),
    ("FP16", Elements::Real { bytes: 2 }),
    ("FP32", Elements::Real { bytes: 4 }),
    ("FP64", Elements::Real { bytes: 8 }),
    ("BYTES", Elements::Pictures),
];

impl Elements {
    pub(super) fn of(datatype: &str) -> Option<Self> {
        DATATYPES.into_iter().find(|(name, _)| *name == datatype).map(|(_, elements)| elements)
    }

    /// By name, for whoever named another.
    pub fn datatypes() -> [&'static str; DATATYPES.len()] {
        DATATYPES.map(|(name, _)| name)
    }

    /// A whole number as a pixel.
    pub(super) fn whole(self, value: u64) -> Option<u8> {
        match self {
            Self::Whole { .. } => u8::try_from(value).ok(),
            Self::Real { .. } => [0, u8::MAX].get(usize::try_from(value).ok()?).copied(),
            Self::Pictures => None,
        }
    }

    /// Any number as a pixel. Clients that know JSON's numbers as floats send 7 as `7.0`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number from 0 to 255 by then"
    )]
    pub(super) fn real(self, value: f64) -> Option<u8> {
        let scaled = match self {
            Self::Whole { .. } => value,
            Self::Real { .. } if (0.0..=1.0).contains(&value) => (value * 255.0).round(),
            Self::Real { .. } | Self::Pictures => return None,
        };
        ((0.0..=255.0).contains(&scaled) && scaled.fract() == 0.0).then_some(scaled as u8)
    }

    /// As the caller is told that a number is not one of these.
    pub(super) fn not_a_pixel(self, found: impl fmt::Display) -> String {
        match self {
            Self::Whole { .. } => {
                format!("expected a whole number from 0 to 255, found {found}; FP32 takes 0 to 1")
            }
            _ => format!("expected a number from 0 to 1, found {found}; UINT8 takes 0 to 255"),
        }
    }
}

impl fmt::Display for Elements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole { .. } => "a whole number from 0 to 255",
            Self::Real { .. } => "a number from 0 to 1",
            Self::Pictures => "a PNG or JPEG as a base64 string",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_pixel_in_the_scale_of_its_datatype() {
        let check = |datatype, value: f64, pixel| {
            assert_eq!(Elements::of(datatype).unwrap().real(value), pixel, "{datatype} {value}");
        };
        check("UINT8", 7.0, Some(7));
        check("INT64", 255.0, Some(255));
        check("UINT8", 7.5, None);
        check("UINT8", 256.0, None);
        check("INT32", -1.0, None);
        check("FP32", 0.0, Some(0));
        check("FP32", -0.0, Some(0));
        check("FP64", 1.0, Some(255));
        check("FP16", 0.5, Some(128));
        check("FP32", 1.001, None);
        check("FP32", f64::NAN, None);
        check("BYTES", 0.0, None);
    }

    #[test]
    fn a_pixel_divided_by_255_comes_back_whatever_the_precision() {
        for pixel in 0..=u8::MAX {
            let single = f32::from(pixel) / 255.0;
            for value in [f64::from(single), f64::from(pixel) / 255.0] {
                assert_eq!(Elements::Real { bytes: 4 }.real(value), Some(pixel));
            }
        }
    }

    #[test]
    fn whole_numbers_are_the_same_pixels() {
        for value in 0..300u32 {
            for (name, elements) in DATATYPES {
                let (whole, real) = (elements.whole(value.into()), elements.real(value.into()));
                assert_eq!(whole, real, "{name} {value}");
            }
        }
    }

    #[test]
    fn a_datatype_that_cannot_hold_every_pixel_is_none() {
        for datatype in ["INT8", "BOOL", "BF16", "uint8", ""] {
            assert_eq!(Elements::of(datatype), None, "{datatype}");
        }
    }
}
