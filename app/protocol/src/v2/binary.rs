//! The extension `binary_tensor_data`: a body is JSON of a length that a header tells, then the elements of
//! tensors as they lie in memory, little-endian. Of BYTES each element comes after its length in four bytes.

use super::elements::Elements;
use crate::content::Content;
use crate::problem::{Code, Refusal};

/// The header, in requests and in responses.
pub const HEADER: &str = "inference-header-content-length";

/// JSON and what follows it. Without the header all is JSON.
pub(super) fn split(body: &[u8], header: Option<usize>) -> Result<(&[u8], &[u8]), Refusal> {
    let Some(length) = header else { return Ok((body, &[])) };
    body.split_at_checked(length).ok_or_else(|| {
        let found = body.len();
        let detail = format!("{HEADER} is {length}, and the body has {found} bytes");
        Refusal::new(Code::MalformedRequest, detail)
    })
}

/// `total` numbers as pixels, in the tensor's order.
pub(super) fn pixels(raw: &[u8], elements: Elements, total: usize) -> Result<Vec<u8>, Wrong> {
    let (Elements::Whole { bytes } | Elements::Real { bytes }) = elements else {
        return Err(Wrong::Tensor("the elements are not numbers".to_owned()));
    };
    if raw.len() != total * bytes {
        let expected = total * bytes;
        let detail = format!("expected {expected} bytes for {total} elements, found {}", raw.len());
        return Err(Wrong::Tensor(detail));
    }
    if bytes == 1 {
        return Ok(raw.to_vec());
    }
    let pixel = |(index, element): (usize, &[u8])| {
        let pixel = match elements {
            // Of a number from 0 to 255 every byte but the first is 0; of a negative one none is.
            Elements::Whole { .. } if element[1..].iter().all(|byte| *byte == 0) => {
                Some(element[0])
            }
            Elements::Real { .. } => elements.real(real(element)),
            _ => None,
        };
        pixel.ok_or_else(|| {
            Wrong::Value(elements.not_a_pixel(format_args!("another at element {index}")))
        })
    };
    raw.chunks_exact(bytes).enumerate().map(pixel).collect()
}

/// `total` files.
pub(super) fn pictures(mut raw: &[u8], total: usize) -> Result<Vec<Content>, Wrong> {
    let mut pictures = Vec::with_capacity(total);
    while let Some((length, rest)) = raw.split_first_chunk() {
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some((picture, rest)) = rest.split_at_checked(length) else { break };
        if pictures.len() == total {
            break;
        }
        pictures.push(Content::Picture(picture.to_vec()));
        raw = rest;
    }
    if raw.is_empty() && pictures.len() == total {
        Ok(pictures)
    } else {
        let detail = format!(
            "expected {total} elements, each after its length in four bytes, found {} and {} bytes more",
            pictures.len(),
            raw.len()
        );
        Err(Wrong::Tensor(detail))
    }
}

/// What is wrong with the bytes of a tensor.
pub(super) enum Wrong {
    Tensor(String),
    Value(String),
}

fn real(element: &[u8]) -> f64 {
    match element.len() {
        2 => element.try_into().map_or(f64::NAN, |bytes| half(u16::from_le_bytes(bytes))),
        4 => element.try_into().map_or(f64::NAN, |bytes| f32::from_le_bytes(bytes).into()),
        _ => element.try_into().map_or(f64::NAN, f64::from_le_bytes),
    }
}

/// IEEE 754 binary16: a sign, five bits of exponent, ten of fraction. What is not finite is not a pixel either.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (bits >> 10 & 0x1f, f64::from(bits & 0x3ff));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        0x1f => f64::NAN,
        _ => (fraction + 1024.0) * 2f64.powi(i32::from(exponent) - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_read_as_they_are_defined() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x0001, 2f64.powi(-24)),
            (0x03ff, 1023.0 * 2f64.powi(-24)),
            (0x0400, 2f64.powi(-14)),
            (0x3555, 0.333_251_953_125),
            (0x3800, 0.5),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
        ] {
            assert_eq!(half(bits).to_bits(), f64::to_bits(value), "{bits:#06x}");
        }
        assert!(half(0x7c00).is_nan() && half(0x7e00).is_nan());
    }
}
