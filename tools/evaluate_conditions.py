"""Judge networks at night, by infrared light and in fog: ``python -m tools.evaluate_conditions``.

``python -m tools.evaluate_conditions MODEL... --data DIR`` makes clips of the validation scenes,
which nobody trained on, before a camera that stands, in conditions drawn at random
(``streamderain/rain/drawn.py``); with ``--video FILE`` of dry recordings instead. From the tenth
frame on, of each network:

- rainy: PSNR and SSIM on Y of what comes out against the scene without rain and noise; ``null`` is
  the input's own;
- dry: PSNR on Y, the gate off, of clips without rain: ``left alone`` of clips without noise against
  themselves, ``noisy`` of clips with noise against the scene without it;
- grey: by how many levels the channels of an infrared picture differ at most;
- lamps: their mean brightness (the largest channel) in dry clips, before and after: what is white,
  and the glow around it.

``--gauge`` says instead what the rain gauge makes of such clips: the share of frames that pass as
dry, by the thresholds of ``--gate``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter

from streamderain import metrics
from streamderain.errors import InputError, UsageError
from streamderain.frame import Pixels, pixels_of
from streamderain.inference.backend import Backend
from streamderain.inference.create import BACKENDS
from streamderain.inference.gate import GateConfig
from streamderain.inference.past import SPAN
from streamderain.inference.remembering import MAX_LOOKAHEAD
from streamderain.inference.running import derain_coded
from streamderain.models import sha256_of
from streamderain.rain.conditions import Night
from streamderain.rain.drawn import CONDITIONS
from streamderain.readers.video import VideoFileReader
from tools.clips import camera_path, draw_clip, random_movers
from tools.condition_clips import ConditionClip, seen_in
from tools.ending import ends_in_a_sentence
from tools.evaluate import PSNR_CAP, open_model
from tools.evaluate_footage import with_priors
from tools.evaluate_gauge import dry_by, scores_of
from tools.files import write_whole
from tools.nuisances import insects
from tools.training.data import validation_sets

__all__ = ["CONDITION_SCORES", "ConditionScores", "clips_in", "judge", "main", "table"]

FRAMES = 16
GAUGED = 60
"""Frames of a clip that the gauge is judged on."""
SETTLED = SPAN + 1
"""The first frame that is judged: the past is as long as it gets."""
ROOM = 40
"""Pixels by which a still is larger than the view."""
WHITE, GLOWING = 230.0, 12.0
"""Levels that a lamp adds from which on it is white all over, or glows."""


@dataclass(frozen=True)
class ConditionScores:
    """Of one network in one condition, means over clips; NaN where there is nothing to measure.

    Attributes:
        model, sha256: whose, and of which file; None where it has none.
        condition: of :data:`~streamderain.rain.drawn.CONDITIONS`.
        psnr, ssim: of derained frames against the truth, on Y; dB and at most 1.
        alone: of dry clips without noise against themselves, in dB.
        noisy: of dry clips with noise against the truth, in dB.
        cast: largest difference of two channels of grey frames, in levels.
        cores, cores_after, glow, glow_after: brightness of lamps in levels.
    """

    model: str
    sha256: str | None
    condition: str
    psnr: float
    ssim: float
    alone: float
    noisy: float
    cast: float
    cores: float
    cores_after: float
    glow: float
    glow_after: float


CONDITION_SCORES = TypeAdapter(
    list[ConditionScores], config=ConfigDict(ser_json_inf_nan="constants")
)
"""What ``--json`` writes."""

Clip = list[Pixels]


def standing_clips(stills: Sequence[Pixels], frames: int, seed: int) -> Iterator[Clip]:
    """Make a clip of each still, of a camera that stands, with two things that move in front."""
    for number, still in enumerate(stills):
        rng = np.random.default_rng([seed, number])
        size = still.shape[0] - ROOM, still.shape[1] - ROOM
        path = camera_path("fixed", frames, rng, reach=(ROOM, ROOM))
        others = [other for other in stills if other is not still] or [still]
        yield draw_clip(still, path, random_movers(others, 2, size, frames, rng), size).frames


def clips_in(name: str, clips: Sequence[Clip], seed: int) -> Iterator[ConditionClip]:
    """Put each clip into a condition; the same seed gives the same.

    Args:
        name: of :data:`~streamderain.rain.drawn.CONDITIONS`.
        clips: frames of dry days, uint8 H×W×3 RGB.
        seed: the same seed gives the same conditions.
    """
    for number, frames in enumerate(clips):
        rng = np.random.default_rng([seed, number, CONDITIONS.index(name)])
        yield seen_in(name, frames, rng)


def judge(
    backend: Backend, name: str, clips: Sequence[ConditionClip], *, lookahead: int = 0
) -> ConditionScores:
    """Derain clips in a condition, rainy ones and dry ones, and compare them with the truth.

    Args:
        backend: what runs the network.
        name: of the condition.
        clips: from :func:`clips_in`.
        lookahead: frames after each that a video network looks at, 0 to 4.

    Raises:
        ModelError: the network failed.
    """
    found: dict[str, list[float]] = {
        key: [] for key in ("psnr", "ssim", "alone", "noisy", "cast", "core", "core_after",
                            "glow", "glow_after")
    }  # fmt: skip
    for clip in clips:
        for index, frame in _derained(backend, clip.rainy, lookahead):
            a, b = metrics.luma(frame), metrics.luma(clip.truth[index])
            found["psnr"].append(min(metrics.psnr(a, b), PSNR_CAP))
            found["ssim"].append(metrics.ssim(a, b))
            found["cast"] += _cast(clip.rainy[index], frame)
        for index, frame in _derained(backend, clip.truth, lookahead):
            found["alone"].append(_psnr(frame, clip.truth[index]))
            found["cast"] += _cast(clip.truth[index], frame)
            for part, where in _lamps(clip, index).items():
                before, after = clip.truth[index].max(axis=2), frame.max(axis=2)
                if where.any():
                    found[part].append(float(before[where].mean()))
                    found[f"{part}_after"].append(float(after[where].mean()))
        for index, frame in _derained(backend, clip.dry, lookahead):
            found["noisy"].append(_psnr(frame, clip.truth[index]))
    means = {key: float(np.mean(values)) if values else np.nan for key, values in found.items()}
    return ConditionScores(
        backend.name, sha256_of(backend.model), name, means["psnr"], means["ssim"],
        means["alone"], means["noisy"], max(found["cast"], default=float("nan")),
        means["core"], means["core_after"], means["glow"], means["glow_after"],
    )  # fmt: skip


def _derained(
    backend: Backend, frames: Sequence[Pixels], lookahead: int
) -> Iterator[tuple[int, Pixels]]:
    for index, (frame, prior) in enumerate(with_priors(backend, frames, lookahead)):
        if index >= SETTLED:
            yield index, pixels_of(derain_coded(backend, [frame], [prior])[0])


def _psnr(a: Pixels, b: Pixels) -> float:
    return min(metrics.psnr(metrics.luma(a), metrics.luma(b)), PSNR_CAP)


def _cast(frame: Pixels, derained: Pixels) -> list[float]:
    """Return by how much the channels of a grey frame differ afterwards; nothing for others."""
    if np.ptp(frame, axis=2).any():
        return []
    return [float(np.ptp(derained, axis=2).max())]


def _lamps(clip: ConditionClip, index: int) -> dict[str, NDArray[np.bool_]]:
    """Return where lamps are white, and where they glow: bool H×W."""
    if not isinstance(clip.condition, Night):
        return {}
    height, width = clip.truth[index].shape[:2]
    _, glow = clip.condition.light_and_glow(height, width, index)
    most = glow.max(axis=2)
    return {"core": most >= WHITE, "glow": (most >= GLOWING) & (most < WHITE)}


HEAD = (
    "| condition | model | rainy: PSNR / SSIM | dry: left alone | dry: noisy | grey differs by "
    "| lamps: white | lamps: glow |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
)


def table(found: Sequence[ConditionScores]) -> str:
    """Return the scores as a Markdown table."""
    return "\n".join([*HEAD, *map(_row, found)])


def _row(item: ConditionScores) -> str:
    grey = "" if np.isnan(item.cast) else f"{item.cast:.0f}"
    cores, glow = (
        "" if np.isnan(before) else f"{before:.1f} → {after:.1f}"
        for before, after in ((item.cores, item.cores_after), (item.glow, item.glow_after))
    )
    return (
        f"| {item.condition} | {item.model} | {item.psnr:.2f} dB / {item.ssim:.3f} "
        f"| {item.alone:.1f} dB | {item.noisy:.1f} dB | {grey} | {cores} | {glow} |"
    )


def gauge_table(
    names: Sequence[str], clips: Sequence[Clip], gates: Sequence[GateConfig], seed: int
) -> Iterator[str]:
    """Give the rows of a Markdown table: frames that pass as dry, by what is in the clips."""
    yield "| condition | wet, dry | dry | dry, with insects | rain |"
    yield "| --- | --- | --- | --- | --- |"
    for name in names:
        scores: list[tuple[list[float | None], ...]] = []
        for number, clip in enumerate(clips_in(name, clips, seed)):
            rng = np.random.default_rng([seed, number, 1])
            flying = insects(clip.truth, rng)
            noisy = [clip.condition.sensor.take(frame, rng) for frame in flying]
            scores.append(tuple(scores_of(frames) for frames in (clip.dry, noisy, clip.rainy)))
        for gate in gates:
            shares = [[dry_by(found, gate) for found in of_clip] for of_clip in scores]
            cells = " | ".join(f"{share:.1%}" for share in np.mean(shares, axis=0))
            yield f"| {name} | {gate.wet:g}, {gate.dry:g} | {cells} |"


def read_clips(paths: Sequence[Path], skip: int, frames: int) -> list[Clip]:
    """Return frames of recordings.

    Raises:
        InputError: one can't be read, or is too short.
    """
    clips: list[Clip] = []
    for path in paths:
        with VideoFileReader(path) as reader:
            clips.append([frame.pixels for frame in islice(reader, skip, skip + frames)])
        if len(clips[-1]) < frames:
            raise InputError(
                f"{path} has {len(clips[-1])} frames from number {skip} on; {frames} are needed"
            )
    return clips


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help="name, .onnx, .pt or null")
    parser.add_argument("--data", type=Path, help="folder with rain100/")
    parser.add_argument(
        "--video", type=Path, action="append", help="a dry recording instead; again for more"
    )
    parser.add_argument("--skip", type=int, default=0, help="frames at a recording's beginning")
    parser.add_argument(
        "--condition", action="append", choices=CONDITIONS, metavar="NAME",
        help=f"{', '.join(CONDITIONS)}; default: all",
    )  # fmt: skip
    parser.add_argument("--scenes", type=int, default=9, help="how many of the nine")
    parser.add_argument("--frames", type=int, help=f"of a clip; default: {FRAMES} or {GAUGED}")
    parser.add_argument(
        "--lookahead", type=int, default=0, choices=range(MAX_LOOKAHEAD + 1),
        help="frames after each that a video network looks at",
    )  # fmt: skip
    parser.add_argument("--gauge", action="store_true", help="judge the rain gauge")
    parser.add_argument(
        "--gate", nargs=2, type=float, action="append", metavar=("WET", "DRY"),
        help="its thresholds; again for more; default: those of clean and run",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--backend", default="auto", choices=BACKENDS, help="what runs them")
    parser.add_argument("--json", type=Path, help="write the scores to this file")
    return parser


def run(args: argparse.Namespace) -> None:
    """Do what the command line asks for.

    Raises:
        StreamderainError: it can't be done.
    """
    if (args.data is None) == (args.video is None):
        raise UsageError("name either --data DIR or --video FILE")
    if bool(args.models) == args.gauge:
        raise UsageError("name either models or --gauge")
    if args.gate and not args.gauge:
        raise UsageError("--gate goes with --gauge")
    try:
        gates = [GateConfig(wet, dry) for wet, dry in args.gate or ()] or [GateConfig()]
    except ValueError as error:
        raise UsageError(f"{error}; check --gate") from error
    frames = args.frames or (GAUGED if args.gauge else FRAMES)
    if frames <= SETTLED:
        raise UsageError(f"--frames must be above {SETTLED}: so many are not judged")
    if args.video is not None:
        clips = read_clips(args.video, args.skip, frames)
    else:
        stills = [clean for _, clean in validation_sets(args.data)["dry"]][: args.scenes]
        clips = list(standing_clips(stills, frames, args.seed))
    names = args.condition or list(CONDITIONS)
    if args.gauge:
        for line in gauge_table(names, clips, gates, args.seed):
            print(line, flush=True)
        return
    found: list[ConditionScores] = []
    print("\n".join(HEAD))
    for name in names:
        seen = list(clips_in(name, clips, args.seed))
        for model in args.models:
            with open_model(model, args.device, args.backend) as backend:
                found.append(judge(backend, name, seen, lookahead=args.lookahead))
            print(_row(found[-1]), flush=True)
    if args.json is not None:
        write_whole(args.json, CONDITION_SCORES.dump_json(found, indent=2) + b"\n")


@ends_in_a_sentence
def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, evaluate, print, and return the exit code."""
    run(_parser().parse_args(arguments))
    return 0


if __name__ == "__main__":
    sys.exit(main())
