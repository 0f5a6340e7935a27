//! Whole channels removed from a net: what is left is a smaller net of the same kind, which any program computes
//! faster.
//!
//! Of each block go the channels whose filters, batch norm folded into them, have the least sum of absolute weights:
//! Li et al., "Pruning filters for efficient `ConvNets`", 2017.

use contract::image::Shape;
use tch::{Kind, Tensor, no_grad};

use crate::net::{EPSILON, Head, NetConfig};
use crate::tensors::Tensors;

/// `weights` are the variables of `net` for images of this shape. At least one channel of each block is kept.
pub(super) fn prune(
    weights: &Tensors,
    net: &NetConfig,
    input: Shape,
    share: f64,
) -> (Tensors, NetConfig) {
    let mut smaller = Smaller { weights, kept: Tensors::new() };
    let mut config = net.clone();
    let mut before: Option<Tensor> = None;
    for (i, block) in config.blocks.iter_mut().enumerate() {
        let variable = |name: &str| format!("blocks.{i}.{name}");
        block.channels = left(block.channels, share);
        let here = most_important(
            &weights[&variable("conv.weight")],
            &weights[&variable("norm.weight")],
            &weights[&variable("norm.running_var")],
            block.channels,
        );
        smaller.keep(&variable("conv.weight"), |conv| {
            let conv = conv.index_select(0, &here);
            before.as_ref().map_or(conv.shallow_clone(), |before| conv.index_select(1, before))
        });
        for name in ["norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"] {
            smaller.keep(&variable(name), |values| values.index_select(0, &here));
        }
        before = Some(here);
    }
    smaller.keep("head.bias", Tensor::shallow_clone);
    smaller.keep("head.weight", |weight| match (&before, net.head) {
        (None, _) => weight.shallow_clone(),
        (Some(before), Head::Average) => weight.index_select(1, before),
        (Some(before), Head::Flatten) => {
            let (height, width) = net.output(input).unwrap_or((1, 1));
            let by_channel = weight.view([weight.size()[0], -1, height * width]);
            by_channel.index_select(1, before).flatten(1, -1)
        }
    });
    (smaller.kept, config)
}

struct Smaller<'a> {
    weights: &'a Tensors,
    kept: Tensors,
}

impl Smaller<'_> {
    fn keep(&mut self, name: &str, part: impl FnOnce(&Tensor) -> Tensor) {
        let kept = no_grad(|| part(&self.weights[name]).contiguous());
        self.kept.insert(name.to_owned(), kept);
    }
}

fn left(channels: i64, share: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a share of a count that fits")]
    let left = (channels as f64 * (1.0 - share)).round() as i64;
    left.clamp(1, channels)
}

/// Positions of `count` channels, ascending.
fn most_important(conv: &Tensor, gain: &Tensor, variance: &Tensor, count: i64) -> Tensor {
    let scale = (gain / (variance + EPSILON).sqrt()).abs();
    let importance = conv.abs().flatten(1, -1).sum_dim_intlist(1, false, Kind::Float) * scale;
    let (_, positions) = importance.topk(count, 0, true, true);
    positions.sort(0, false).0
}

#[cfg(test)]
mod tests {
    use tch::nn::VarStore;
    use tch::{Device, Kind};

    use super::*;
    use crate::net::Net;

    const SHAPE: Shape = Shape { height: 12, width: 12, channels: 2 };

    fn config(head: &str) -> NetConfig {
        let text = format!(
            "{{ blocks: [{{ channels: 8, kernel: 5 }}, {{ channels: 6, stride: 2, pool: 2 }}], head: {head} }}"
        );
        serde_yaml::from_str(&text).unwrap()
    }

    fn net(config: &NetConfig) -> (VarStore, Net) {
        let vars = VarStore::new(Device::Cpu);
        let net = Net::new(&vars.root(), SHAPE, 3, config).unwrap();
        (vars, net)
    }

    #[test]
    fn without_channels_that_say_nothing_the_net_says_what_it_said() {
        for head in ["average", "flatten"] {
            let config = config(head);
            let (vars, mut whole) = net(&config);
            whole.initialise(7);
            let variables: Tensors = vars.variables().into_iter().collect();
            // Half of each block: without gain and bias a channel is zero for every image.
            let silent = [("blocks.0", &[0i64, 3, 4, 7][..]), ("blocks.1", &[1, 2, 5])];
            for (block, channels) in silent {
                for name in ["norm.weight", "norm.bias"] {
                    let mut values = variables[&format!("{block}.{name}")].shallow_clone();
                    no_grad(|| {
                        drop(values.index_fill_(0, &Tensor::from_slice(channels), 0.0));
                    });
                }
            }
            let (kept, smaller) = prune(&variables, &config, SHAPE, 0.5);
            assert_eq!(smaller.blocks.iter().map(|b| b.channels).collect::<Vec<_>>(), [4, 3]);
            let (vars, pruned) = net(&smaller);
            for (name, mut variable) in vars.variables() {
                no_grad(|| variable.copy_(&kept[&name]));
            }
            let images = Tensor::arange(5 * 288, (Kind::Float, Device::Cpu)).sin();
            let images = images.view([5, 2, 12, 12]);
            let off = whole.forward_t(&images, false) - pruned.forward_t(&images, false);
            let off = off.abs().max().double_value(&[]);
            assert!(off < 1e-5, "{head}: {off}");
        }
    }

    #[test]
    fn something_is_always_left() {
        assert_eq!([0.0, 0.25, 0.5, 0.999].map(|share| left(16, share)), [16, 12, 8, 1]);
        assert_eq!(left(1, 0.9), 1);
    }
}
