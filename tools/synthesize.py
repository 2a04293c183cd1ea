"""Make rain: ``python -m tools.synthesize picture|video|clip INPUT... -o FOLDER --preset heavy``.

Pictures become pairs, FOLDER/rainy/NAME.png and FOLDER/clean/NAME.png, as ``tools.evaluate
--pairs`` takes them. A video becomes FOLDER/rainy.mp4, compressed as a camera would, and
FOLDER/clean.mp4, the truth beside it; both have the source's timestamps and sound. A clip is the
same of a still: a camera that stands, trembles or pans, with things that move in front.
FOLDER/rain.json says how they were made. The same seed gives the same rain.
"""

from __future__ import annotations

import argparse
import errno
import json
import math
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

import streamderain
from streamderain.arguments import parse_bitrate
from streamderain.errors import InputError, OutputError, UsageError
from streamderain.frame import Frame, Pixels, SourceFormat
from streamderain.rain.simulate import PRESETS, RainLook, RainSimulator
from streamderain.readers.pictures import read_picture
from streamderain.readers.video import VideoFileReader
from streamderain.streams import made_folders
from streamderain.writers.atomic import explain_os_error
from streamderain.writers.fanout import FanOutWriter
from streamderain.writers.pictures import write_picture
from streamderain.writers.video import VideoFileWriter
from tools.clips import MOTIONS, camera_path, draw_clip, random_movers
from tools.ending import ends_in_a_sentence
from tools.files import pictures_in, write_whole

TRUTH_CRF = 6
"""Of clean.mp4: a hundredth of the error that deraining leaves."""

CAMERA_PIXELS = "yuv420p"
"""What cameras send, whatever the source has; sizes that it can't hold keep all their chroma."""

CAMERA_PRESET = "veryfast"
"""Cameras' encoders look about as far ahead."""

VIEW = 0.8
"""Share of a still's sides that the camera before it sees."""
STILL_FPS = 25


class Weather:
    """Rains on frames, and begins anew where their size changes."""

    def __init__(self, look: RainLook | None, fps: float, seed: int) -> None:
        self._look, self._fps, self._seed = look, fps, seed
        self._simulators: dict[tuple[int, int], RainSimulator] = {}

    def view(self, frame: Frame) -> Frame:
        """Return the frame with rain on it, or as it is where the weather is dry."""
        if self._look is None:
            return frame
        if frame.size not in self._simulators:
            self._simulators[frame.size] = RainSimulator(
                *frame.size, self._look, fps=self._fps, seed=self._seed
            )
        return replace(frame, picture=self._simulators[frame.size].rain_on(frame.pixels))


def rain_on_video(
    source: Path,
    folder: Path,
    look: RainLook | None,
    *,
    seed: int,
    bitrate: int,
    seconds: float | None,
    overwrite: bool,
) -> list[str]:
    """Write rainy.mp4 and clean.mp4; None for a look leaves both dry.

    Returns:
        What is wrong with the source, a sentence each.

    Raises:
        StreamderainError: the source can't be read, or a target can't be written.
    """
    with ExitStack() as stack:
        reader = stack.enter_context(VideoFileReader(source, duration=seconds))
        stack.enter_context(made_folders([folder]))
        rate = float(reader.format.frame_rate or 25)
        weather = Weather(look, rate, seed)
        truth = _writer(folder / "clean.mp4", reader.format, source, seconds, overwrite)
        stack.callback(truth.abandon)
        camera = replace(reader.format, pixel_format=CAMERA_PIXELS)
        rainy = _writer(folder / "rainy.mp4", camera, source, seconds, overwrite, bitrate=bitrate)
        stack.callback(rainy.abandon)
        writer = FanOutWriter([(truth, lambda frame: frame), (rainy, weather.view)])
        for frame in reader:
            writer.write(frame)
        writer.finish()
        for note in dict.fromkeys([*reader.format.notes, *writer.notes]):
            print(f"note: {note}", file=sys.stderr)
        return reader.problems


def rain_on_still(
    sources: Sequence[Path],
    folder: Path,
    look: RainLook | None,
    *,
    motion: str,
    movers: int,
    seed: int,
    bitrate: int,
    seconds: float,
    overwrite: bool,
) -> None:
    """Make a clip of a still, with things in front of it, and write rainy.mp4 and clean.mp4.

    Args:
        sources: the still; the things are cut out of the others, or of itself.
        folder: gets the two videos.
        look: the rain, or None.
        motion: of the camera, of :data:`tools.clips.MOTIONS`.
        movers: how many things.
        seed: of motion, things and rain.
        bitrate: of rainy.mp4.
        seconds: length, at 25 frames a second.
        overwrite: replace what is there.

    Raises:
        StreamderainError: a picture can't be read or is too small, or a target can't be written.
    """
    still, *others = [read_picture(path)[0] for path in sources]
    height, width = (int(VIEW * side) // 2 * 2 for side in still.shape[:2])
    if min(height, width) < 16:
        raise InputError(f"{sources[0]} is too small to move a view over; take a larger picture")
    rng = np.random.default_rng(seed)
    count = max(1, round(seconds * STILL_FPS))
    reach = still.shape[0] - height, still.shape[1] - width
    path = camera_path(motion, count, rng, reach=reach)
    things = random_movers(others or [still], movers, (height, width), count, rng)
    source = SourceFormat(
        height, width, frame_rate=Fraction(STILL_FPS), time_base=Fraction(1, STILL_FPS),
        frames=count, pixel_format=CAMERA_PIXELS,
    )  # fmt: skip
    with ExitStack() as stack:
        stack.enter_context(made_folders([folder]))
        truth = _writer(folder / "clean.mp4", source, None, None, overwrite)
        stack.callback(truth.abandon)
        rainy = _writer(folder / "rainy.mp4", source, None, None, overwrite, bitrate=bitrate)
        stack.callback(rainy.abandon)
        weather = Weather(look, STILL_FPS, seed)
        writer = FanOutWriter([(truth, lambda frame: frame), (rainy, weather.view)])
        for index, pixels in enumerate(draw_clip(still, path, things, (height, width)).frames):
            writer.write(Frame("still", 0, index, index, source.time_base, pixels, duration=1))
        writer.finish()


def _writer(
    target: Path,
    source_format: SourceFormat,
    source: Path | None,
    seconds: float | None,
    overwrite: bool,
    bitrate: int | None = None,
) -> VideoFileWriter:
    return VideoFileWriter(
        target, source_format, source=source, sample_end=seconds, overwrite=overwrite,
        crf=TRUTH_CRF, bitrate=bitrate, preset=CAMERA_PRESET,
    )  # fmt: skip


def rain_on_pictures(
    sources: Sequence[Path],
    folder: Path,
    look: RainLook,
    *,
    seed: int,
    jpeg: int | None,
    overwrite: bool,
) -> None:
    """Write a pair for every picture, each with rain of its own.

    Args:
        sources: the pictures.
        folder: gets ``rainy/`` and ``clean/``.
        look: the rain.
        seed: of the first picture; each further one has the next.
        jpeg: quality of the camera's JPEG compression, 1 to 100, or None.
        overwrite: replace pictures that are there.

    Raises:
        StreamderainError: two would get one name, one can't be read, or a target can't be written.
    """
    names = [f"{path.stem}.png" for path in sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"several pictures would become {twice[0]}; make their names differ")
    targets = [folder / kind / name for kind in ("clean", "rainy") for name in names]
    _check_targets(targets, sources, overwrite=overwrite)
    with made_folders([folder / "rainy", folder / "clean"]):
        for number, (path, name) in enumerate(zip(sources, names, strict=True)):
            clean, _ = read_picture(path)
            height, width = clean.shape[:2]
            rainy = RainSimulator(height, width, look, seed=seed + number).rain_on(clean)
            if jpeg is not None:
                rainy = _compressed(rainy, jpeg)
            write_picture(folder / "clean" / name, clean, overwrite=overwrite)
            write_picture(folder / "rainy" / name, rainy, overwrite=overwrite)


def _check_targets(targets: Sequence[Path], sources: Sequence[Path], *, overwrite: bool) -> None:
    """Refuse before the first picture is written, rather than in the middle."""
    inputs = {path.resolve() for path in sources}
    for target in targets:
        if target.resolve() in inputs:
            raise OutputError(
                f"{target} is one of the pictures to rain on, which are never written to; name "
                "another folder"
            )
        if target.exists() and not overwrite:
            raise explain_os_error(OSError(errno.EEXIST, ""), target)


def _compressed(picture: Pixels, quality: int) -> Pixels:
    """Return a picture as it comes back from JPEG."""
    colours = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", colours, [cv2.IMWRITE_JPEG_QUALITY, quality])
    back = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert back is not None  # what was just encoded
    return np.asarray(cv2.cvtColor(back, cv2.COLOR_BGR2RGB), np.uint8)


def pictures_of(inputs: Sequence[Path]) -> list[Path]:
    """Return the pictures that files and folders name, in order.

    Raises:
        InputError: a folder holds none.
    """
    found: list[Path] = []
    for path in inputs:
        inside = pictures_in(path) if path.is_dir() else [path]
        if not inside:
            raise InputError(f"{path} holds no pictures; name another folder")
        found += inside
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    picture = kinds.add_parser("picture", help="pairs of rainy and clean pictures")
    picture.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="files or folders")
    picture.add_argument("--jpeg", type=int, metavar="QUALITY", help="compress, 1 to 100")
    video = kinds.add_parser("video", help="a rainy video and the truth beside it")
    video.add_argument("input", type=Path, metavar="INPUT")
    video.add_argument("--bitrate", default="2M", help="of the camera, e.g. 800k (default 2M)")
    video.add_argument("--seconds", type=float, metavar="S", help="only so much from the start")
    video.add_argument("--dry", action="store_true", help="no rain, only the compression")
    clip = kinds.add_parser("clip", help="a still made into a rainy video, with things that move")
    clip.add_argument("inputs", nargs="+", type=Path, metavar="PICTURE", help="the still, and more")
    clip.add_argument("--motion", choices=MOTIONS, default="fixed", help="of the camera")
    clip.add_argument("--movers", type=int, default=2, help="things, cut out of the other pictures")
    clip.add_argument("--bitrate", default="2M", help="of the camera, e.g. 800k (default 2M)")
    clip.add_argument("--seconds", type=float, default=4.0, metavar="S", help="its length")
    clip.add_argument("--dry", action="store_true", help="no rain, only the compression")
    for kind in (picture, video, clip):
        kind.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
        kind.add_argument("--preset", choices=sorted(PRESETS), default="heavy")
        kind.add_argument("--rate", type=float, metavar="MM/H", help="rain rate")
        kind.add_argument("--wind", type=float, metavar="W", help="sideways over falling speed")
        kind.add_argument("--exposure", type=float, metavar="S", help="exposure time in seconds")
        kind.add_argument("--seed", type=int, default=1)
        kind.add_argument("--overwrite", action="store_true", help="replace files that are there")
    return parser


def look_of(args: argparse.Namespace) -> RainLook:
    """Return the preset with what the command line changes of it.

    Raises:
        UsageError: a figure makes no sense.
    """
    asked = {"rate_mm_h": args.rate, "wind": args.wind, "exposure_s": args.exposure}
    changes = {key: value for key, value in asked.items() if value is not None}
    try:
        return replace(PRESETS[args.preset], **changes)
    except ValueError as error:
        raise UsageError(f"{error}; check --rate, --wind and --exposure") from error


def run(args: argparse.Namespace) -> list[str]:
    """Do what the command line asks for; return what is wrong with the source.

    Raises:
        StreamderainError: it can't be done.
    """
    record = args.output / "rain.json"
    if record.exists() and not args.overwrite:
        raise OutputError(f"{record} already exists; say --overwrite or name another folder")
    if args.seed < 0:
        raise UsageError("the seed must be 0 or more")
    look = None if args.kind != "picture" and args.dry else look_of(args)
    problems: list[str] = []
    made: dict[str, object] = {"seed": args.seed, "streamderain": streamderain.__version__}
    if args.kind != "picture" and args.seconds is not None and not 0 < args.seconds < math.inf:
        raise UsageError("--seconds must be a number above 0")
    if args.kind == "clip":
        if args.movers < 0:
            raise UsageError("--movers must be 0 or more")
        bitrate = parse_bitrate(args.bitrate)
        rain_on_still(
            args.inputs, args.output, look, motion=args.motion, movers=args.movers, seed=args.seed,
            bitrate=bitrate, seconds=args.seconds, overwrite=args.overwrite,
        )  # fmt: skip
        made |= {"inputs": [path.name for path in args.inputs], "bitrate": bitrate}
        made |= {"motion": args.motion, "movers": args.movers, "seconds": args.seconds}
    elif args.kind == "video":
        bitrate = parse_bitrate(args.bitrate)
        problems = rain_on_video(
            args.input, args.output, look, seed=args.seed, bitrate=bitrate, seconds=args.seconds,
            overwrite=args.overwrite,
        )  # fmt: skip
        made |= {"inputs": [args.input.name], "bitrate": bitrate, "seconds": args.seconds}
    elif look is not None:
        if args.jpeg is not None and not 1 <= args.jpeg <= 100:
            raise UsageError("--jpeg must be between 1 and 100")
        sources = pictures_of(args.inputs)
        rain_on_pictures(
            sources, args.output, look, seed=args.seed, jpeg=args.jpeg, overwrite=args.overwrite
        )
        made |= {"inputs": [path.name for path in sources], "jpeg": args.jpeg}
    made["look"] = None if look is None else asdict(look)
    write_whole(record, (json.dumps(made, indent=2) + "\n").encode())
    return problems


@ends_in_a_sentence
def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, make the rain, and return the exit code."""
    problems = run(_parser().parse_args(arguments))
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
