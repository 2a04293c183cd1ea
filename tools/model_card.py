"""Write a network's card: ``python -m tools.model_card models/NAME.onnx --evaluation FILE.json``.

Everything that can be wrong by a typing mistake comes from a file: the size and the training steps
from the metadata of the ``.onnx``, the figures from ``tools.evaluate --json`` (which must have
judged that very file, by its SHA-256), how it was trained from the recipe.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import sys
import textwrap
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from pydantic import ValidationError

from streamderain.errors import InputError, ModelError, StreamderainError
from streamderain.inference.create import create_backend
from streamderain.models import NULL, ModelCard, Score, sha256_of_file
from tools.evaluate import DRY, EVALUATIONS, PSNR_CAP, Evaluation, markdown
from tools.files import write_whole
from tools.training.recipe import Recipe, load_recipe

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


OFFLINE = "offline on a CPU, GPUs live"
KINDS = {
    "attention-s": Kind(
        "every rain, picture by picture; the fast one", "real time on a CPU at small sizes"
    ),
    "attention-m": Kind(
        "every rain, picture by picture; the good one", "offline on a CPU, small GPUs live"
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

MEASURED_SIZE = (360, 640)

BODY = """
# {card.name}

Takes the rain out of pictures: {card.purpose}.
In (`frames`) and out (`derained`): uint8 N×H×W×3 RGB, every size free.

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

{briefly}## What it learnt from

{shares}

One in eight of the pictures that layers and streaks were laid on went through JPEG; the clean
pictures under them were varied in brightness down to a dim evening. It has not learnt rain of kinds
that are not among these: drops on the lens, snow, rain in headlights at night.

## Terms

{terms}

## Reproduce

```
{training}
python -m tools.export_onnx runs/{run}/last.pt -o models/{card.name}.onnx
python -m tools.evaluate models/{card.name}.onnx null --data DATA --json evaluation.json
python -m tools.model_card models/{card.name}.onnx --evaluation evaluation.json
```

`docs/training.md` says what DATA holds.
"""


def read_metadata(path: Path) -> dict[str, str]:
    """Return what an exported file says of itself.

    Raises:
        ModelError: it can't be loaded, or ``tools.export_onnx`` didn't write it.
    """
    import onnxruntime as ort

    try:
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"{path} can't be loaded as an ONNX model") from error
    metadata: dict[str, str] = session.get_modelmeta().custom_metadata_map
    missing = {"network", "parameters", "macs_per_pixel", "training_steps"} - metadata.keys()
    if missing:
        raise ModelError(f"{path} doesn't say its {', '.join(sorted(missing))}; export it again")
    return metadata


def read_evaluations(path: Path, sha256: str) -> tuple[Evaluation, Evaluation]:
    """Return the evaluation of the file with that hash, and of ``null``.

    Raises:
        InputError: the file is missing or no evaluation, or one of the two isn't in it.
    """
    try:
        evaluations = EVALUATIONS.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"{path} can't be read as what tools.evaluate --json wrote") from error
    ours = [item for item in evaluations if item.sha256 == sha256]
    null = [item for item in evaluations if item.model == NULL]
    if not ours or not null:
        raise InputError(
            f"{path} does not judge both this very .onnx and {NULL}; run tools.evaluate on both"
        )
    return ours[0], null[0]


def make_card(path: Path, evaluation: Evaluation, sha256: str, steps_before: int = 0) -> ModelCard:
    """Return the front matter of a network's card.

    Args:
        path: the ``.onnx``.
        evaluation: of that file.
        sha256: of that file.
        steps_before: of the recipes before the one whose checkpoint was exported.

    Raises:
        ModelError: the file is not one of ours.
    """
    metadata, weights = read_metadata(path), path.with_suffix(".safetensors")
    kind = kind_of(metadata["network"])
    return ModelCard(
        name=path.stem,
        network=metadata["network"],
        purpose=kind.purpose,
        speed=kind.speed,
        trained_on=TRAINED_ON,
        terms=TERMS,
        parameters=int(metadata["parameters"]),
        macs_per_pixel=float(metadata["macs_per_pixel"]),
        bytes_per_pixel=bytes_per_pixel(path),
        training_steps=steps_before + int(metadata["training_steps"]),
        sha256=sha256,
        pytorch_sha256=sha256_of_file(weights) if weights.is_file() else None,
        validation=evaluation.sets,
    )


def kind_of(network: str) -> Kind:
    """Return what is said of a network.

    Raises:
        ModelError: nothing is.
    """
    if network not in KINDS:
        raise ModelError(
            f"there is no text for a card of {network}; add it to KINDS in tools/model_card.py"
        )
    return KINDS[network]


def bytes_per_pixel(path: Path) -> int:
    """Measure by how much a process of its own grows while it runs the network on the CPU.

    Linux only: what counts is the largest resident size.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measure_growth, path, MEASURED_SIZE).result()


def _measure_growth(path: Path, size: tuple[int, int]) -> int:
    with create_backend(str(path), "cpu") as backend:
        rng = np.random.default_rng(0)
        backend.run(rng.integers(0, 256, (1, 16, 16, backend.inputs), dtype=np.uint8))
        before = _largest_resident()
        backend.run(rng.integers(0, 256, (1, *size, backend.inputs), dtype=np.uint8))
        return max(1, round((_largest_resident() - before) / (size[0] * size[1])))


def _largest_resident() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def recipes_of(network: str, folder: Path = Path("configs/train")) -> list[Path]:
    """Return the recipes that train a network, in order: its own, and the one that finishes it."""
    first, finish = folder / f"{network}.yaml", folder / f"{network}-finish.yaml"
    return [first, finish] if finish.exists() else [first]


BRIEFLY = """\
These weights had an hour of one CPU core or less: enough to run and to compare, far from what the
paper reports. The recipe is ready to go on: with more `--steps`, a finished run continues where it
stands.

"""

KINDS_OF_PATCHES = {
    "pairs": "pairs of Rain100L and Rain100H, scenes 1 to 60",
    "layers": "their rain layers over other clean pictures",
    "synthetic": "synthetic streaks (`streamderain/rain/`) over clean pictures",
    "dry": f"{DRY} pictures, with themselves as the target",
}


def mixture_of(recipes: Sequence[Recipe]) -> dict[str, float]:
    """Return the shares of the kinds of patches over all steps, which sum to 1."""
    steps = sum(recipe.steps for recipe in recipes)
    shares = dict.fromkeys(KINDS_OF_PATCHES, 0.0)
    for recipe in recipes:
        mixture = recipe.mixture.model_dump()
        for kind, share in mixture.items():
            shares[kind] += share / sum(mixture.values()) * recipe.steps / steps
    return shares


def render(card: ModelCard, null: dict[str, Score], recipes: Mapping[Path, Recipe]) -> str:
    """Return the whole card as Markdown; the recipes are in the order of the training."""
    front = yaml.safe_dump(card.model_dump(), sort_keys=False, allow_unicode=True, width=100)
    shares = mixture_of(list(recipes.values()))
    planned = sum(recipe.steps for recipe in recipes.values())
    trained = f"{card.training_steps:,} of {planned:,} steps"
    starts = [recipe.start for recipe in recipes.values() if recipe.start]
    others = {Path(start).parent.name for start in starts} - {path.stem for path in recipes}
    if others:
        trained += f", begun with the channels of `{others.pop()}` that matter most"
    teachers = {Path(recipe.teacher).parent.name for recipe in recipes.values() if recipe.teacher}
    if teachers:
        trained += f", from `{teachers.pop()}` as well as from the truth"
    before = {Path(recipe.embedding).parent.name for recipe in recipes.values() if recipe.embedding}
    body = BODY.format(
        card=card,
        source=kind_of(card.network).source,
        gb_720p=card.bytes_per_pixel * 1280 * 720 / 1e9,
        gmac_1080p=card.macs_per_pixel * 1920 * 1080 / 1e9,
        trained=trained,
        briefly=BRIEFLY if "trained briefly" in card.purpose else "",
        cap=PSNR_CAP,
        terms=textwrap.fill(card.terms, 100),
        table=markdown({card.name: card.validation, NULL: null}),
        shares="\n".join(
            f"- {shares[kind]:.0%} {text}"
            for kind, text in KINDS_OF_PATCHES.items()
            if shares[kind]
        ),
        training="\n".join(
            f"python -m tools.train configs/train/{name}.yaml --data DATA --out runs/{name}"
            for name in (*sorted(before), *(path.stem for path in recipes))
        ),
        run=list(recipes)[-1].stem,
    )
    return f"---\n{front}---\n{body}"


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, write the card beside the network, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("onnx", type=Path, metavar="NAME.onnx")
    parser.add_argument("--evaluation", type=Path, required=True, help="tools.evaluate --json")
    parser.add_argument(
        "--recipe", type=Path, nargs="+", metavar="YAML",
        help="in order of training (default: <network>.yaml and <network>-finish.yaml)",
    )  # fmt: skip
    args = parser.parse_args(arguments)
    try:
        if not args.onnx.is_file():
            raise ModelError(f"the model {args.onnx} is not there; check the path")
        sha256 = hashlib.sha256(args.onnx.read_bytes()).hexdigest()
        evaluation, null = read_evaluations(args.evaluation, sha256)
        paths = args.recipe or recipes_of(read_metadata(args.onnx)["network"])
        recipes = {path: load_recipe(path) for path in paths}
        before = sum(recipe.steps for recipe in list(recipes.values())[:-1])
        card = make_card(args.onnx, evaluation, sha256, before)
        text = render(card, null.sets, recipes)
        write_whole(args.onnx.with_suffix(".md"), text.encode())
    except StreamderainError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(args.onnx.with_suffix(".md"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
