"""What the cards of networks say, by network: ``tools/model_card.py`` fills it in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tools.evaluate import DRY

__all__ = [
    "ALONE", "AT_NIGHT", "BODY", "BRIEFLY", "IN_8_BITS", "IN_OTHER_LIGHT", "IN_PLANES", "KINDS",
    "KINDS_OF_CLIPS", "KINDS_OF_PATCHES", "PICTURE_COMMAND", "PICTURE_ENDS", "QUANTIZE", "TERMS",
    "TRAINED_ON", "UNLEARNT", "VARIED", "VARIED_CLIPS", "VIDEO_COMMAND", "VIDEO_ENDS", "Kind",
]  # fmt: skip

TRAINED_ON = (
    "Rain100L and Rain100H, scenes 1 to 60; their rain layers and synthetic streaks over BSDS500 "
    "and ImageNet sample photographs"
)
TERMS = (
    "The weights were learnt from research data (Rain100L, Rain100H, BSDS500, ImageNet samples), "
    "which is offered for research use; whoever uses them otherwise has to judge what that means."
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What is said of a network: what it is for, its speed class, and whose it is."""

    purpose: str
    speed: str
    source: str = "ours, after network A (`attention-embedding`); `docs/networks.md`"
    precision: Literal["f32", "bf16"] = "f32"


OFFLINE = "offline on a CPU, GPUs live"
KINDS = {
    "attention-s": Kind(
        "every rain, picture by picture; the fast one", "real time on a CPU at small sizes",
        precision="bf16",
    ),
    "attention-m": Kind(
        "every rain, picture by picture; the good one", "offline on a CPU, small GPUs live",
        precision="bf16",
    ),
    "video-xxs": Kind(
        "every rain, by a camera's last frames; the very fastest, for cameras that stand",
        "real time on a CPU", "ours, cut out of `video-xs`; `docs/temporal.md`", "bf16",
    ),
    "video-xs": Kind(
        "every rain, by a camera's last frames; very fast, coarse where things move",
        "real time on a CPU", "ours, cut out of `video-xs-wide`; `docs/temporal.md`", "bf16",
    ),
    "video-s": Kind(
        "every rain, by a camera's last frames; the fast one", "real time on a CPU at small sizes",
        "ours: `attention-s` that sees the past as well; `docs/temporal.md`", "bf16",
    ),
    "video-m": Kind(
        "every rain, by a camera's last frames; the good one", "offline on a CPU, small GPUs live",
        "ours: `attention-m` that sees the past as well; `docs/temporal.md`", "bf16",
    ),
    "attention-l": Kind("every rain, picture by picture; the best one", "data-centre GPUs"),
    "attention-embedding": Kind(
        "published network A, the reference; trained briefly", OFFLINE,
        "Huang & Kang, IEEE document 10317431 and NTNU thesis 2023; the reconstruction is ours",
    ),
    "dtpnet-narrow": Kind(
        "published network B, narrow; trained briefly", OFFLINE,
        "DTPNet, Huang et al., Neurocomputing 2024; the narrow shape (24 channels of 64) is ours",
    ),
    "msdrnet-narrow": Kind(
        "published network C, narrow; trained briefly", OFFLINE,
        "MSDR-Net, Han et al., CAC 2022; the bottleneck and the width (a quarter) are ours",
    ),
    "dualstage-narrow": Kind(
        "published network D, narrow; trained briefly", OFFLINE,
        "Hou et al., J. Zhejiang Univ. 60(4), 2026; what the paper leaves open is ours",
    ),
}  # fmt: skip
"""By the network's name."""

BODY = """
# {card.name}

Takes the rain out of pictures: {card.purpose}.
{ends}

| | |
| --- | --- |
| network | `{card.network}` (`streamderain/networks/`) |
| source | {source} |
| parameters | {card.parameters:,} |
| multiplications | {card.macs_per_pixel:,.0f} a pixel, {gmac_1080p:,.0f} billion a 1080p frame |
| memory | {card.bytes_per_pixel:,} bytes of activations a pixel, {gb_720p:.2f} GB a 720p frame |
| speed class | {card.speed} |
| trained for | {trained} |
| SHA-256 | `{card.sha256}` |
| of the PyTorch weights | `{card.pytorch_sha256}` |

## Quality

On the validation scenes of Rain100 (ids 61 to 70 without 69), which were not trained on: PSNR and
SSIM of the 8-bit output, on Y of BT.601 and on RGB, means over pictures. `null` is the input
itself. `dry` pictures have no rain and are compared with themselves: high figures mean that the
network leaves them alone; a picture that comes out as it went in counts as {cap:.0f} dB.

{table}

{int8}{clips}{briefly}## What it learnt from

{shares}

{varied}

{unlearnt}

## Terms

{terms}

## Reproduce

```
{training}
python -m tools.export_onnx runs/{run}/last.pt -o models/{card.name}.onnx
{quantize}python -m tools.evaluate models/{card.name}.onnx{int8_file} null --data DATA \\
  --json evaluation.json
{card_command}
```

`docs/training.md` says what DATA holds.
"""

IN_8_BITS = """\
`{name}.int8.onnx` is the same network with its convolutions in 8 bits, which is what runs on
CPUs that multiply bytes (`--precision float` for this one). SHA-256 `{found.sha256}`.

"""
IN_PLANES = """\
`{name}.planes.int8.onnx` is that for pictures as codecs hold them, YCbCr in 4:2:0, which videos
mostly are: the same weights, with the way to RGB and back inside of its first and last convolution
(`streamderain/networks/planar.py`). SHA-256 `{found.planes_sha256}`.

"""
QUANTIZE = "python -m tools.quantize models/{name}.safetensors --data DATA\n"

PICTURE_ENDS = "In (`frames`) and out (`derained`): uint8 N×H×W×3 RGB, every size free."
VIDEO_ENDS = """\
In (`frames`): uint8 N×H×W×7, every size free: a frame's RGB; the RGB of the scene behind the rain
as the last frames know it; how far to trust that, 0 to 255 (`streamderain/inference/prior.py` makes
both). Out (`derained`): uint8 N×H×W×3 RGB. Without a past: the frame twice, and 0."""

ALONE = """\
These are pictures without a past, which is when the network has it hardest. With one, on clips of
the same scenes (`python -m tools.evaluate_video`):

{table}

"""

PICTURE_COMMAND = "python -m tools.model_card models/{name}.onnx --evaluation evaluation.json"
VIDEO_COMMAND = """\
python -m tools.evaluate_video models/{name}.onnx models/{name}.int8.onnx attention-m null \\
  --data DATA --json clips.json
python -m tools.model_card models/{name}.onnx --evaluation evaluation.json --clips clips.json"""

BRIEFLY = """\
These weights had an hour of one CPU core or less: enough to run and to compare, far from what the
paper reports. The recipe is ready to go on: with more `--steps`, a finished run continues where it
stands.

"""

VARIED = """\
One in eight of the pictures that layers and streaks were laid on went through JPEG; the clean
pictures under them were varied in brightness down to a dim evening."""
VARIED_CLIPS = """\
Clips are photographs in motion (`tools/clips.py`): a camera that stands, trembles or pans, things
that move in front of it. Half of them have a sensor's noise, a third went through H.264, a third
are darker, down to a dim evening. Of three in ten frames the past was forgotten."""

IN_OTHER_LIGHT = """\
In the last {steps:,} steps, {infrared:.0%} were seen by infrared light, {night:.0%} at night with
lamps and {fog:.0%} in fog (`streamderain/rain/conditions.py`)."""
UNLEARNT = """\
It has not learnt rain of kinds that are not among these: drops on the lens, snow{more}."""
AT_NIGHT = ", rain in headlights at night"

KINDS_OF_CLIPS = {
    "layers": "clips in rain layers of Rain100L and Rain100H, scenes 1 to 60",
    "synthetic": "clips in synthetic streaks (`streamderain/rain/`) that fall from frame to frame",
    "dry": f"{DRY} clips, with themselves as the target",
}
KINDS_OF_PATCHES = {
    "pairs": "pairs of Rain100L and Rain100H, scenes 1 to 60",
    "layers": "their rain layers over other clean pictures",
    "synthetic": "synthetic streaks (`streamderain/rain/`) over clean pictures",
    "dry": f"{DRY} pictures, with themselves as the target",
}
