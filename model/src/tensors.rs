//! Named tensors as one file in the safetensors format, there and back: what the artifact's weights and
//! a checkpoint are made of. The same tensors and metadata give the same bytes.

use std::collections::{BTreeMap, HashMap};

use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tch::kind::Element;
use tch::{Kind, TchError, Tensor};

/// 32-bit floats, or 8-bit integers, by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// What a file says besides its tensors.
pub type Metadata = HashMap<String, String>;

#[derive(Debug, thiserror::Error)]
pub enum TensorsError {
    #[error("`{0}` holds neither 32-bit floats nor 8-bit integers")]
    Kind(String),
    #[error("the values of `{name}` cannot be copied: {source}")]
    Values { name: String, source: TchError },
    #[error(transparent)]
    Format(#[from] SafeTensorError),
}

/// Little-endian, row-major, on whatever device a tensor is.
pub fn to_bytes(tensors: &Tensors, metadata: Option<Metadata>) -> Result<Vec<u8>, TensorsError> {
    let mut parts = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let values = tensor.detach().flatten(0, -1).contiguous();
        let (dtype, bytes) = match tensor.kind() {
            Kind::Float => (Dtype::F32, bytes(&values, f32::to_le_bytes)),
            Kind::Int8 => (Dtype::I8, bytes(&values, i8::to_le_bytes)),
            _ => return Err(TensorsError::Kind(name.clone())),
        };
        let bytes = bytes.map_err(|source| TensorsError::Values { name: name.clone(), source })?;
        parts.push((name, dtype, shape(tensor), bytes));
    }
    let views = parts
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?))
        })
        .collect::<Result<Vec<_>, SafeTensorError>>()?;
    Ok(safetensors::serialize(views, metadata)?)
}

/// Of a tensor of one dimension.
fn bytes<T: Element, const N: usize>(
    values: &Tensor,
    to_bytes: impl Fn(T) -> [u8; N],
) -> Result<Vec<u8>, TchError> {
    let mut copied = vec![T::ZERO; values.numel()];
    values.f_copy_data(&mut copied, values.numel())?;
    Ok(copied.into_iter().flat_map(to_bytes).collect())
}

pub fn from_bytes(bytes: &[u8]) -> Result<(Tensors, Metadata), TensorsError> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let file = SafeTensors::deserialize(bytes)?;
    let mut tensors = Tensors::new();
    for (name, view) in file.iter() {
        let values = match view.dtype() {
            Dtype::F32 => {
                let (values, _) = view.data().as_chunks();
                let values = values.iter().map(|value| f32::from_le_bytes(*value));
                Tensor::from_slice(&values.collect::<Vec<f32>>())
            }
            Dtype::I8 => {
                let values = view.data().iter().map(|value| i8::from_le_bytes([*value]));
                Tensor::from_slice(&values.collect::<Vec<i8>>())
            }
            _ => return Err(TensorsError::Kind(name.to_owned())),
        };
        let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        tensors.insert(name.to_owned(), values.view(&shape[..]));
    }
    Ok((tensors, header.metadata().clone().unwrap_or_default()))
}

pub fn shape(tensor: &Tensor) -> Vec<usize> {
    let sizes = tensor.size().into_iter();
    sizes.map(|size| usize::try_from(size).expect("a side is not negative")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors() -> Tensors {
        let values: [f32; 6] = [0.0, -0.0, f32::MIN_POSITIVE / 2.0, 1.0e30, -1.5, f32::INFINITY];
        let matrix = Tensor::from_slice(&values).view([2, 3]);
        // Transposed in memory too: what is written goes by rows all the same.
        let turned = matrix.tr();
        let small = Tensor::from_slice(&[-128i8, -1, 0, 127]).view([2, 2]);
        [("matrix", matrix), ("turned", turned), ("scalar", Tensor::from(0.1f32)), ("small", small)]
            .map(|(name, tensor)| (name.to_owned(), tensor))
            .into()
    }

    #[test]
    fn every_bit_name_and_shape_comes_back() {
        let written = tensors();
        let metadata = Metadata::from([("what".to_owned(), "a test".to_owned())]);
        let bytes = to_bytes(&written, Some(metadata.clone())).unwrap();
        let (read, told) = from_bytes(&bytes).unwrap();
        assert_eq!(told, metadata);
        assert!(read.keys().eq(written.keys()));
        for (name, tensor) in &written {
            assert_eq!(shape(&read[name]), shape(tensor), "{name}");
            let bits = |tensor: &Tensor| -> Vec<u32> {
                let values =
                    Vec::<f32>::try_from(tensor.flatten(0, -1).to_kind(Kind::Float)).unwrap();
                values.into_iter().map(f32::to_bits).collect()
            };
            assert_eq!(bits(&read[name]), bits(tensor), "{name}");
        }
        assert_eq!(to_bytes(&read, Some(metadata)).unwrap(), bytes);
    }

    #[test]
    fn other_numbers_are_refused_by_name() {
        for kind in [Kind::Double, Kind::Half, Kind::Int64] {
            let tensors = [("odd".to_owned(), Tensor::zeros([2], (kind, tch::Device::Cpu)))];
            let error = to_bytes(&tensors.into(), None).unwrap_err();
            assert_eq!(error.to_string(), "`odd` holds neither 32-bit floats nor 8-bit integers");
        }
        let half = [0u8; 4];
        let view = TensorView::new(Dtype::F16, vec![2], &half).unwrap();
        let file = safetensors::serialize([("odd", view)], None).unwrap();
        let error = from_bytes(&file).unwrap_err();
        assert_eq!(error.to_string(), "`odd` holds neither 32-bit floats nor 8-bit integers");
    }
}
