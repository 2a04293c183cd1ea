"""Export a trained checkpoint: ``python -m tools.export_onnx runs/NAME/last.pt -o models/NAME.onnx``.

The graph takes ``frames`` and gives ``derained``, both uint8 N×H×W×3 with N, H and W free; the
conversion to float, the padding to the network's multiple, the cut back, the rounding and the
clipping are inside. Opset 18, which ONNX Runtime has run since 1.14.

Padding repeats the last row and column by gathering them from the uint8 frames: a ``Pad`` of mode
``edge`` with free sizes is not exported by PyTorch 2.13, and as uint8 a quarter of the bytes move.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn

import streamderain
from streamderain.errors import ModelError, StreamderainError
from streamderain.networks.registry import Restorer
from streamderain.writers.atomic import AtomicFile
from tools.training.trainer import load_ema

OPSET = 18
CHECKED_SIZES = ((96, 96), (359, 641), (17, 33))
CHECKED_BATCHES = (1, 2)


class UInt8Graph(nn.Module):
    """A network with its conversions: uint8 N×H×W×3 in and out."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.multiple = cast(Restorer, network).multiple

    def forward(self, frames: Tensor) -> Tensor:
        """Return the derained frames."""
        height, width, m = frames.shape[1], frames.shape[2], self.multiple
        rows = torch.arange((height + m - 1) // m * m).clamp(max=height - 1)
        columns = torch.arange((width + m - 1) // m * m).clamp(max=width - 1)
        padded = frames.index_select(1, rows).index_select(2, columns)
        restored = cast(Restorer, self.network).restore(padded.permute(0, 3, 1, 2).float() / 255)
        levels = (restored[:, :, :height, :width] * 255).round().clamp(0, 255)
        return levels.to(torch.uint8).permute(0, 2, 3, 1)


def export(network: nn.Module, target: Path, properties: dict[str, str]) -> int:
    """Export, check and write a network; return the largest difference found, 0 or 1.

    Raises:
        ModelError: ONNX Runtime and PyTorch differ by more than 1 level; nothing is written then.
        OutputError: the target can't be written.
    """
    graph = UInt8Graph(network).eval()
    example = torch.zeros(2, 97, 131, 3, dtype=torch.uint8)
    free = torch.export.Dim.DYNAMIC
    program = torch.onnx.export(
        graph, (example,), dynamo=True, opset_version=OPSET, verbose=False,
        input_names=["frames"], output_names=["derained"],
        dynamic_shapes={"frames": {0: free, 1: free, 2: free}},
    )  # fmt: skip
    assert program is not None
    model = program.model_proto
    _name_sizes(model)
    for key, value in properties.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    model.producer_name, model.producer_version = "streamderain", streamderain.__version__
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString(deterministic=True)
    difference = check(graph, data)
    file = AtomicFile(target, overwrite=True)
    try:
        file.path.write_bytes(data)
        file.commit()
    finally:
        file.discard()
    return difference


def _name_sizes(model: onnx.ModelProto) -> None:
    """Call the free sizes by name; drop what tells of the machine that exported."""
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        for dim, name in zip(dims, ("batch", "height", "width"), strict=False):
            dim.ClearField("dim_value")
            dim.dim_param = name
    del model.graph.value_info[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")


def check(graph: nn.Module, data: bytes) -> int:
    """Compare ONNX Runtime with PyTorch at three sizes and two batches, on noise.

    Raises:
        ModelError: they differ by more than 1 level anywhere.
    """
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    worst = 0
    for height, width in CHECKED_SIZES:
        for batch in CHECKED_BATCHES:
            frames = rng.integers(0, 256, (batch, height, width, 3), dtype=np.uint8)
            (ours,) = session.run(None, {"frames": frames})
            with torch.no_grad():
                reference = graph(torch.from_numpy(frames)).numpy()
            difference = int(np.abs(ours.astype(np.int16) - reference).max())
            worst = max(worst, difference)
            if difference > 1:
                raise ModelError(
                    f"the exported graph differs from PyTorch by {difference} levels on "
                    f"{batch} frames of {width}x{height}; nothing was written"
                )
    return worst


def properties_of(checkpoint: dict[str, Any], network: nn.Module) -> dict[str, str]:
    """Return what the graph says of itself."""
    from streamderain.networks.count import macs_per_pixel

    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return {
        "name": checkpoint["recipe"]["network"],
        "streamderain": streamderain.__version__,
        "parameters": str(sum(p.numel() for p in network.parameters())),
        "macs_per_pixel": f"{macs_per_pixel(network):.0f}",
        "training_steps": str(checkpoint["step"]),
        "weights_sha256": digest.hexdigest(),
        "terms": "weights trained on research data; see the model card",
    }


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, export, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args(arguments)
    try:
        if not args.checkpoint.is_file():
            raise ModelError(f"the checkpoint {args.checkpoint} is not there; check the path")
        checkpoint = torch.load(args.checkpoint, map_location="cpu", weights_only=True)
        network = load_ema(args.checkpoint, torch.device("cpu"))
        difference = export(network, args.output, properties_of(checkpoint, network))
    except StreamderainError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    size = args.output.stat().st_size / 1e6
    print(f"{args.output}: {size:.1f} MB, differs from PyTorch by at most {difference} of 255")
    return 0


if __name__ == "__main__":
    sys.exit(main())
