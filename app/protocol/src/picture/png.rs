//! The chunks of a PNG. Of the many kinds few say anything of pixels; of the rest some are compressed, and a small
//! one unpacks to gigabytes.

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Those that pixels are made of, and the one that says which side is up.
const ESSENTIAL: [&[u8; 4]; 6] = [b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"];

/// Width times height, as the header claims them. Nothing where there is no header.
pub(super) fn pixels(png: &[u8]) -> Option<u64> {
    let header = png.strip_prefix(SIGNATURE)?.strip_prefix(b"\0\0\0\x0dIHDR")?;
    let (width, rest) = header.split_first_chunk()?;
    let (height, _) = rest.split_first_chunk()?;
    Some(u64::from(u32::from_be_bytes(*width)) * u64::from(u32::from_be_bytes(*height)))
}

/// The same picture without anything else. What is cut short or no chunk ends it.
pub(super) fn essential(png: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(png.len());
    kept.extend_from_slice(SIGNATURE);
    let mut rest = png.strip_prefix(SIGNATURE).unwrap_or_default();
    while let Some((chunk, after)) = split_chunk(rest) {
        if ESSENTIAL.iter().any(|kind| chunk[4..].starts_with(*kind)) {
            kept.extend_from_slice(chunk);
        }
        rest = after;
    }
    kept
}

/// Length, kind, content and checksum, and what follows.
fn split_chunk(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, _) = bytes.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    bytes.split_at_checked(length.checked_add(12)?)
}
