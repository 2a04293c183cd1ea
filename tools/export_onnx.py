"""Export a checkpoint: ``python -m tools.export_onnx runs/NAME/last.pt -o models/NAME.onnx``.

Beside it stand the same weights for PyTorch, ``NAME.safetensors``. Above 8 MB the weights of
convolutions are rounded to 16-bit floats first and kept so in both files; ONNX Runtime widens them
once, when it loads the graph. All arithmetic is in 32 bits.

The graph takes ``frames`` and gives ``derained``, both uint8 N×H×W×3 with N, H and W free (a video
network takes N×H×W×7: the frame's RGB, the prior's RGB, the prior's reliability); the
conversion to float, the padding to the network's multiple, the cut back, the rounding (half to
even) and the clipping are inside. Opset 18 in IR version 8: the lowest that PyTorch exports,
which ONNX Runtime runs since 1.14 (2023).

What was measured (``attention-m``, 640×360, ONNX Runtime 1.31, one x86 core): the convolutions
take 0.90 of the time, everything around the network 0.02; the same network exported for one fixed
size, without any padding, takes 1.00 of the time. So free sizes cost nothing. Padding repeats the
last row and column by gathering them from the uint8 frames, which takes 0.005 of the time whether
there is anything to pad or not; a ``Pad`` of mode ``edge`` on uint8 or float takes 0.002, but
PyTorch 2.13 exports it for fixed sizes only. Pictures are turned to planes as uint8, which moves a
quarter of the bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import onnxruntime as ort
import safetensors.torch
import torch
from torch import nn

import streamderain
from streamderain.errors import ModelError
from streamderain.networks.attention_embedding import RainAutoencoder
from streamderain.networks.count import macs_per_pixel
from streamderain.networks.registry import Restorer
from streamderain.networks.uint8 import UInt8Graph
from tools.ending import ends_in_a_sentence
from tools.files import write_whole
from tools.training.checkpoints import averaged_network, load_checkpoint

OPSET, IR_VERSION = 18, 8
HALVED_ABOVE = 8_000_000
"""Bytes of weights; more are kept in half of it."""
HALVED_FROM = 1024
"""Elements of a tensor; smaller ones (biases, statistics of a normalisation) stay whole."""

CHECKED_SIZES = ((96, 96), (359, 641), (17, 33), (1, 1))
CHECKED_BATCHES = (1, 2)
TERMS = "Weights trained on research data; the model card beside this file says which."


def export(network: nn.Module, target: Path, properties: dict[str, str]) -> int:
    """Export, check and write a network; return the largest difference found, 0 or 1.

    Args:
        network: in evaluation mode, on the CPU.
        target: replaced where it exists, once the new one is whole, after its weights for PyTorch
            with the ending ``.safetensors``.
        properties: become the metadata of the ONNX file.

    Raises:
        ModelError: ONNX Runtime and PyTorch differ by more than 1 level; nothing is written then.
        OutputError: the target can't be written.
    """
    model = to_onnx(network, properties)
    if is_heavy(network):
        keep_halves(model)
    data = model.SerializeToString(deterministic=True)
    difference = check(network, data)
    write_weights(network, target.with_suffix(".safetensors"), properties)
    write_whole(target, data)
    return difference


def write_weights(network: nn.Module, target: Path, properties: dict[str, str]) -> None:
    """Write a network's weights as safetensors, for PyTorch; those of a heavy one in 16 bits.

    Args:
        network: on the CPU.
        target: replaced where it exists, once the new one is whole.
        properties: become the metadata.

    Raises:
        OutputError: the target can't be written.
    """
    halved = is_heavy(network)
    weights = {
        key: (value.half() if halved and _is_large(value) else value).contiguous()
        for key, value in network.state_dict().items()
    }
    write_whole(target, safetensors.torch.save(weights, properties))


def is_heavy(network: nn.Module) -> bool:
    """Say whether a network's weights take more than 8 MB in 32-bit floats."""
    weights: Iterable[torch.Tensor] = network.state_dict().values()
    return sum(value.nbytes for value in weights) > HALVED_ABOVE


def round_weights(network: nn.Module) -> None:
    """Round a heavy network's large weights to what 16-bit floats can hold; others stay."""
    if is_heavy(network):
        with torch.no_grad():
            for value in network.state_dict().values():
                if _is_large(value):
                    value.copy_(value.half())


def _is_large(value: torch.Tensor) -> bool:
    return value.is_floating_point() and value.numel() >= HALVED_FROM


def keep_halves(model: onnx.ModelProto) -> None:
    """Keep the large weights of a graph as 16-bit floats, widened by a ``Cast`` each."""
    casts = []
    for weight in model.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < HALVED_FROM:
            continue
        name = weight.name
        weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(
            onnx.helper.make_node("Cast", [weight.name], [name], to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def to_onnx(
    network: nn.Module,
    properties: dict[str, str],
    graph: nn.Module | None = None,
    ends: tuple[dict[str, int], str] | None = None,
) -> onnx.ModelProto:
    """Return the network with its conversions as an ONNX model; the same bytes every time.

    Args:
        network: in evaluation mode.
        properties: become the metadata.
        graph: the network with its conversions; :class:`UInt8Graph` unless told.
        ends: channels of what goes into the graph by its names, and the name of what comes out;
            ``frames`` and ``derained`` unless told.
    """
    inputs, output = ends or ({"frames": cast(Restorer, network).inputs}, "derained")
    rows, columns = (97, 131) if ends is None else (24, 40)  # what isn't padded fits already
    examples = tuple(torch.zeros(2, rows, columns, n, dtype=torch.uint8) for n in inputs.values())
    free = torch.export.Dim.DYNAMIC
    sizes = {0: free, 1: free, 2: free}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of PyTorch about itself
        program = torch.onnx.export(
            (graph or UInt8Graph(network)).eval(), examples, dynamo=True, opset_version=OPSET,
            verbose=False, input_names=list(inputs), output_names=[output],
            dynamic_shapes=((sizes,) * len(inputs),) if ends else {"frames": sizes},
        )  # fmt: skip
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "streamderain", streamderain.__version__
    model.doc_string = properties.get("doc", "")
    model.graph.name = properties.get("name", "streamderain")
    for key, value in properties.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    _name_sizes(model.graph)
    onnx.checker.check_model(model, full_check=True)
    return model


def _name_sizes(graph: onnx.GraphProto) -> None:
    """Call the free sizes by name; drop what tells of the machine that exported."""
    for value in (*graph.input, *graph.output):
        dims = value.type.tensor_type.shape.dim
        for dim, name in zip(dims, ("batch", "height", "width"), strict=False):
            dim.ClearField("dim_value")
            dim.dim_param = name
    del graph.value_info[:]
    del graph.metadata_props[:]
    for node in graph.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")


def check(network: nn.Module, data: bytes) -> int:
    """Compare ONNX Runtime with PyTorch's own ``forward`` on noise of several sizes and batches.

    Returns:
        The largest difference in levels.

    Raises:
        ModelError: it is above 1.
    """
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    worst = 0
    for height, width in CHECKED_SIZES:
        for batch in CHECKED_BATCHES:
            shape = (batch, height, width, cast(Restorer, network).inputs)
            frames = rng.integers(0, 256, shape, dtype=np.uint8)
            (ours,) = session.run(None, {"frames": frames})
            difference = int(np.abs(ours.astype(np.int16) - reference(network, frames)).max())
            worst = max(worst, difference)
            if difference > 1:
                raise ModelError(
                    f"the exported graph differs from PyTorch by {difference} levels on "
                    f"{batch} frames of {width}x{height}; nothing was written"
                )
    return worst


def reference(network: nn.Module, frames: np.ndarray[Any, np.dtype[np.uint8]]) -> Any:
    """Return what PyTorch makes of uint8 N×H×W×C, by the network's own padding."""
    rainy = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        derained = network(rainy)
    return (derained * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()


def properties_of(checkpoint: dict[str, Any], network: nn.Module, name: str) -> dict[str, str]:
    """Return what the ONNX file says of itself.

    Args:
        checkpoint: of the training.
        network: with the weights that are exported.
        name: what the model is called.
    """
    digest = hashlib.sha256()
    for key, tensor in network.state_dict().items():
        digest.update(key.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return {
        "name": name,
        "network": checkpoint["recipe"]["network"],
        "version": streamderain.__version__,
        "licence": TERMS,
        "parameters": str(sum(p.numel() for p in network.parameters())),
        "macs_per_pixel": f"{macs_per_pixel(network):.0f}",
        "training_steps": str(checkpoint["step"]),
        "weights_sha256": digest.hexdigest(),
        "doc": "Takes rain out of pictures: uint8 N×H×W×3 RGB in (frames) and out (derained).",
    }


@ends_in_a_sentence
def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, export, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="last.pt of a training")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .onnx to write")
    args = parser.parse_args(arguments)
    checkpoint = load_checkpoint(args.checkpoint)
    network = averaged_network(checkpoint)
    round_weights(network)
    properties = properties_of(checkpoint, network, args.output.stem)
    if isinstance(network, RainAutoencoder):
        raise ModelError(
            f"{args.checkpoint} holds the rain autoencoder, which takes rain and no pictures; "
            "export the network that was trained with it"
        )
    difference = export(network, args.output, properties)
    size = args.output.stat().st_size / 1e6
    print(f"{args.output}: {size:.1f} MB, differs from PyTorch by at most {difference} of 255")
    return 0


if __name__ == "__main__":
    sys.exit(main())
