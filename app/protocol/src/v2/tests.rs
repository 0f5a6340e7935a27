use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract::image::Shape;
use serde_json::{Value, json};

use super::Output;
use super::request::{Form, Inference};
use crate::content::Content;
use crate::problem::{Code, Refusal};

const GREY: Shape = Shape { height: 2, width: 3, channels: 1 };
const RGB: Shape = Shape { height: 1, width: 2, channels: 3 };
const LIMIT: usize = 3;

fn read(shape: Shape, body: &Value) -> Result<Inference, Refusal> {
    Inference::read(body.to_string().as_bytes(), None, shape, LIMIT)
}

fn body(datatype: &str, shape: impl serde::Serialize, data: impl serde::Serialize) -> Value {
    json!({ "inputs": [{ "name": "image", "datatype": datatype, "shape": shape, "data": data }] })
}

fn pixels(inference: Inference) -> Vec<Vec<u8>> {
    let pixels = |content| match content {
        Content::Image(image) => image.pixels().to_vec(),
        Content::Picture(bytes) => bytes,
    };
    inference.images.into_iter().map(pixels).collect()
}

#[track_caller]
fn reads(shape: Shape, body: &Value, images: &[[u8; 6]]) {
    let read = read(shape, body).unwrap_or_else(|refusal| panic!("{refusal:?} for {body}"));
    assert_eq!(pixels(read), images, "{body}");
}

/// The refusal's code, its pointer, and all of these in its words.
#[track_caller]
fn refuses(shape: Shape, body: &Value, code: Code, pointer: &str, details: &[&str]) {
    let refusal = read(shape, body).expect_err(&body.to_string());
    let found = refusal.errors.first().map_or("", |mistake| &mistake.pointer);
    assert_eq!((refusal.code, found), (code, pointer), "{refusal:?}");
    for detail in details {
        assert!(refusal.detail.contains(detail), "`{detail}` missing in {refusal:?}");
    }
}

#[test]
fn nested_and_flat_data_of_every_shape_are_the_same_images() {
    let image = [0, 1, 2, 3, 4, 255];
    for (shape, data) in [
        (json!([1, 2, 3]), json!([[[0, 1, 2], [3, 4, 255]]])),
        (json!([1, 6]), json!([[0, 1, 2, 3, 4, 255]])),
        (json!([1, 2, 3, 1]), json!([[[[0], [1], [2]], [[3], [4], [255]]]])),
        (json!([1, 1, 2, 3]), json!([[[[0, 1, 2], [3, 4, 255]]]])),
    ] {
        reads(GREY, &body("UINT8", &shape, data), &[image]);
        reads(GREY, &body("UINT8", shape, image), &[image]);
    }
    reads(RGB, &body("UINT8", [1, 1, 2, 3], image), &[image]);
    reads(RGB, &body("UINT8", [1, 3, 1, 2], [0, 3, 1, 4, 2, 255]), &[image]);
    let nested = json!([[[[0, 3]], [[1, 4]], [[2, 255]]]]);
    reads(RGB, &body("UINT8", [1, 3, 1, 2], nested), &[image]);
}

#[test]
fn a_batch_is_read_in_its_order() {
    let two = [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]];
    reads(GREY, &body("UINT8", [2, 6], two), &two);
    reads(GREY, &body("UINT8", [2, 2, 3], two.concat()), &two);
    let planes = [[1, 4, 2, 5, 3, 6], [7, 10, 8, 11, 9, 12]];
    reads(RGB, &body("UINT8", [2, 3, 1, 2], planes.concat()), &two);
}

#[test]
fn every_datatype_says_the_same_in_its_own_scale() {
    let image = [0, 51, 102, 153, 204, 255];
    for datatype in ["UINT8", "UINT16", "UINT32", "UINT64", "INT16", "INT32", "INT64"] {
        reads(GREY, &body(datatype, [1, 6], image), &[image]);
        reads(GREY, &body(datatype, [1, 6], image.map(f64::from)), &[image]);
    }
    for datatype in ["FP16", "FP32", "FP64"] {
        reads(GREY, &body(datatype, [1, 6], json!([0, 0.2, 0.4, 0.6, 0.8, 1])), &[image]);
        reads(GREY, &body(datatype, [1, 6], json!([0, 0.2, 0.4, 0.6, 0.8, 1.0])), &[image]);
    }
}

#[test]
fn bytes_are_files_in_base64_that_are_decoded_later() {
    let check = |shape: Value, data: Value| {
        let read = read(GREY, &body("BYTES", shape, data)).unwrap();
        assert_eq!(read.pointer(1), "/inputs/0/data/1");
        assert_eq!(pixels(read), [[1, 2, 3], [4, 5, 6]]);
    };
    check(json!([2]), json!(["AQID", "data:image/png;base64,BAUG"]));
    check(json!([2, 1]), json!([["AQID"], ["BAUG"]]));
    check(json!([2, 1]), json!(["AQID", "BAUG"]));
}

#[test]
fn fields_may_come_in_any_order_and_what_is_unknown_is_passed_over() {
    let body = r#"{
        "model_name": "x", "parameters": {"priority": 3, "headers": {"a": [1]}},
        "inputs": [{"data": [1, 2, 3, 4, 5, 6], "more": [[]], "datatype": "UINT8", "shape": [1, 6],
                    "parameters": {"content_type": "np"}, "name": "image"}],
        "outputs": null, "id": null
    }"#;
    let read = Inference::read(body.as_bytes(), None, GREY, LIMIT).unwrap();
    assert_eq!(read.asked.id, None);
    assert_eq!(pixels(read), [[1, 2, 3, 4, 5, 6]]);
}

#[test]
fn the_answer_is_told_what_was_asked_for() {
    use Form::{Binary, Json};
    use Output::{Label, Probabilities};

    let check = |more: Value, expected: &[(Output, Form)]| {
        let mut body = body("UINT8", [1, 6], [0; 6]);
        body["id"] = json!("a/b");
        body.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
        let asked = read(GREY, &body).unwrap().asked;
        assert_eq!((asked.id.as_deref(), &*asked.outputs), (Some("a/b"), expected), "{more}");
    };
    check(json!({}), &[(Probabilities, Json), (Label, Json)]);
    check(json!({ "outputs": [] }), &[(Probabilities, Json), (Label, Json)]);
    check(json!({ "outputs": [{ "name": "label" }] }), &[(Label, Json)]);
    let all = json!({ "parameters": { "binary_data_output": true } });
    check(all, &[(Probabilities, Binary), (Label, Binary)]);
    let some = json!({
        "parameters": { "binary_data_output": true },
        "outputs": [
            { "name": "label" },
            { "name": "probabilities", "parameters": { "binary_data": false } },
        ],
    });
    check(some, &[(Label, Binary), (Probabilities, Json)]);
}

#[test]
fn a_wrong_tensor_is_told_what_would_do() {
    let check = |body: Value, pointer, details: &[&str]| {
        refuses(GREY, &body, Code::InvalidTensor, pointer, details);
    };
    let good = || body("UINT8", [1, 6], [0; 6]);
    let with = |field: &str, value: Value| {
        let mut body = good();
        body["inputs"][0][field] = value;
        body
    };
    let without = |field: &str| {
        let mut body = good();
        body["inputs"][0].as_object_mut().unwrap().remove(field);
        body
    };
    check(json!([]), "", &["expected an object with `inputs`"]);
    check(json!({}), "", &["missing field `inputs`"]);
    check(json!({ "inputs": {} }), "/inputs", &["expected an array of one tensor, `image`"]);
    check(json!({ "inputs": [] }), "/inputs", &["expected an array of one tensor"]);
    let two = json!({ "inputs": [good()["inputs"][0], 7] });
    check(two, "/inputs", &["invalid length 2, expected an array of one tensor"]);
    check(json!({ "inputs": [7] }), "/inputs/0", &["expected an object with `name`"]);
    check(without("shape"), "/inputs/0", &["missing field `shape`"]);
    check(without("data"), "/inputs/0", &["tensor `image`", "neither `data` nor"]);
    check(with("name", json!("input_1")), "/inputs/0/name", &["`input_1`", "is `image`"]);
    check(with("name", json!(7)), "/inputs/0/name", &["expected a string"]);
    check(with("datatype", json!("INT8")), "/inputs/0/datatype", &["`INT8`", "UINT8, UINT16"]);
    for shape in [json!([]), json!([6]), json!([0, 6]), json!([1, 3, 2]), json!([1, 2, 3, 1, 1])] {
        let details = ["tensor `image`", "holds no 2×3×1 images", "[N,2,3]", "[N,1,2,3]", "[N,6]"];
        check(with("shape", shape), "/inputs/0/shape", &details);
    }
    check(with("shape", json!([-1, 6])), "/inputs/0/shape/0", &["`-1`, expected a length"]);
    check(with("shape", json!("1x6")), "/inputs/0/shape", &["expected a sequence"]);
    check(with("data", json!(7)), "/inputs/0/data", &["expected an array"]);
    check(with("data", json!([])), "/inputs/0/data", &["expected 6 elements", "found 0"]);
    check(with("data", json!([1, 2])), "/inputs/0/data", &["the shape [1, 6], found 2"]);
    check(with("data", json!([[1, 2]])), "/inputs/0/data/0", &["6 elements here", "found 2"]);
    check(with("data", json!([[1], 2])), "/inputs/0/data/0", &["found 1"]);
    check(with("data", json!([1, [2]])), "/inputs/0/data/1", &["found an array"]);
    check(with("data", json!([[[1]]])), "/inputs/0/data/0/0", &["found an array"]);
    check(with("data", json!([1, "2"])), "/inputs/0/data/1", &["from 0 to 255, found a string"]);
    check(with("data", json!([1, null])), "/inputs/0/data/1", &["null", "from 0 to 255"]);
    check(with("data", json!([true])), "/inputs/0/data/0", &["boolean", "from 0 to 255"]);
    let picture = |data| body("BYTES", [1], data);
    check(picture(json!("AQID")), "/inputs/0/data", &["expected an array"]);
    check(picture(json!([7])), "/inputs/0/data/0", &["a PNG or JPEG as a base64 string, found 7"]);
    check(picture(json!(["%%"])), "/inputs/0/data/0", &["base64"]);
    check(picture(json!(["AQID", "AQID"])), "/inputs/0/data", &["expected 1 elements", "found 2"]);
    check(body("BYTES", [1, 6], ["AQID"]), "/inputs/0/shape", &["[N] or [N,1]"]);
    check(
        body("UINT8", [1, 2, 3], [[1, 2, 3]]),
        "/inputs/0/data/0/0",
        &["expected an array, found 1"],
    );
    let outputs = |outputs: Value| {
        let mut body = good();
        body["outputs"] = outputs;
        body
    };
    let unknown = outputs(json!([{ "name": "scores" }]));
    check(unknown, "/outputs/0/name", &["`scores`", "`probabilities` or `label`"]);
    let twice = outputs(json!([{ "name": "label" }, { "name": "label" }]));
    check(twice, "/outputs/1", &["twice"]);
    let top = json!([{ "name": "label", "parameters": { "classification": 3 } }]);
    check(outputs(top), "/outputs/0", &["`probabilities` has every class"]);
    let shared = json!([{ "name": "label", "parameters": { "shared_memory_region": "r" } }]);
    check(outputs(shared), "/outputs/0", &["shared memory"]);
}

#[test]
fn a_number_that_is_no_pixel_is_another_mistake_than_a_wrong_tensor() {
    let check = |datatype, data: Value, pointer, details: &[&str]| {
        refuses(GREY, &body(datatype, [1, 6], data), Code::InvalidImage, pointer, details);
    };
    check("UINT8", json!([0, 256]), "/inputs/0/data/1", &["tensor `image`", "found 256"]);
    check("INT32", json!([[0, -1]]), "/inputs/0/data/0/1", &["found -1"]);
    check("UINT8", json!([0.5]), "/inputs/0/data/0", &["found 0.5", "FP32 takes 0 to 1"]);
    check("FP32", json!([0.5, 37]), "/inputs/0/data/1", &["found 37", "UINT8 takes 0 to 255"]);
    check("FP32", json!([1.5]), "/inputs/0/data/0", &["found 1.5"]);
}

#[test]
fn more_images_than_the_limit_are_refused_before_they_are_read() {
    let body = body("UINT8", [4, 6], "not even an array");
    refuses(GREY, &body, Code::TooManyImages, "/inputs/0/shape", &["4 images", "at most 3"]);
    let body = self::body("UINT8", [u64::MAX, 6], [0]);
    refuses(GREY, &body, Code::TooManyImages, "/inputs/0/shape", &["at most 3"]);
}

#[test]
fn what_is_not_json_is_malformed_wherever_it_stands() {
    let check = |body: &str| {
        let refusal = Inference::read(body.as_bytes(), None, GREY, LIMIT).unwrap_err();
        assert_eq!(refusal.code, Code::MalformedJson, "{body}: {refusal:?}");
    };
    let whole = body("UINT8", [1, 6], [0; 6]).to_string();
    check("");
    check(&whole[..whole.len() - 1]);
    check(&format!("{whole}}}"));
    check(&whole.replace("[0,0,0,0,0,0]", "[0,0,0,0,0,]"));
    check(&whole.replace("[0,0,0,0,0,0]", "[01,0,0,0,0,0]"));
    check(&whole.replace("[0,0,0,0,0,0]", "[1e999,0,0,0,0,0]"));
}

#[test]
fn a_long_value_is_not_sent_back_whole() {
    let long = "x".repeat(100_000);
    for body in [
        json!({ "inputs": long }),
        json!({ "inputs": [{ "name": long, "shape": [1], "datatype": "BYTES", "data": [] }] }),
        json!({ "inputs": [{ "name": "image", "shape": [1], "datatype": long, "data": [] }] }),
        json!({ "inputs": [{ "name": "image", "shape": vec![1; 9999], "datatype": "BYTES", "data": [] }] }),
        json!({ "inputs": [], "outputs": [{ "name": long }] }),
    ] {
        let refusal = read(GREY, &body).unwrap_err();
        assert!(refusal.detail.len() < 600, "{} bytes", refusal.detail.len());
    }
}

/// A body of the binary extension.
fn binary(datatype: &str, shape: &[usize], raw: &[u8]) -> (Vec<u8>, usize) {
    let parameters = json!({ "binary_data_size": raw.len() });
    let tensor =
        json!({ "name": "image", "datatype": datatype, "shape": shape, "parameters": parameters });
    let mut body = json!({ "inputs": [tensor] }).to_string().into_bytes();
    let header = body.len();
    body.extend_from_slice(raw);
    (body, header)
}

#[test]
fn binary_elements_are_the_same_pixels() {
    let image = [0, 51, 102, 153, 204, 255];
    let check = |datatype, raw: Vec<u8>| {
        let (body, header) = binary(datatype, &[1, 2, 3], &raw);
        let read = Inference::read(&body, Some(header), GREY, LIMIT);
        assert_eq!(read.map(pixels).unwrap(), [image], "{datatype}");
    };
    check("UINT8", image.to_vec());
    check("INT16", image.iter().flat_map(|p| i16::from(*p).to_le_bytes()).collect());
    check("UINT32", image.iter().flat_map(|p| u32::from(*p).to_le_bytes()).collect());
    check("INT64", image.iter().flat_map(|p| i64::from(*p).to_le_bytes()).collect());
    let scaled = |pixel: &u8| f32::from(*pixel) / 255.0;
    check("FP32", image.iter().flat_map(|p| scaled(p).to_le_bytes()).collect());
    check("FP64", image.iter().flat_map(|p| f64::from(scaled(p)).to_le_bytes()).collect());
    let halves = [0x0000u16, 0x3266, 0x3666, 0x38cd, 0x3a66, 0x3c00];
    check("FP16", halves.iter().flat_map(|p| p.to_le_bytes()).collect());
    let (body, header) = binary("BYTES", &[2], &[3, 0, 0, 0, 1, 2, 3, 1, 0, 0, 0, 9]);
    let read = Inference::read(&body, Some(header), GREY, LIMIT).unwrap();
    assert_eq!(read.pointer(1), "/inputs/0");
    assert_eq!(pixels(read), [vec![1, 2, 3], vec![9]]);
}

#[test]
fn binary_elements_that_are_missing_left_over_or_no_pixels_are_refused() {
    let check = |datatype, shape: &[usize], raw: &[u8], code, detail: &str| {
        let (body, header) = binary(datatype, shape, raw);
        let refusal = Inference::read(&body, Some(header), GREY, LIMIT).unwrap_err();
        assert_eq!(refusal.code, code, "{refusal:?}");
        assert!(refusal.detail.contains(detail), "`{detail}` missing in {refusal:?}");
    };
    let tensor = Code::InvalidTensor;
    check("UINT8", &[1, 6], &[0; 5], tensor, "expected 6 bytes for 6 elements, found 5");
    check("FP32", &[1, 6], &[0; 6], tensor, "expected 24 bytes");
    check("INT16", &[1, 6], &[0xff; 12], Code::InvalidImage, "at element 0");
    let mut reals = [0; 24];
    reals[4..8].copy_from_slice(&1.5f32.to_le_bytes());
    check("FP32", &[1, 6], &reals, Code::InvalidImage, "at element 1");
    check("BYTES", &[1], &[4, 0, 0, 0, 1], tensor, "expected 1 elements");
    check("BYTES", &[1], &[1, 0, 0, 0, 1, 7], tensor, "found 1 and 1 bytes more");
    check("BYTES", &[1], &[1, 0, 0, 0, 1, 0, 0, 0, 0], tensor, "found 1 and 4 bytes more");
    check("BYTES", &[2], &[0xff; 4], tensor, "found 0");

    let check = |body: &[u8], header, code| {
        let refusal = Inference::read(body, Some(header), GREY, LIMIT).unwrap_err();
        assert_eq!(refusal.code, code, "{refusal:?}");
    };
    let (mut whole, header) = binary("UINT8", &[1, 6], &[0; 6]);
    check(&whole, whole.len() + 1, Code::MalformedRequest);
    check(&whole, header - 1, Code::MalformedJson);
    check(&whole[..header], header, tensor);
    whole.push(0);
    check(&whole, header, tensor);
    let mut json = body("UINT8", [1, 6], [0; 6]).to_string().into_bytes();
    let header = json.len();
    json.push(7);
    check(&json, header, tensor);
}

#[test]
fn no_damage_to_a_body_is_more_than_a_refusal() {
    let png = STANDARD.encode([1, 2, 3]);
    let bodies = [body("FP32", [2, 2, 3], [[0.25; 6]; 2]), body("BYTES", [2], [&png, &png])];
    let json = bodies.map(|body| (body.to_string().into_bytes(), None));
    let (raw, header) = binary("INT16", &[1, 6], &[0; 12]);
    let raw = (raw, Some(header));
    for (good, header) in json.into_iter().chain([raw]) {
        let replaced = (0..good.len()).flat_map(|i| {
            let replace = |byte| [&good[..i], &[byte], &good[i + 1..]].concat();
            [0, 1, b'"', b'[', b'{', b'9', 0x7f, 0xff].map(replace)
        });
        for bad in replaced.chain((0..good.len()).map(|end| good[..end].to_vec())) {
            if let Ok(read) = Inference::read(&bad, header, GREY, LIMIT) {
                assert!((1..=LIMIT).contains(&read.images.len()));
            }
        }
    }
}
