//! One step of SGD or AdamW in plain tensor operations: unlike tch's optimisers, all state is ours to
//! write to a checkpoint.

use tch::{Tensor, no_grad};

use crate::recipe::Optimiser;

/// A trainable variable with what the optimiser remembers of it.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) value: Tensor,
    /// Momentum; for `AdamW`, the means of the gradient and of its square.
    pub(crate) memory: Vec<Tensor>,
}

impl Parameter {
    pub(crate) fn new(value: Tensor, optimiser: Optimiser) -> Self {
        let buffers = match optimiser {
            Optimiser::Sgd { .. } => 1,
            Optimiser::AdamW { .. } => 2,
        };
        let memory = (0..buffers).map(|_| value.detach().zeros_like()).collect();
        Self { value, memory }
    }

    /// Weights decay; gains and biases, which have one dimension, do not.
    fn decay(&self, weight_decay: f64) -> f64 {
        if self.value.dim() > 1 { weight_decay } else { 0.0 }
    }
}

const ADAM_EPSILON: f64 = 1e-8;

/// `step` counts from 0 and must grow by one from call to call.
pub(crate) fn update(
    optimiser: Optimiser,
    parameters: &mut [Parameter],
    gradients: &[Tensor],
    rate: f64,
    step: usize,
) {
    no_grad(|| {
        for (parameter, gradient) in parameters.iter_mut().zip(gradients) {
            match optimiser {
                Optimiser::Sgd { momentum, weight_decay } => {
                    let decay = parameter.decay(weight_decay);
                    let gradient = if decay > 0.0 {
                        gradient + &parameter.value * decay
                    } else {
                        gradient.shallow_clone()
                    };
                    let velocity = &mut parameter.memory[0];
                    let _ = velocity.g_mul_scalar_(momentum).g_add_(&gradient);
                    let _ = parameter.value.g_sub_(&((gradient + &*velocity * momentum) * rate));
                }
                Optimiser::AdamW { beta1, beta2, weight_decay } => {
                    let decay = parameter.decay(weight_decay);
                    let [mean, square] = &mut parameter.memory[..] else {
                        unreachable!("two buffers were made");
                    };
                    let _ = mean.g_mul_scalar_(beta1).g_add_(&(gradient * (1.0 - beta1)));
                    let _ =
                        square.g_mul_scalar_(beta2).g_add_(&(gradient.square() * (1.0 - beta2)));
                    let count = (step + 1) as f64;
                    let mean = &*mean / (1.0 - beta1.powf(count));
                    let root = (&*square / (1.0 - beta2.powf(count))).sqrt() + ADAM_EPSILON;
                    let _ = parameter.value.g_mul_scalar_(1.0 - rate * decay);
                    let _ = parameter.value.g_sub_(&(mean / root * rate));
                }
            }
        }
    });
}
