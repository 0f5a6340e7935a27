"""Existing clients of the Open Inference Protocol, as their packages ship them, against a running service.

Prints a line per client, with how many pictures it asked about. Exits 1 where an answer is not the one expected.
"""

import argparse
import base64
import io
import json
import pathlib
import sys

import numpy as np
import open_inference.openapi as openapi
import tritonclient.http as triton
from open_inference.openapi.client import OpenInferenceClient
from PIL import Image
from tritonclient.utils import InferenceServerException


def png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture.squeeze()).save(file, "PNG")
    return file.getvalue()


def by_triton(address: str, model: str, version: str, pictures: np.ndarray, labels: list[int]) -> None:
    client = triton.InferenceServerClient(address)
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready(model) and client.is_model_ready(model, version)
    assert not client.is_model_ready(model, "1") and not client.is_model_ready("other")
    index = client.get_model_repository_index()
    assert [(entry["name"], entry["version"], entry["state"]) for entry in index] == [(model, version, "READY")]
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    tensor = client.get_model_metadata(model, version)["inputs"][0]
    assert tensor["shape"][1:] == list(pictures.shape[1 : len(tensor["shape"])]), tensor

    files = np.array([png(picture) for picture in pictures], dtype=np.object_)
    texts = np.array([base64.b64encode(file).decode() for file in files], dtype=np.object_)
    forms = {
        "UINT8": pictures,
        "INT32": pictures.astype(np.int32),
        "FP32": (pictures / 255).astype(np.float32),
        "FP16": (pictures / 255).astype(np.float16),
    }
    cases = [(datatype, data, binary) for datatype, data in forms.items() for binary in (True, False)]
    # The binary form of BYTES is the file itself; in JSON it is text.
    for datatype, data, binary in [*cases, ("BYTES", files, True), ("BYTES", texts, False)]:
        given = triton.InferInput(tensor["name"], list(data.shape), datatype)
        given.set_data_from_numpy(data, binary_data=binary)
        outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("label", "probabilities")]
        # Without outputs the client asks for all of them, in binary.
        for wanted in (None, outputs):
            found = client.infer(model, [given], version, outputs=wanted, request_id="r-1")
            case = (datatype, binary, wanted)
            assert found.get_response()["id"] == "r-1", case
            assert found.as_numpy("label").tolist() == labels, case
            probabilities = found.as_numpy("probabilities")
            assert probabilities.dtype == np.float32 and probabilities.argmax(axis=1).tolist() == labels, case
            assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-3), case

    wrong = triton.InferInput(tensor["name"], [1, 3], "UINT8")
    wrong.set_data_from_numpy(np.zeros((1, 3), np.uint8))
    for asked, status, words in [(model, "400", "tensor `image`"), ("other", "404", f"`{model}`")]:
        try:
            client.infer(asked, [wrong])
        except InferenceServerException as error:
            assert error.status() == status and words in error.message(), error
        else:
            raise AssertionError(f"{asked}: not refused")


def by_open_inference(address: str, model: str, version: str, pictures: np.ndarray, labels: list[int]) -> None:
    client = OpenInferenceClient(base_url=f"http://{address}")
    client.check_server_liveness()
    client.check_server_readiness()
    client.check_model_readiness(model)
    client.check_model_version_readiness(model, version)
    assert client.read_server_metadata().name
    for metadata in (client.read_model_metadata(model), client.read_model_version_metadata(model, version)):
        assert metadata.versions == [version], metadata

    def request(data: openapi.TensorData) -> openapi.InferenceRequest:
        tensor = openapi.RequestInput(name="image", shape=list(pictures.shape), datatype="UINT8", data=data)
        outputs = [openapi.RequestOutput(name="label")]
        return openapi.InferenceRequest(id="r-1", inputs=[tensor], outputs=outputs)

    flat, nested = pictures.flatten().tolist(), pictures.tolist()
    for data in (flat, nested):
        data = openapi.TensorData.parse_obj(data)
        for found in (
            client.model_infer(model, request=request(data)),
            client.model_version_infer(model, version, request=request(data)),
        ):
            assert (found.id, found.model_name, found.model_version) == ("r-1", model, version), found
            assert [(output.name, output.datatype, output.shape) for output in found.outputs] == [
                ("label", "INT64", [len(labels)])
            ], found
            assert [int(label) for label in found.outputs[0].data.__root__] == labels, found
    try:
        client.model_infer(model, request=request(openapi.TensorData.parse_obj([0])))
    except openapi.BadRequestError as error:
        assert "tensor `image`" in error.body["error"], error.body
    else:
        raise AssertionError("too few elements: not refused")
    try:
        client.check_model_readiness("other")
    except openapi.NotFoundError as error:
        assert model in error.body["error"], error.body
    else:
        raise AssertionError("another model: not refused")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True, help="host and port")
    parser.add_argument("--model", required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--probes", type=pathlib.Path, required=True, help="raw pixels and labels, as JSON")
    args = parser.parse_args()

    probes = json.loads(args.probes.read_text())
    pictures = np.array(probes["pixels"], dtype=np.uint8).reshape([-1, *probes["shape"]])
    for client in (by_triton, by_open_inference):
        client(args.address, args.model, args.version, pictures, probes["labels"])
        print(f"{client.__name__}: {len(pictures)} pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
