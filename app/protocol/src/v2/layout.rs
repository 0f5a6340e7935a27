//! [`Layout`]: where the pixels of an image lie in a tensor, as its shape tells.

use contract::image::Shape;

use super::elements::Elements;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Row by row, the channels of a pixel together: as an image has it.
    ChannelsLast,
    /// One whole plane per channel, as networks have it.
    ChannelsFirst,
}

impl Layout {
    /// Of one image with these dimensions, the batch's left out. Where a shape can be read either way,
    /// channels are last.
    pub(super) fn of(dimensions: &[usize], elements: Elements, shape: Shape) -> Option<Self> {
        let Shape { height, width, channels } = shape;
        let is_one_of = |layouts: &[&[usize]]| layouts.contains(&dimensions);
        if elements == Elements::Pictures {
            return is_one_of(&[&[], &[1]]).then_some(Self::ChannelsLast);
        }
        let is_last = is_one_of(&[&[shape.len()], &[height, width, channels]])
            || channels == 1 && is_one_of(&[&[height, width]]);
        if is_last {
            return Some(Self::ChannelsLast);
        }
        is_one_of(&[&[channels, height, width]]).then_some(Self::ChannelsFirst)
    }

    /// The shapes that have a layout, for whoever sent another.
    pub(super) fn shapes(elements: Elements, shape: Shape) -> String {
        let Shape { height, width, channels } = shape;
        let len = shape.len();
        match (elements, channels) {
            (Elements::Pictures, _) => "[N] or [N,1]".to_owned(),
            (_, 1) => format!(
                "[N,{height},{width}], [N,{height},{width},1], [N,1,{height},{width}] or [N,{len}]"
            ),
            _ => format!(
                "[N,{height},{width},{channels}], [N,{channels},{height},{width}] or [N,{len}]"
            ),
        }
    }

    /// The pixels of one image, channels last.
    pub(super) fn pixels(self, tensor: &[u8], shape: Shape) -> Vec<u8> {
        if self == Self::ChannelsLast {
            return tensor.to_vec();
        }
        let plane = shape.height * shape.width;
        let pixel =
            |at: usize| (0..shape.channels).map(move |channel| tensor[channel * plane + at]);
        (0..plane).flat_map(pixel).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREY: Shape = Shape { height: 2, width: 3, channels: 1 };
    const RGB: Shape = Shape { height: 1, width: 2, channels: 3 };
    const WHOLE: Elements = Elements::Whole { bytes: 1 };

    #[test]
    fn a_shape_is_flat_rows_or_channels_first_or_last() {
        let check = |shape, dimensions: &[usize], layout| {
            assert_eq!(Layout::of(dimensions, WHOLE, shape), layout, "{shape} {dimensions:?}");
        };
        check(GREY, &[6], Some(Layout::ChannelsLast));
        check(GREY, &[2, 3], Some(Layout::ChannelsLast));
        check(GREY, &[2, 3, 1], Some(Layout::ChannelsLast));
        check(GREY, &[1, 2, 3], Some(Layout::ChannelsFirst));
        check(GREY, &[3, 2], None);
        check(GREY, &[], None);
        check(GREY, &[2, 3, 1, 1], None);
        check(RGB, &[1, 2, 3], Some(Layout::ChannelsLast));
        check(RGB, &[3, 1, 2], Some(Layout::ChannelsFirst));
        check(RGB, &[1, 2], None);
        assert_eq!(Layout::of(&[], Elements::Pictures, GREY), Some(Layout::ChannelsLast));
        assert_eq!(Layout::of(&[6], Elements::Pictures, GREY), None);
    }

    #[test]
    fn planes_of_channels_become_pixels_of_channels() {
        assert_eq!(Layout::ChannelsFirst.pixels(&[1, 4, 2, 5, 3, 6], RGB), [1, 2, 3, 4, 5, 6]);
        assert_eq!(Layout::ChannelsFirst.pixels(&[1, 2, 3, 4, 5, 6], GREY), [1, 2, 3, 4, 5, 6]);
    }
}
