//! Weights as 8-bit integers, symmetric around zero, with a scale per output channel: Krishnamoorthi, "Quantizing deep
//! convolutional networks for efficient inference", 2018, section 3.1.
//!
//! Of the weights alone: tch 0.26 reaches no convolution of libtorch's that computes with 8-bit integers. A traced
//! module holds them and makes floats of them, so they make files small and nothing faster.

use tch::{Kind, Tensor, no_grad};

use crate::tensors::Tensors;

/// -128 is left out: a weight and its negative are then equally exact.
const MOST: f64 = 127.0;

/// `values * scale` by output channel, which is the first dimension of both.
#[derive(Debug)]
pub(crate) struct Int8 {
    pub(crate) values: Tensor,
    pub(crate) scale: Tensor,
}

impl Int8 {
    /// Off by half a scale at most. Of the floats of one, it is that one again.
    pub(crate) fn of(weight: &Tensor) -> Self {
        no_grad(|| {
            let largest = weight.abs().flatten(1, -1).amax([1], false);
            // A channel of zeros has a scale, too.
            let scale = (largest / MOST).clamp_min(f64::from(f32::MIN_POSITIVE));
            let values = (weight / per_channel(&scale, weight)).round().to_kind(Kind::Int8);
            Self { values, scale }
        })
    }

    pub(crate) fn floats(&self) -> Tensor {
        self.values.to_kind(Kind::Float) * per_channel(&self.scale, &self.values)
    }
}

/// `[out]` as `[out, 1, …]`.
fn per_channel(scale: &Tensor, weight: &Tensor) -> Tensor {
    let mut sizes = vec![1; weight.dim()];
    sizes[0] = -1;
    scale.view(&sizes[..])
}

/// A weight of a net that serves.
#[derive(Debug)]
pub(crate) enum Weight {
    Floats(Tensor),
    Int8(Int8),
}

impl Weight {
    pub(crate) fn floats(&self) -> Tensor {
        match self {
            Self::Floats(weight) => weight.shallow_clone(),
            Self::Int8(weight) => weight.floats(),
        }
    }

    pub(crate) fn in_int8(self) -> Self {
        Self::Int8(Int8::of(&self.floats()))
    }
}

/// What has a scale: weights, and not gains and biases, which have one dimension.
pub(crate) fn is_weight(variable: &Tensor) -> bool {
    variable.dim() > 1
}

/// The weights among these variables as 8-bit integers, the scale of `NAME` beside it.
pub(crate) fn packed(variables: &Tensors) -> Tensors {
    let mut packed = Tensors::new();
    for (name, variable) in variables {
        if is_weight(variable) {
            let Int8 { values, scale } = Int8::of(variable);
            packed.insert(name.clone(), values);
            packed.insert(scale_of(name), scale);
        } else {
            packed.insert(name.clone(), variable.shallow_clone());
        }
    }
    packed
}

/// What [`packed`] packed as floats again. Integers without a scale that fits them stay integers.
pub(crate) fn unpacked(mut variables: Tensors) -> Tensors {
    let is_packed = |(_, variable): &(&String, &Tensor)| variable.kind() == Kind::Int8;
    let names: Vec<String> = variables.iter().filter(is_packed).map(|(n, _)| n.clone()).collect();
    for name in names {
        let (values, scale) = (&variables[&name], variables.get(&scale_of(&name)));
        if let Some(scale) = scale
            && scale.kind() == Kind::Float
            && values.dim() > 0
            && scale.size() == values.size()[..1]
        {
            let (values, scale) = (values.shallow_clone(), scale.shallow_clone());
            variables.remove(&scale_of(&name));
            variables.insert(name, Int8 { values, scale }.floats());
        }
    }
    variables
}

fn scale_of(weight: &str) -> String {
    format!("{weight}.scale")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(tensor: &Tensor) -> Vec<f32> {
        Vec::try_from(tensor.flatten(0, -1)).unwrap()
    }

    #[test]
    fn no_weight_is_off_by_more_than_half_a_scale() {
        let weight = Tensor::from_slice(&[0.0f32, 1e-9, -3.0, 2.9, 0.02, -0.0199, 0.0, 0.0, 0.0])
            .view([3, 3, 1, 1]);
        let packed = Int8::of(&weight);
        assert_eq!(packed.values.kind(), Kind::Int8);
        let off = (packed.floats() - &weight).abs().flatten(1, -1).amax([1], false);
        for (off, scale) in values(&off).into_iter().zip(values(&packed.scale)) {
            assert!(off <= scale * 0.5001, "{off} of {scale}");
        }
        assert!((values(&packed.scale)[0] - 3.0 / 127.0).abs() < 1e-9);
        assert_eq!(values(&packed.floats())[6..], [0.0; 3], "zeros stay zeros");
    }

    #[test]
    fn what_was_packed_is_unpacked_and_integers_without_a_scale_stay() {
        let named = |name: &str, tensor: Tensor| (name.to_owned(), tensor);
        let weight = Tensor::from_slice(&[1.0f32, -2.0, 0.5, 4.0]).view([2, 2]);
        let variables: Tensors =
            [named("a.bias", Tensor::from_slice(&[1.0f32, 2.0])), named("a.weight", weight)].into();
        let packed = packed(&variables);
        let keys: Vec<&str> = packed.keys().map(String::as_str).collect();
        assert_eq!(keys, ["a.bias", "a.weight", "a.weight.scale"]);
        let back = unpacked(packed);
        assert!(back.keys().eq(variables.keys()));
        for (name, variable) in &variables {
            let off = (&back[name] - variable).abs().max().double_value(&[]);
            assert!(off <= 4.0 / 254.0, "{name}: {off}");
        }
        let alone: Tensors = [named("a.weight", Tensor::from_slice(&[1i8]))].into();
        assert_eq!(unpacked(alone)["a.weight"].kind(), Kind::Int8);
    }

    #[test]
    fn packed_twice_is_packed_once() {
        let weight = Tensor::arange(60, (Kind::Float, tch::Device::Cpu)).sin().view([4, 15]);
        let once = Int8::of(&weight);
        let twice = Int8::of(&once.floats());
        assert_eq!(once.values, twice.values);
    }
}
