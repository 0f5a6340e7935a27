//! Labelled pictures drawn from a seed: what a task falls back on where its data cannot be had, and
//! what tests and probes are made of.
//!
//! The same seed gives the same bytes on every machine: integers and the IEEE operations (`+ - * /`,
//! square root, rounding) only, nothing from a platform's mathematics library. Picture `i` of a stream
//! depends on nothing but the seed, the stream and `i`; each run of as many pictures as there are
//! classes holds every class once, so that any such prefix is balanced.

mod canvas;
mod digits;
mod glyphs;
mod shapes;

use std::num::NonZeroUsize;
use std::thread;

use contract::image::{Image, Shape};
use contract::prediction::Label;
use contract::task::Generator;

use crate::random::Random;

/// Streams never share a picture's random numbers: what is tested, or probed, was not trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Train,
    Test,
    Probes,
}

/// Pictures one after the other, each `[height][width][channels]`, with a label per picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pictures {
    pub shape: Shape,
    pub pixels: Vec<u8>,
    pub labels: Vec<u8>,
}

impl Pictures {
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    pub fn images(&self) -> impl Iterator<Item = (Label, Image)> + '_ {
        self.labels.iter().zip(self.pixels.chunks_exact(self.shape.len())).map(
            |(&label, pixels)| {
                let image =
                    Image::new(self.shape, pixels).expect("chunks are of the shape's length");
                (Label::from(label), image)
            },
        )
    }
}

pub fn classes(generator: Generator) -> usize {
    match generator {
        Generator::Digits => digits::CLASSES,
        Generator::Shapes => shapes::CLASSES,
    }
}

/// The first `count` pictures of a stream, drawn on all cores.
pub fn draw(
    generator: Generator,
    shape: Shape,
    stream: Stream,
    count: usize,
    seed: u64,
) -> Pictures {
    let mut pixels = vec![0; count * shape.len()];
    let mut labels = vec![0; count];
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let part_size = count.div_ceil(cores).max(1);
    thread::scope(|scope| {
        let parts =
            pixels.chunks_mut(part_size * shape.len().max(1)).zip(labels.chunks_mut(part_size));
        for (part, (pixels, labels)) in parts.enumerate() {
            scope.spawn(move || {
                let pictures = pixels.chunks_exact_mut(shape.len()).zip(labels);
                for (i, (picture, label)) in (part * part_size..).zip(pictures) {
                    *label = class_of(generator, stream, seed, i);
                    let mut random = Random::new([seed, stream as u64, 1, i as u64]);
                    match generator {
                        Generator::Digits => digits::draw(*label, shape, &mut random, picture),
                        Generator::Shapes => shapes::draw(*label, shape, &mut random, picture),
                    }
                }
            });
        }
    });
    Pictures { shape, pixels, labels }
}

/// Position `i` within a shuffle of the classes that belongs to `i`'s run.
fn class_of(generator: Generator, stream: Stream, seed: u64, i: usize) -> u8 {
    let classes = classes(generator);
    let mut order = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
    let order = &mut order[..classes];
    let mut random = Random::new([seed, stream as u64, 0, (i / classes) as u64]);
    random.shuffle(order);
    order[i % classes]
}

#[cfg(test)]
mod tests {
    use contract::digest::Digest;

    use super::*;

    const DIGITS: Shape = Shape { height: 28, width: 28, channels: 1 };
    const SHAPES: Shape = Shape { height: 32, width: 32, channels: 3 };

    #[test]
    fn a_seed_gives_the_same_bytes_on_every_machine_and_in_every_release() {
        let check = |generator, shape, expected: &str| {
            let pictures = draw(generator, shape, Stream::Train, 1000, 7);
            let bytes = [pictures.labels, pictures.pixels].concat();
            assert_eq!(&Digest::of(&bytes).hex()[..16], expected, "{generator:?}");
        };
        check(Generator::Digits, DIGITS, "7e0f96be4b2ee518");
        check(Generator::Shapes, SHAPES, "ddf0ddd6aadfe1e9");
    }

    #[test]
    fn a_picture_depends_on_its_place_in_the_stream_and_not_on_how_many_are_drawn() {
        let few = draw(Generator::Digits, DIGITS, Stream::Train, 7, 1);
        let many = draw(Generator::Digits, DIGITS, Stream::Train, 200, 1);
        assert_eq!(few.labels, many.labels[..7]);
        assert_eq!(few.pixels, many.pixels[..7 * DIGITS.len()]);
    }

    #[test]
    fn streams_and_seeds_share_no_picture() {
        let all: Vec<Image> = [(Stream::Train, 1), (Stream::Test, 1), (Stream::Train, 2)]
            .into_iter()
            .flat_map(|(stream, seed)| {
                let pictures = draw(Generator::Digits, DIGITS, stream, 300, seed);
                pictures.images().map(|(_, image)| image).collect::<Vec<_>>()
            })
            .collect();
        let different: std::collections::HashSet<&[u8]> = all.iter().map(Image::pixels).collect();
        assert_eq!(different.len(), 900);
    }

    #[test]
    fn every_run_of_as_many_pictures_as_classes_holds_each_class_once() {
        for (generator, shape) in [(Generator::Digits, DIGITS), (Generator::Shapes, SHAPES)] {
            let pictures = draw(generator, shape, Stream::Test, 100, 3);
            let mut orders = std::collections::HashSet::new();
            for run in pictures.labels.chunks(classes(generator)) {
                let mut sorted = run.to_vec();
                sorted.sort_unstable();
                assert!(sorted.into_iter().map(usize::from).eq(0..classes(generator)));
                orders.insert(run);
            }
            assert!(orders.len() > 1, "the same order in every run");
        }
    }

    #[test]
    fn digits_of_other_sizes_fill_the_same_share_of_the_picture() {
        let ink = |height, width| {
            let shape = Shape { height, width, channels: 1 };
            let pictures = draw(Generator::Digits, shape, Stream::Train, 500, 1);
            let sum: u64 = pictures.pixels.iter().map(|&pixel| u64::from(pixel)).sum();
            sum as f64 / pictures.pixels.len() as f64 / 255.0
        };
        let usual = ink(28, 28);
        assert!((0.10..0.16).contains(&usual), "{usual}");
        for other in [ink(20, 20), ink(56, 56), ink(28, 56) * 2.0] {
            assert!((other / usual - 1.0).abs() < 0.1, "{other} beside {usual}");
        }
    }
}
