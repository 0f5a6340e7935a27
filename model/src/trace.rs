//! From a trained net to TorchScript: pixels in, probabilities out.
//!
//! Normalisation and softmax are inside, so whoever loads the file (this service, Python, Triton) cannot
//! disagree about either. The weights are constants and the batch size stays free.

use contract::task::Task;
use tch::{CModule, Device, Kind, TchError, Tensor};

use crate::net::{Folded, Normaliser};

/// Input: bytes `[N, height, width, channels]`, as pictures lie in memory. Output: `[N, classes]`.
pub fn trace(net: &Folded, task: &Task) -> Result<CModule, TchError> {
    let shape = task.input;
    // Two images, because an operation may treat a batch of one as a special case.
    let sizes = [2, shape.height, shape.width, shape.channels].map(|size| size as i64);
    let example = Tensor::f_zeros(sizes, (Kind::Uint8, Device::Cpu))?;
    let normaliser = Normaliser::new(&task.normalisation, Device::Cpu);
    let mut forward = |inputs: &[Tensor]| {
        let images = normaliser.apply(&inputs[0].permute([0, 3, 1, 2]));
        vec![net.forward(&images).softmax(-1, Kind::Float)]
    };
    tch::no_grad(|| CModule::create_by_tracing("Classifier", "forward", &[example], &mut forward))
}
