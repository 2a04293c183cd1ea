"""Judge networks against a ground truth: ``python -m tools.evaluate MODEL... --data DIR``.

PSNR and SSIM on the Y channel of BT.601 (16-235) and on RGB, of 8-bit outputs, as means over
pictures; SSIM with an 11×11 Gaussian window of sigma 1.5. A MODEL is a shipped name, the path of an
``.onnx`` file, a ``.pt`` checkpoint of a training (PyTorch is loaded only then), or ``null``: the
input itself, as the line to be better than.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter

from streamderain import metrics
from streamderain.errors import InputError, ModelError, UsageError
from streamderain.inference.backend import Backend
from streamderain.inference.create import BACKENDS, create_backend
from streamderain.inference.openvino import OpenVinoBackend
from streamderain.inference.running import derain
from streamderain.models import PLANES, Score, resolve_model, sha256_of
from streamderain.readers.pictures import read_picture
from tools.ending import ends_in_a_sentence
from tools.files import pictures_in, write_whole
from tools.training.data import RAINS, VALIDATION_IDS

Picture = NDArray[np.uint8]

DRY = "dry"
PSNR_CAP = 99.0
"""Equal pictures have no error at all; their PSNR counts as this many dB."""


class Evaluation(BaseModel):
    """What ``--json`` holds for each model.

    Attributes:
        model: as it was called on the command line.
        sha256: of its file, None for ``null``.
        sets: mean scores by the name of the set.
    """

    model_config = ConfigDict(extra="forbid")
    model: str
    sha256: str | None
    sets: dict[str, Score]


EVALUATIONS = TypeAdapter(list[Evaluation])


@dataclass(frozen=True, slots=True)
class Pair:
    """Two picture files: rainy, and the truth.

    Attributes:
        set: what the means are taken over.
        name: of the picture.
    """

    set: str
    name: str
    rainy: Path
    clean: Path


@dataclass(frozen=True, slots=True)
class Row:
    """The scores of one model on one picture."""

    model: str
    set: str
    name: str
    psnr_y: float
    ssim_y: float
    psnr_rgb: float
    ssim_rgb: float


def validation_pairs(data: Path) -> list[Pair]:
    """Return the validation scenes: both rains, and the clean pictures against themselves.

    Raises:
        InputError: a picture is missing.
    """
    folder = data / "rain100"
    pairs = [
        Pair(
            rain, name, folder / (rain if rain != DRY else "clean") / name, folder / "clean" / name
        )
        for rain in (*RAINS, DRY)
        for name in (f"{index:03d}.png" for index in VALIDATION_IDS)
    ]
    missing = [path for pair in pairs for path in (pair.rainy, pair.clean) if not path.is_file()]
    if missing:
        raise InputError(f"{missing[0]} is missing; --data names the folder that holds rain100/")
    return pairs


def folder_pairs(rainy: Path, clean: Path) -> list[Pair]:
    """Pair the pictures of two folders by name, endings aside.

    Raises:
        InputError: a folder is missing or holds no pictures, or a rainy picture has no truth.
    """
    for folder in (rainy, clean):
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder; --pairs takes two folders of pictures")
    truths = {path.stem: path for path in pictures_in(clean)}
    found = pictures_in(rainy)
    if not found:
        raise InputError(f"{rainy} holds no pictures")
    alone = [path for path in found if path.stem not in truths]
    if alone:
        raise InputError(
            f"{clean} holds no picture named like {alone[0]} ({len(alone)} of {len(found)} have no "
            "partner); pictures are paired by name"
        )
    return [Pair(rainy.name, path.name, path, truths[path.stem]) for path in found]


def score(output: Picture, clean: Picture) -> dict[str, float]:
    """Return PSNR and SSIM on Y and RGB of two uint8 H×W×3 pictures."""
    a, b = metrics.luma(output), metrics.luma(clean)
    return {
        "psnr_y": min(metrics.psnr(a, b), PSNR_CAP),
        "ssim_y": metrics.ssim(a, b),
        "psnr_rgb": min(metrics.psnr(output, clean), PSNR_CAP),
        "ssim_rgb": metrics.ssim(output, clean),
    }


def evaluate(backend: Backend, pairs: Sequence[Pair], name: str) -> Iterator[Row]:
    """Give a row for each pair.

    Raises:
        InputError: a picture can't be read or is too small, or a pair differs in size.
        ModelError: the network can't take a picture.
    """
    for pair in pairs:
        rainy, _ = read_picture(pair.rainy)
        clean, _ = read_picture(pair.clean)
        if rainy.shape != clean.shape:
            raise InputError(
                f"{pair.rainy} is {_size(rainy)} and {pair.clean} is {_size(clean)}; "
                "a pair must be of one size"
            )
        if min(clean.shape[:2]) < metrics.SSIM_WINDOW:
            raise InputError(
                f"{pair.clean} is {_size(clean)}; SSIM needs at least "
                f"{metrics.SSIM_WINDOW} pixels each way"
            )
        derained = derain(backend, [rainy])[0]
        yield Row(name, pair.set, pair.name, **score(derained, clean))


def _size(picture: Picture) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"


def means(rows: Sequence[Row]) -> dict[str, dict[str, Score]]:
    """Return the mean scores by model and set, in order of appearance."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.model, row.set), []).append(row)
    result: dict[str, dict[str, Score]] = {}
    for (model, name), members in groups.items():
        keys = list(Score.model_fields)
        values = np.mean([[getattr(row, key) for key in keys] for row in members], axis=0)
        scores = dict(zip(keys, (round(float(value), 4) for value in values), strict=True))
        result.setdefault(model, {})[name] = Score(**scores)
    return result


def markdown(result: dict[str, dict[str, Score]]) -> str:
    """Return a table: a row a model, for each set PSNR and SSIM on Y and on RGB."""
    sets = list(next(iter(result.values())))
    head = " | ".join(f"{name}: PSNR / SSIM on Y | {name}: on RGB" for name in sets)
    lines = [f"| model | {head} |", "| --- |" + " --- | --- |" * len(sets)]
    for model, scores in result.items():
        cells = [
            f"{s.psnr_y:.2f} dB / {s.ssim_y:.4f} | {s.psnr_rgb:.2f} dB / {s.ssim_rgb:.4f}"
            for s in scores.values()
        ]
        lines.append(f"| {model} | {' | '.join(cells)} |")
    return "\n".join(lines)


def open_model(model: str, device: str = "auto", backend: str = "auto") -> Backend:
    """Load a shipped name, an ``.onnx`` file, ``null``, or a ``.pt`` checkpoint of a training.

    A name means the network in floats, whatever the processor; in 8 bits it is judged by its file,
    ``NAME.planes.int8.onnx`` as ``clean`` runs it: on pictures as codecs hold them.

    Raises:
        ModelError: it can't be had.
    """
    if model.endswith(PLANES):
        path = Path(model)
        info = resolve_model(path.name.removesuffix(PLANES), path.parent)
        reduced = info.in_eight_bits()
        if reduced is None or reduced.for_planes() is None:
            raise ModelError(f"the card of {info.name} says nothing of {path.name}")
        return OpenVinoBackend(reduced)
    if model.endswith(".pt"):
        try:
            from tools.training.backend import CheckpointBackend
        except ModuleNotFoundError as error:
            raise ModelError(
                f"{model} is a checkpoint, which needs PyTorch; run: "
                "pip install 'streamderain[torch]'"
            ) from error

        return CheckpointBackend(Path(model))
    return create_backend(model, device, backend, "float")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL", help="name, .onnx, .pt or null")
    parser.add_argument("--data", type=Path, help="folder with rain100/")
    parser.add_argument(
        "--split", choices=["validation"], default="validation",
        help="scenes of --data: ids 61 to 70 without 69, both rains and dry",
    )  # fmt: skip
    parser.add_argument("--pairs", type=Path, nargs=2, metavar=("RAINY", "CLEAN"))
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--backend", default="auto", choices=BACKENDS, help="what runs them")
    parser.add_argument("--json", type=Path, help="write the means to this file")
    parser.add_argument("--csv", type=Path, help="write a row a picture to this file")
    return parser


def run(args: argparse.Namespace) -> None:
    """Do what the command line asks for."""
    if (args.data is None) == (args.pairs is None):
        raise UsageError("name either --data DIR or --pairs RAINY CLEAN")
    pairs = folder_pairs(*args.pairs) if args.pairs else validation_pairs(args.data)
    rows: list[Row] = []
    digests: dict[str, str | None] = {}
    for model in args.models:
        with open_model(model, args.device, args.backend) as backend:
            digests[model] = sha256_of(backend.model)
            rows += evaluate(backend, pairs, model)
    result = means(rows)
    print(markdown(result))
    evaluations = [
        Evaluation(model=model, sha256=digests[model], sets=sets) for model, sets in result.items()
    ]
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, fieldnames=list(asdict(rows[0])))
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    for target, text in (
        (args.json, EVALUATIONS.dump_json(evaluations, indent=2).decode() + "\n"),
        (args.csv, table.getvalue()),
    ):
        if target is not None:
            write_whole(target, text.encode())


@ends_in_a_sentence
def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, evaluate, and return the exit code."""
    run(_parser().parse_args(arguments))
    return 0


if __name__ == "__main__":
    sys.exit(main())
