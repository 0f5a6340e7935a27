"""PyTorch's answers to images, beside those that `model classify` printed for the same file.

Exits 1 when a probability differs by more than 1e-5, at whatever batch size.
"""

import argparse
import json
import pathlib
import sys

import torch

TOLERANCE = 1e-5
BATCHES = (1, 7, 256)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artifact", type=pathlib.Path, required=True)
    parser.add_argument("--images", type=pathlib.Path, required=True, help="raw pixels")
    parser.add_argument("--scores", type=pathlib.Path, required=True, help="JSON of `model classify`")
    args = parser.parse_args()

    manifest = json.loads((args.artifact / "manifest.json").read_text())
    answers = json.loads(args.scores.read_text())
    if answers["model_version"] != manifest["model_version"]:
        print(f"the scores are those of {answers['model_version']}", file=sys.stderr)
        return 1
    expected = torch.tensor(answers["scores"])

    shape = manifest["task"]["input"]
    pixels = torch.frombuffer(bytearray(args.images.read_bytes()), dtype=torch.uint8)
    images = pixels.view(-1, shape["height"], shape["width"], shape["channels"])

    model = torch.jit.load(args.artifact / "model.pt")
    failed = False
    for batch in BATCHES:
        with torch.inference_mode():
            scores = torch.cat([model(part) for part in images.split(batch)])
        if scores.shape != expected.shape:
            print(f"batch {batch}: {tuple(scores.shape)}, not {tuple(expected.shape)}", file=sys.stderr)
            return 1
        difference = (scores - expected).abs().max().item()
        print(f"batch {batch}: {len(images)} images, largest difference {difference:.1e}")
        failed |= not difference <= TOLERANCE
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
