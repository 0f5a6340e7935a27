"""The peer of `cargo xtask bench serve`: what one writes first, done well.

FastAPI, uvicorn and PyTorch in one process, computing on one thread, in the event loop: a thread pool would
only add a hand-over. It serves the `model.pt` of an artifact of ours, or the net of PyTorch's own example in
PyTorch's own words, traced. It computes one picture at a time.
"""

import argparse
import json
import pathlib

import fastapi
import pydantic
import torch
import uvicorn


class Request(pydantic.BaseModel):
    image: list[int]


class Answer(pydantic.BaseModel):
    label: int
    confidence: float
    probabilities: list[float]


class Example(torch.nn.Sequential):
    """The net of `net.yaml`. Its weights are chance, which a stopwatch does not see."""

    def __init__(self, shape: list[int], classes: int) -> None:
        height, width, channels = shape
        left = 64 * ((height - 4) // 2) * ((width - 4) // 2)
        super().__init__(
            torch.nn.Conv2d(channels, 32, 3),
            torch.nn.ReLU(),
            torch.nn.Conv2d(32, 64, 3),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
            torch.nn.Flatten(),
            torch.nn.Linear(left, 128),
            torch.nn.ReLU(),
            torch.nn.Linear(128, classes),
            torch.nn.Softmax(1),
        )

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return super().forward(pixels.permute(0, 3, 1, 2).float() / 255)


def application(artifact: pathlib.Path, example: bool) -> fastapi.FastAPI:
    task = json.loads((artifact / "manifest.json").read_text())["task"]
    shape = [task["input"][side] for side in ("height", "width", "channels")]
    if example:
        blank = torch.zeros(1, *shape, dtype=torch.uint8)
        model = torch.jit.trace(Example(shape, len(task["classes"])).eval(), blank)
    else:
        model = torch.jit.load(artifact / "model.pt").eval()
    app = fastapi.FastAPI()

    @app.get("/readyz")
    async def readyz() -> dict:
        return {"status": "ok"}

    @app.post("/v1/predict")
    async def predict(request: Request) -> Answer:
        try:
            pixels = torch.tensor(request.image, dtype=torch.uint8).view(1, *shape)
        except RuntimeError as error:
            raise fastapi.HTTPException(422, str(error)) from error
        with torch.inference_mode():
            probabilities = model(pixels)[0]
        confidence, label = probabilities.max(0)
        return Answer(
            label=int(label), confidence=float(confidence), probabilities=probabilities.tolist()
        )

    return app


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--artifact", type=pathlib.Path, required=True)
    parser.add_argument("--example-net", action="store_true")
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    uvicorn.run(application(args.artifact, args.example_net), port=args.port, access_log=False)


if __name__ == "__main__":
    main()
