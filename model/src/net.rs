//! The network: convolutions, each with batch norm and a rectifier, then a linear layer.
//!
//! Every variable has a name that says where it belongs (`blocks.0.conv.weight`); [`Net::folded`] gives
//! the same function without batch norm, which is what an artifact holds and what serves.

use contract::image::Shape;
use contract::task::Normalisation;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor, nn};

use crate::compress::int8::Weight;
use crate::random::{self, Random};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetConfig {
    pub blocks: Vec<BlockConfig>,
    #[serde(default)]
    pub head: Head,
}

/// Convolution, batch norm, rectifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockConfig {
    pub channels: i64,
    #[serde(default = "three")]
    pub kernel: i64,
    #[serde(default = "one")]
    pub stride: i64,
    #[serde(default)]
    pub padding: Padding,
    /// Side of the windows of which only the largest value is kept; 1 keeps all.
    #[serde(default = "one")]
    pub pool: i64,
}

fn three() -> i64 {
    3
}

fn one() -> i64 {
    1
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// Zeros around the image: a stride of 1 keeps its size.
    #[default]
    Same,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// The mean over all positions, then a linear layer: any image size has as many weights.
    #[default]
    Average,
    /// A linear layer over all positions.
    Flatten,
}

impl NetConfig {
    /// What parsed but cannot be built for any shape.
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if self.blocks.is_empty() {
            mistakes.push("net.blocks: at least one is needed".to_owned());
        }
        for (i, block) in self.blocks.iter().enumerate() {
            let fields = [
                ("channels", block.channels, 1024),
                ("kernel", block.kernel, 15),
                ("stride", block.stride, 8),
                ("pool", block.pool, 8),
            ];
            for (field, value, most) in fields {
                if !(1..=most).contains(&value) {
                    mistakes.push(format!(
                        "net.blocks[{i}].{field}: {value} is not between 1 and {most}"
                    ));
                }
            }
        }
        mistakes
    }

    /// Sides of the last block's output for inputs of this shape; none where nothing would be left.
    pub fn output(&self, shape: Shape) -> Option<(i64, i64)> {
        let mut sides = [shape.height as i64, shape.width as i64];
        for block in &self.blocks {
            for side in &mut sides {
                let convolved = (*side + 2 * block.padding() - block.kernel) / block.stride + 1;
                if *side + 2 * block.padding() < block.kernel || convolved < block.pool {
                    return None;
                }
                *side = convolved / block.pool;
            }
        }
        Some((sides[0], sides[1]))
    }
}

impl BlockConfig {
    fn padding(&self) -> i64 {
        match self.padding {
            Padding::Same => self.kernel / 2,
            Padding::None => 0,
        }
    }
}

/// `(pixel / 255 - mean) / std`, as a task writes it. The one place where pixels are normalised, for
/// training and for the traced model alike.
#[derive(Debug)]
pub struct Normaliser {
    scale: Tensor,
    shift: Tensor,
}

impl Normaliser {
    /// Must be made before a trace begins: a tensor filled from Rust in a trace is recorded as an empty one.
    pub fn new(normalisation: &Normalisation, device: Device) -> Self {
        let channels = normalisation.mean.len() as i64;
        let per_channel = |values: Vec<f32>| {
            Tensor::from_slice(&values).view([1, channels, 1, 1]).to_device(device)
        };
        let pairs = || normalisation.mean.iter().zip(&normalisation.std);
        #[expect(clippy::cast_possible_truncation, reason = "pixels are computed with as f32")]
        Self {
            scale: per_channel(pairs().map(|(_, std)| (1.0 / (255.0 * std)) as f32).collect()),
            shift: per_channel(pairs().map(|(mean, std)| (-mean / std) as f32).collect()),
        }
    }

    /// `[N, C, H, W]` of 0 to 255 to what [`Net`] reads.
    pub fn apply(&self, pixels: &Tensor) -> Tensor {
        pixels.to_kind(Kind::Float) * &self.scale + &self.shift
    }
}

/// [`Normaliser`] for one use.
pub fn normalise(pixels: &Tensor, normalisation: &Normalisation) -> Tensor {
    Normaliser::new(normalisation, pixels.device()).apply(pixels)
}

#[derive(Debug)]
pub struct Net {
    blocks: Vec<Block>,
    head: Head,
    /// `[classes, features]`
    weight: Tensor,
    bias: Tensor,
}

#[derive(Debug)]
struct Block {
    config: BlockConfig,
    /// `[out, in, kernel, kernel]`
    conv: Tensor,
    gain: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
}

/// PyTorch's default.
pub(crate) const EPSILON: f64 = 1e-5;

/// By what batch norm normalises.
#[derive(Clone, Copy)]
enum Statistics {
    /// Mean and variance of the images at hand.
    Own,
    Measured,
    /// Those of the images at hand, which also become this share of the measured ones.
    MeasuredWithShare(f64),
}

#[derive(Debug, thiserror::Error)]
#[error("the net leaves nothing of a {shape} image")]
pub struct NothingLeft {
    pub shape: Shape,
}

impl Net {
    /// Registers all variables under `path`, as zeros and ones: see [`Net::initialise`].
    pub fn new(
        path: &nn::Path<'_>,
        shape: Shape,
        classes: usize,
        config: &NetConfig,
    ) -> Result<Self, NothingLeft> {
        let (height, width) = config.output(shape).ok_or(NothingLeft { shape })?;
        let mut channels = shape.channels as i64;
        let mut blocks = Vec::new();
        for (i, &block) in config.blocks.iter().enumerate() {
            let path = path / "blocks" / i;
            let norm = &path / "norm";
            let out = block.channels;
            blocks.push(Block {
                config: block,
                conv: (&path / "conv")
                    .zeros("weight", &[out, channels, block.kernel, block.kernel]),
                gain: norm.ones("weight", &[out]),
                bias: norm.zeros("bias", &[out]),
                running_mean: norm.zeros_no_train("running_mean", &[out]),
                running_var: norm.ones_no_train("running_var", &[out]),
            });
            channels = out;
        }
        let features = match config.head {
            Head::Average => channels,
            Head::Flatten => channels * height * width,
        };
        let head = path / "head";
        Ok(Self {
            blocks,
            head: config.head,
            weight: head.zeros("weight", &[classes as i64, features]),
            bias: head.zeros("bias", &[classes as i64]),
        })
    }

    /// Uniform with the variance of He et al., "Delving deep into rectifiers", 2015.
    pub fn initialise(&mut self, seed: u64) {
        let weights = self.blocks.iter_mut().map(|block| &mut block.conv).chain([&mut self.weight]);
        for (layer, weight) in weights.enumerate() {
            let fan_in: i64 = weight.size()[1..].iter().product();
            let mut random = Random::new([seed, random::INITIAL, layer as u64, 0]);
            #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
            let bound = (6.0 / fan_in as f64).sqrt() as f32;
            let values: Vec<f32> =
                (0..weight.numel()).map(|_| random.within(-bound, bound)).collect();
            tch::no_grad(|| weight.copy_(&Tensor::from_slice(&values).view_as(weight)));
        }
    }

    /// `[N, C, H, W]`, normalised, to logits `[N, classes]`. Training normalises by the images at hand
    /// and changes nothing; otherwise the statistics of [`Net::measure`] are used.
    pub fn forward_t(&self, images: &Tensor, train: bool) -> Tensor {
        self.forward(images, if train { Statistics::Own } else { Statistics::Measured })
    }

    /// Sets the statistics of batch norm to the mean over these batches, for the weights as they are
    /// now: Wu and Johnson, "Rethinking 'batch' in batch norm", 2021, section 3.2. The usual running
    /// averages lag behind the weights, and know nothing of averaged weights.
    pub fn measure(&self, batches: impl IntoIterator<Item = Tensor>) {
        tch::no_grad(|| {
            for (i, images) in batches.into_iter().enumerate() {
                drop(self.forward(&images, Statistics::MeasuredWithShare(1.0 / (i + 1) as f64)));
            }
        });
    }

    fn forward(&self, images: &Tensor, statistics: Statistics) -> Tensor {
        let mut x = images.shallow_clone();
        for block in &self.blocks {
            let BlockConfig { stride, pool, .. } = block.config;
            let padding = block.config.padding();
            let none: Option<&Tensor> = None;
            x = x.conv2d(&block.conv, none, [stride, stride], [padding, padding], [1, 1], 1);
            let (mean, var) = (Some(&block.running_mean), Some(&block.running_var));
            let (mean, var, train, share) = match statistics {
                Statistics::Own => (None, None, true, 0.0),
                Statistics::Measured => (mean, var, false, 0.0),
                Statistics::MeasuredWithShare(share) => (mean, var, true, share),
            };
            let (gain, bias) = (Some(&block.gain), Some(&block.bias));
            x = x.batch_norm(gain, bias, mean, var, train, share, EPSILON, false).relu_();
            x = max_pool(x, pool);
        }
        head(&x, self.head, &self.weight, &self.bias)
    }

    /// Makes all logits greater or smaller, which changes confidence and no prediction.
    pub(crate) fn scale_logits(&self, factor: f64) {
        tch::no_grad(|| {
            for value in [&self.weight, &self.bias] {
                value.shallow_clone().copy_(&(value * factor));
            }
        });
    }

    /// The same variables for another thread.
    pub(crate) fn share(&self) -> Self {
        let share = |block: &Block| Block {
            config: block.config,
            conv: block.conv.shallow_clone(),
            gain: block.gain.shallow_clone(),
            bias: block.bias.shallow_clone(),
            running_mean: block.running_mean.shallow_clone(),
            running_var: block.running_var.shallow_clone(),
        };
        Self {
            blocks: self.blocks.iter().map(share).collect(),
            head: self.head,
            weight: self.weight.shallow_clone(),
            bias: self.bias.shallow_clone(),
        }
    }

    /// What training changes, in the order of the layers.
    pub(crate) fn trainable(&self) -> Vec<Tensor> {
        let blocks = self.blocks.iter().flat_map(|block| [&block.conv, &block.gain, &block.bias]);
        blocks.chain([&self.weight, &self.bias]).map(Tensor::shallow_clone).collect()
    }

    /// The function of [`Net::forward_t`] without training, batch norm made part of the convolutions:
    /// weight · g / √(var + ε) and bias - mean · g / √(var + ε).
    pub fn folded(&self) -> Folded {
        let blocks = tch::no_grad(|| {
            let fold = |block: &Block| {
                let scale = &block.gain / (&block.running_var + EPSILON).sqrt();
                FoldedBlock {
                    config: block.config,
                    weight: Weight::Floats(
                        channels_last(&(&block.conv * scale.view([-1, 1, 1, 1]))).detach(),
                    ),
                    bias: (&block.bias - &block.running_mean * scale).detach(),
                }
            };
            self.blocks.iter().map(fold).collect()
        });
        let weight = Weight::Floats(self.weight.detach());
        Folded { blocks, head: self.head, weight, bias: self.bias.detach() }
    }
}

/// The same values in the order that convolutions compute with: a sixth less time for a single image.
fn channels_last(weight: &Tensor) -> Tensor {
    weight.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// A trained [`Net`] for inference.
#[derive(Debug)]
pub struct Folded {
    blocks: Vec<FoldedBlock>,
    head: Head,
    weight: Weight,
    bias: Tensor,
}

#[derive(Debug)]
struct FoldedBlock {
    config: BlockConfig,
    weight: Weight,
    bias: Tensor,
}

impl Folded {
    /// `[N, C, H, W]`, normalised, to logits `[N, classes]`, for any N.
    pub fn forward(&self, images: &Tensor) -> Tensor {
        let mut x = images.shallow_clone();
        for FoldedBlock { config, weight, bias } in &self.blocks {
            let (stride, padding) = (config.stride, config.padding());
            x = x
                .conv2d(
                    &weight.floats(),
                    Some(bias),
                    [stride, stride],
                    [padding, padding],
                    [1, 1],
                    1,
                )
                .relu_();
            x = max_pool(x, config.pool);
        }
        head(&x, self.head, &self.weight.floats(), &self.bias)
    }

    /// Nearly the same function, of weights that take a quarter of the space.
    #[must_use]
    pub fn in_int8(self) -> Self {
        let block = |block: FoldedBlock| FoldedBlock { weight: block.weight.in_int8(), ..block };
        let blocks = self.blocks.into_iter().map(block).collect();
        Self { blocks, weight: self.weight.in_int8(), ..self }
    }
}

fn max_pool(x: Tensor, side: i64) -> Tensor {
    if side == 1 { x } else { x.max_pool2d([side, side], [side, side], [0, 0], [1, 1], false) }
}

fn head(x: &Tensor, head: Head, weight: &Tensor, bias: &Tensor) -> Tensor {
    let features = match head {
        Head::Average => x.mean_dim(&[2i64, 3][..], false, None::<Kind>),
        // Not `flat_view`, which would write the batch size into a trace.
        Head::Flatten => x.flatten(1, -1),
    };
    features.linear(weight, Some(bias))
}
