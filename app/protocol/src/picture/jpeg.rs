//! What a JPEG's segments say before anything is decoded. A progressive one is gone over as often as it has scans, and
//! a scan of a few bytes may go over every pixel.

/// More than encoders write: ten is usual.
const MAX_SCANS: usize = 20;

/// Pixels times scans: a photo of twelve million pixels in a dozen scans.
const MAX_WORK: u64 = 160_000_000;

const USUAL_SCANS: u64 = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    pixels: u64,
    is_progressive: bool,
}

/// The first one. Nothing where anything but segments comes before it.
fn frame(jpeg: &[u8]) -> Option<Frame> {
    let mut rest = jpeg.strip_prefix(b"\xff\xd8")?;
    loop {
        let [0xff, marker, high, low, after @ ..] = rest else { return None };
        match marker {
            // Any number of these may come before a marker.
            0xff => rest = &rest[1..],
            // They have no length, and decoders differ in what they make of them here.
            0x00..=0xbf | 0xd0..=0xd9 => return None,
            0xc0..=0xc2 => {
                let [_precision, h1, h0, w1, w0, ..] = after else { return None };
                let side = |high, low| u64::from(u16::from_be_bytes([high, low]));
                let pixels = side(*h1, *h0) * side(*w1, *w0);
                return Some(Frame { pixels, is_progressive: *marker == 0xc2 });
            }
            _ => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                rest = after.get(length.checked_sub(2)?..)?;
            }
        }
    }
}

/// Pixels to go over, all scans together, with as many as encoders write.
pub(super) fn work(jpeg: &[u8]) -> u64 {
    // What was not understood is taken for the worst.
    frame(jpeg)
        .map_or(MAX_WORK, |frame| frame.pixels * if frame.is_progressive { USUAL_SCANS } else { 1 })
}

/// Whether it may have more scans than a picture of `pixels` needs.
pub(super) fn has_too_many_scans(jpeg: &[u8], pixels: u64) -> bool {
    // Whatever a decoder takes for a scan starts so, and in between nothing does.
    let scans = jpeg.windows(2).filter(|bytes| *bytes == b"\xff\xda").count();
    scans > MAX_SCANS || scans as u64 * pixels > MAX_WORK
}
