"""Quantize a network: ``python -m tools.quantize models/NAME.safetensors --data DATA``.

``NAME.int8.onnx`` is written beside it: the same network with its convolutions in 8 bits, for
processors that multiply bytes (AVX2 and better, ARM's dot product). With ``--planes`` it is
``NAME.planes.int8.onnx``, for pictures as codecs hold them. Activations are unsigned, with ranges
from frames in rain, dry ones and dark ones; weights are signed, each channel with a range of its
own (ONNX Runtime's static quantisation in QDQ format), and no larger than 64: x86 without VNNI sums
pairs of products in 16 bits (``PMADDUBSW``), where larger ones overflow. What stays in float:
channel and pixel attention, whose sums are small and whose errors would be everywhere, and the
residual.

What was measured (``attention-s``, Rain100's validation scenes, light / heavy): in float
35.95 / 26.31 dB, with ranges of the 99.99th percentile 35.88 / 26.28, with the largest values
35.80 / 26.27. The head in float gained 0.02 dB and took a quarter of the time.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from torch import nn

from streamderain.conversion import planes_from_rgb
from streamderain.errors import ModelError
from streamderain.frame import Colour
from streamderain.inference.backend import PICTURE
from streamderain.inference.packing import Packing
from streamderain.inference.pytorch import load_network, read_weights
from streamderain.models import INT8, PLANES, ModelInfo
from streamderain.networks.attention import AttentionDerain
from streamderain.networks.packed import DERAINED, PLACES, PackedGraph
from streamderain.networks.planar import PlanarGraph
from streamderain.networks.registry import Restorer
from streamderain.networks.video import VideoDerain
from tools.ending import ends_in_a_sentence
from tools.export_onnx import IR_VERSION, TERMS, to_onnx
from tools.files import write_whole
from tools.quantized_graph import leave_unrounded, name_places, shuffle_by_pixel, take_bytes
from tools.training.data import Mixture, PatchSampler, load_pictures
from tools.training.video import ClipSampler

__all__ = ["calibration_frames", "main", "quantize"]

Frames = NDArray[np.uint8]

PATCH, BATCH, BATCHES = 128, 4, 24
MIXTURE = Mixture(pairs=0.25, layers=0.25, synthetic=0.4, dry=0.1)
PERCENTILE = 99.99
PERCENTILES = {"video-m": 99.999, "video-xxs": 99.8}
"""Of networks for which others are better: with 99.99, ``video-m`` loses 0.30 dB in heavy rain,
with this 0.07; ``video-xxs``, whose features have far outliers, 0.46 dB in light rain, with this
0.25."""
IN_FLOAT = ("attention.reduce", "attention.expand", ".score", "colours")
"""Convolutions that are not quantised, by their names."""
UNROUNDED = ("rain", "trust")
"""Convolutions whose results are added up in float: rounding them would show."""
WORST = 2.0
"""Levels by which results may differ from those in float, on average."""


def calibration_frames(inputs: int, data: Path, seed: int) -> list[Frames]:
    """Draw what ranges are taken from, as training draws it.

    Args:
        inputs: channels that the network takes, 3 or 7.
        data: folder with ``rain100/`` and ``clean/``.
        seed: decides everything.

    Returns:
        uint8 N×H×W×inputs each.

    Raises:
        InputError: there are no such pictures.
    """
    pictures, rng = load_pictures(data, seed, streak_layers=60), np.random.default_rng(seed)
    sampler: ClipSampler | PatchSampler = (
        ClipSampler(pictures, MIXTURE, rng) if inputs > 3 else PatchSampler(pictures, MIXTURE, rng)
    )
    return [sampler.batch(BATCH, PATCH)[0] for _ in range(BATCHES)]


def quantize(
    network: nn.Module,
    frames: Sequence[Frames],
    properties: dict[str, str],
    *,
    planes: bool = False,
    percentile: float = PERCENTILE,
) -> onnx.ModelProto:
    """Return a network in 8 bits, uint8 in and out.

    Args:
        network: of the attention family, in evaluation mode.
        frames: from :func:`calibration_frames`; the last of them checks the result.
        properties: become the metadata; ``multiple`` of the network is to be among them.
        planes: for pictures as codecs hold them (``streamderain/networks/planar.py``).
        percentile: of the activations that the ranges hold.

    Raises:
        ModelError: the network is of another family, or its results differ too much.
    """
    if not isinstance(network, AttentionDerain):
        raise ModelError(
            f"{properties.get('network')} is not of the attention family; only that is quantised"
        )
    if planes:
        side = network.config.stride
        channels = [side**2 * 3 // 2, side**2 * 3 // 2, side**2]
        names = PLACES if isinstance(network, VideoDerain) else PLACES[:1]
        ends = dict(zip(names, channels, strict=False)), DERAINED
        plain = to_onnx(network, properties, PlanarGraph(network), ends)
        packing = Packing(side, network.multiple)
        given = [_as_places(packing, batch) for batch in frames]
    else:
        plain = to_onnx(network, properties, PackedGraph(network))
        name_places(plain)
        given = [{"frames": batch} for batch in frames]
    shuffle_by_pixel(plain)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(plain, source)
        quantize_static(
            source, target, _Reader(given[:-1]), quant_format=QuantFormat.QDQ, per_channel=True,
            op_types_to_quantize=["Conv", "ConvTranspose"],
            nodes_to_exclude=_named(plain, "Conv", IN_FLOAT),
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, reduce_range=True,
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={
                "ActivationSymmetric": False, "WeightSymmetric": True,
                "CalibPercentile": percentile,
            },
        )  # fmt: skip
        model = onnx.load(target)
    leave_unrounded(model, set(_named(model, "Conv", UNROUNDED)))
    leave_unrounded(model, _rectified(model))
    take_bytes(model)
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = plain.producer_name, plain.producer_version
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    difference = np.abs(_run(plain, given[-1]) - _run(model, given[-1])).mean()
    if difference > WORST:
        raise ModelError(
            f"in 8 bits the network's results differ by {difference:.1f} levels on average; it "
            "isn't written"
        )
    return model


def _named(model: onnx.ModelProto, kind: str, parts: Sequence[str]) -> list[str]:
    """Return the nodes of a kind whose weights' names have one of the parts."""
    return [
        node.name
        for node in model.graph.node
        if node.op_type == kind and any(part in node.input[1].lower() for part in parts)
    ]


def _rectified(model: onnx.ModelProto) -> set[str]:
    """Return the convolutions in front of a ReLU: what is below 0 needs no bytes."""
    graph = model.graph
    rectified = {node.input[0] for node in graph.node if node.op_type == "Relu"}
    rounded = {
        dequantize.output[0]: quantize.input[0]
        for quantize in graph.node
        for dequantize in graph.node
        if quantize.op_type == "QuantizeLinear" and dequantize.input[0] == quantize.output[0]
    }
    given = {rounded[name] for name in rectified if name in rounded}
    return {node.name for node in graph.node if node.op_type == "Conv" and node.output[0] in given}


def _as_places(packing: Packing, frames: Frames) -> dict[str, Frames]:
    """Return the places of frames, uint8 N×H×W×C, as cameras would have coded them."""
    count, height, width, channels = frames.shape
    grid, side = packing.grid(height, width), packing.side
    parts = [slice(0, 3), slice(3, 6)] if channels > PICTURE else [slice(0, 3)]
    given = {
        name: np.empty((count, *grid, side**2 * 3 // 2), np.uint8)
        for name in PLACES[: len(parts)]
    }  # fmt: skip
    for part, places in zip(parts, given.values(), strict=True):
        for frame, into in zip(frames, places, strict=True):
            packing.pack_planes(planes_from_rgb(frame[..., part], Colour()), into)
    if channels > PICTURE:
        given[PLACES[2]] = np.empty((count, *grid, side**2), np.uint8)
        for frame, into in zip(frames, given[PLACES[2]], strict=True):
            packing.pack(frame[..., 6], into)
    return given


def _run(model: onnx.ModelProto, given: dict[str, Frames]) -> NDArray[np.int16]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (derained,) = session.run(None, given)
    return np.asarray(derained, np.int16)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands out what goes into a graph once."""

    def __init__(self, given: Sequence[dict[str, Frames]]) -> None:
        self._given = iter(given)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next inputs of the graph, or None after the last."""
        return next(self._given, None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep its progress and its advice about preprocessing off the screen."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)


@ends_in_a_sentence
def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, write the graph, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("weights", type=Path, metavar="NAME.safetensors")
    parser.add_argument("--data", type=Path, required=True, help="folder with rain100/ and clean/")
    parser.add_argument("-o", "--output", type=Path, help="default: NAME.int8.onnx beside it")
    parser.add_argument(
        "--planes", action="store_true",
        help="for pictures as codecs hold them; NAME.planes.int8.onnx",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=5)
    args = parser.parse_args(arguments)
    target = args.output or args.weights.with_suffix(PLANES if args.planes else INT8)
    name, _ = read_weights(args.weights)
    network = load_network(ModelInfo(name=args.weights.stem, path=args.weights))
    frames = calibration_frames(cast(Restorer, network).inputs, args.data, args.seed)
    properties = {
        "name": f"{args.weights.stem}, 8 bits", "network": name, "licence": TERMS,
        "precision": "int8", "multiple": str(cast(Restorer, network).multiple),
    }  # fmt: skip
    model = quantize(
        network,
        frames,
        properties,
        planes=args.planes,
        percentile=PERCENTILES.get(name, PERCENTILE),
    )
    write_whole(target, model.SerializeToString(deterministic=True))
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
