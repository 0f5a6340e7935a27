//! One step of SGD or AdamW in plain tensor operations: unlike tch's optimisers, all state is ours to
//! write to a checkpoint.

use tch::{Kind, Tensor, no_grad};

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

/// Scales gradients down together so that their norm is at most `limit`: Pascanu et al., "On the
/// difficulty of training recurrent neural networks", 2013. The steep start of a new task would
/// otherwise throw weights to where no rectifier lets anything through.
pub(crate) fn clip(gradients: &mut [Tensor], limit: f64) {
    no_grad(|| {
        let squares: f64 =
            gradients.iter().map(|g| g.square().sum(Kind::Float).double_value(&[])).sum();
        let norm = squares.sqrt();
        if norm > limit {
            for gradient in gradients {
                *gradient *= limit / norm;
            }
        }
    });
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
                    let gradient = gradient + &parameter.value * decay;
                    let velocity = &mut parameter.memory[0];
                    *velocity *= momentum;
                    *velocity += &gradient;
                    parameter.value -= (gradient + &*velocity * momentum) * rate;
                }
                Optimiser::AdamW { beta1, beta2, weight_decay } => {
                    let decay = parameter.decay(weight_decay);
                    let [mean, square] = &mut parameter.memory[..] else {
                        unreachable!("two buffers were made");
                    };
                    *mean *= beta1;
                    *mean += gradient * (1.0 - beta1);
                    *square *= beta2;
                    *square += gradient.square() * (1.0 - beta2);
                    let count = (step + 1) as f64;
                    let mean = &*mean / (1.0 - beta1.powf(count));
                    let root = (&*square / (1.0 - beta2.powf(count))).sqrt() + ADAM_EPSILON;
                    parameter.value *= 1.0 - rate * decay;
                    parameter.value -= mean / root * rate;
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use tch::Device;
    use tch::nn::{self, OptimizerConfig, VarStore};

    use super::*;

    /// The same ten steps down the same valley as tch's own optimiser.
    fn check(ours: Optimiser, theirs: impl OptimizerConfig) {
        let start = Tensor::arange(6, (Kind::Float, Device::Cpu)).view([2, 3]) + 1.0;
        let loss = |value: &Tensor| (value.sin() * value.square()).sum(Kind::Float);
        let vars = VarStore::new(Device::Cpu);
        let reference = vars.root().var_copy("value", &start);
        let mut optimizer = theirs.build(&vars, 0.05).unwrap();
        let value = start.copy().set_requires_grad(true);
        let mut parameters = [Parameter::new(value, ours)];
        for step in 0..10 {
            optimizer.backward_step(&loss(&reference));
            let value = &parameters[0].value;
            let gradients = Tensor::run_backward(&[&loss(value)], &[value], false, false);
            update(ours, &mut parameters, &gradients, 0.05, step);
            let difference = (&parameters[0].value - &reference).abs().max().double_value(&[]);
            assert!(difference < 1e-5, "{difference} after step {step}");
        }
    }

    #[test]
    fn a_long_gradient_keeps_its_direction_and_a_short_one_its_length() {
        let mut gradients = [Tensor::from_slice(&[3f32, 0.0]), Tensor::from_slice(&[4f32])];
        clip(&mut gradients, 10.0);
        clip(&mut gradients, 1.0);
        let values = gradients.each_ref().map(|g| Vec::<f32>::try_from(g).unwrap()).concat();
        for (value, expected) in values.iter().zip([0.6, 0.0, 0.8]) {
            assert!((value - expected).abs() < 1e-6, "{values:?}");
        }
    }

    #[test]
    fn sgd_is_nesterovs_as_libtorch_has_it() {
        let theirs = nn::Sgd { momentum: 0.9, dampening: 0.0, wd: 0.01, nesterov: true };
        check(Optimiser::Sgd { momentum: 0.9, weight_decay: 0.01 }, theirs);
    }

    #[test]
    fn adam_w_is_as_libtorch_has_it() {
        let theirs = nn::AdamW { beta1: 0.9, beta2: 0.99, wd: 0.1, ..nn::AdamW::default() };
        check(Optimiser::AdamW { beta1: 0.9, beta2: 0.99, weight_decay: 0.1 }, theirs);
    }
}
