//! Bodies of the Open Inference Protocol.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use protocol::content::Content;
use protocol::v2::Output;
use protocol::v2::request::Inference;
use serde_json::{Value, json};

use crate::bodies::{GREY, LIMIT, RGB, pictures};
use crate::{TEXT, Target, well_refused};

pub const TENSORS: Target = Target { name: "tensors", seeds, run: read_tensors, memory: TEXT };

/// Two bytes with the length of the JSON, where not all is, then the body. The lowest bit of the first of them
/// chooses the shape.
fn read_tensors(input: &[u8]) {
    let Some((length, body)) = input.split_first_chunk() else { return };
    let shape = if length[0] & 1 == 0 { GREY } else { RGB };
    let header = Some(usize::from(u16::from_le_bytes(*length) >> 1)).filter(|length| *length > 0);
    let read = match Inference::read(body, header, shape, LIMIT) {
        Ok(read) => read,
        Err(refusal) => return well_refused(&refusal),
    };
    assert!((1..=LIMIT).contains(&read.images.len()), "{} images", read.images.len());
    for content in &read.images {
        assert!(!matches!(content, Content::Image(image) if image.shape() != shape));
    }
    assert!(read.pointer(0).starts_with("/inputs/0"));
    let outputs = &read.asked.outputs;
    assert!(
        matches!(
            outputs[..],
            [_] | [(Output::Label, _), (Output::Probabilities, _)]
                | [(Output::Probabilities, _), (Output::Label, _)]
        ),
        "{outputs:?}"
    );
}

fn seeds() -> Vec<Vec<u8>> {
    let png = STANDARD.encode(&pictures()[0]);
    let flat = [0, 51, 102, 153, 204, 255];
    let tensor = |datatype: &str, shape: Value, data: Value| json!({ "name": "image", "datatype": datatype, "shape": shape, "data": data });
    let inputs = [
        tensor("UINT8", json!([1, 6]), json!(flat)),
        tensor("INT64", json!([1, 2, 3]), json!([[[0, 1, 2], [3, 4, 255]]])),
        tensor("FP32", json!([2, 1, 2, 3]), json!([0.0, 0.2, 0.4, 0.6, 0.8, 1, 0, 1, 0, 1, 0, 1])),
        tensor("BYTES", json!([2, 1]), json!([[png], [png]])),
    ];
    let mut seeds: Vec<Vec<u8>> =
        inputs.iter().map(|input| seed(&json!({ "inputs": [input] }), None)).collect();
    let outputs = json!([
        { "name": "label", "parameters": { "binary_data": true } },
        { "name": "probabilities" },
    ]);
    let parameters = json!({ "binary_data_output": true });
    let whole =
        json!({ "id": "1", "inputs": [inputs[0]], "outputs": outputs, "parameters": parameters });
    seeds.push(seed(&whole, None));
    let file = [&[3, 0, 0, 0][..], &[1, 2, 3]].concat();
    let halves = [0x0000u16, 0x3266, 0x3666, 0x38cd, 0x3a66, 0x3c00].map(u16::to_le_bytes);
    let reals = [0f32, 0.2, 0.4, 0.6, 0.8, 1.0].map(f32::to_le_bytes);
    for (datatype, shape, raw) in [
        ("UINT8", json!([1, 2, 3]), flat.map(|pixel: u8| pixel).to_vec()),
        ("FP16", json!([1, 6]), halves.concat()),
        ("FP32", json!([1, 1, 2, 3]), reals.concat()),
        ("BYTES", json!([1]), file),
    ] {
        seeds.push(seed(&json!({ "inputs": [binary(datatype, &shape, raw.len())] }), Some(&raw)));
    }
    seeds
}

/// A tensor of the extension `binary_tensor_data`.
pub(crate) fn binary(datatype: &str, shape: &Value, bytes: usize) -> Value {
    let parameters = json!({ "binary_data_size": bytes });
    json!({ "name": "image", "datatype": datatype, "shape": shape, "parameters": parameters })
}

fn seed(json: &Value, raw: Option<&[u8]>) -> Vec<u8> {
    let json = json.to_string().into_bytes();
    let length = raw.map_or(0, |_| u16::try_from(json.len() << 1).expect("seeds are short"));
    [&length.to_le_bytes()[..], &json, raw.unwrap_or_default()].concat()
}
