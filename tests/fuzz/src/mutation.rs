//! Damage to a good input, the same for the same seed.

use fastrand::Rng;

/// What parsers trip over.
const WORDS: [&[u8]; 24] = [
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"-1",
    b"1e999",
    b"0.5",
    b"18446744073709551616",
    b"\\ud800",
    b"\xff\xfe",
    b"\xc3\x28",
    b"\0",
    b"\r\n",
    b"--",
    b"%00",
    b"IDAT",
    b"\xff\xd8\xff\xda",
    b"NaN",
    b"[[[[[[[[",
];

/// One to four changes: bytes flipped, left out, doubled, words put in, the end cut off.
pub fn mutate(good: &[u8], random: &mut Rng) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..random.usize(1..=4) {
        let at = random.usize(0..=bytes.len());
        let end = bytes.len().min(at + random.usize(1..=16));
        match random.u8(0..7) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << random.u8(0..8),
            2 if at < bytes.len() => bytes[at] = random.u8(..),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let doubled = bytes[at..end].repeat(random.usize(1..=64));
                bytes.splice(at..at, doubled);
            }
            5 => bytes.truncate(at),
            _ => {
                let word = WORDS[random.usize(..WORDS.len())];
                bytes.splice(at..at, word.iter().copied());
            }
        }
    }
    bytes
}
