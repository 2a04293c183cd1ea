"""The drawn street at night, by infrared light and in fog: ``python -m tools.condition_gallery``.

A row for each condition: the frame in rain, what the network makes of it by the frames before it
and, with ``--lookahead``, after it, and the truth; PSNR on Y above.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from streamderain import metrics
from streamderain.defaults import VIDEO_MODEL
from streamderain.frame import Pixels, pixels_of
from streamderain.inference.backend import Backend
from streamderain.inference.create import BACKENDS
from streamderain.inference.remembering import MAX_LOOKAHEAD
from streamderain.inference.running import derain_coded
from streamderain.rain.conditions import Condition, Fog, Infrared, Lamp, Night, Sensor
from streamderain.readers.scene import SceneReader
from streamderain.scene.view import REFERENCE_SIZE, View
from tools.condition_clips import rain_layers
from tools.ending import ends_in_a_sentence
from tools.evaluate import open_model
from tools.evaluate_footage import with_priors
from tools.figures import check_suffix, panel, save

__all__ = ["CONDITIONS", "Row", "draw", "main", "row_of"]

HEIGHT, WIDTH = REFERENCE_SIZE
FRAMES = 16
SHOWN = 11
"""The frame that is shown: it has a past and a future."""

_VIEW = View(1.0)
_LAMPS = tuple(
    Lamp(
        (_VIEW.row(17.7) - 4.85 * _VIEW.per_metre(17.7), _VIEW.column(x, 17.7)),
        radius=5.0, reach=90.0, power=0.85, halo=0.55, spread=4.0,
    )
    for x in (3.6, -9.2)
)  # fmt: skip
"""Where the street has its lamps."""

CONDITIONS: dict[str, Condition] = {
    "infrared": Infrared(
        exposure=0.85, exposed_m=14.0, nearest_m=7.0, horizon=0.0, farthest_m=25.0,
        sensor=Sensor(read=3.0, shot=0.03, grey=True, grain=0.5),
    ),
    "night": Night(lamps=_LAMPS, ambient=0.2, sensor=Sensor(read=3.5, shot=0.05, grain=0.5)),
    "fog": Fog(visibility_m=55.0, nearest_m=7.0, farthest_m=40.0, horizon=0.05),
}  # fmt: skip

Row = dict[str, Pixels]
"""uint8 H×W×3 RGB by title."""


def row_of(name: str, backend: Backend, *, lookahead: int, seed: int) -> Row:
    """Return the street in a condition: as it came, derained and as it is without rain.

    Args:
        name: of :data:`CONDITIONS`.
        backend: what runs the network.
        lookahead: frames after it that a video network looks at, 0 to 4.
        seed: of the rain and the noise.

    Raises:
        ModelError: the network failed.
    """
    rng = np.random.default_rng([seed, list(CONDITIONS).index(name)])
    condition = CONDITIONS[name]
    layers = rain_layers(name, FRAMES, (HEIGHT, WIDTH), rng)
    with SceneReader(height=HEIGHT, width=WIDTH, seed=1, rain=None) as street:
        seen = [
            condition.see(street.clean_frame(index), layer, index)
            for index, layer in enumerate(layers)
        ]
    rainy = [condition.sensor.take(frame.wet, rng) for frame in seen]
    for index, (frame, prior) in enumerate(with_priors(backend, rainy, lookahead)):
        if index == SHOWN:
            clean = pixels_of(derain_coded(backend, [frame], [prior])[0])
            return {name: rainy[index], backend.name: clean, "without rain": seen[index].dry}
    raise AssertionError("the shown frame is among them")


def draw(rows: list[Row]) -> Figure:
    """Draw a row for each condition, with PSNR on Y against the last picture of it."""
    figure = Figure(figsize=(12, len(rows) * (4 * HEIGHT / WIDTH + 0.3)), layout="constrained")
    axes = figure.subplots(len(rows), 3, squeeze=False)
    for places, row in zip(axes, rows, strict=True):
        truth = metrics.luma(list(row.values())[-1])
        for place, (title, pixels) in zip(places, row.items(), strict=True):
            error = metrics.psnr(metrics.luma(pixels), truth)
            panel(place, pixels, f"{title}, {error:.2f} dB" if np.isfinite(error) else title)
    return figure


@ends_in_a_sentence
def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, derain, draw, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default=VIDEO_MODEL, help=f"default: {VIDEO_MODEL}")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the picture to write")
    parser.add_argument("--lookahead", type=int, default=0, choices=range(MAX_LOOKAHEAD + 1))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backend", default="auto", choices=BACKENDS)
    args = parser.parse_args(arguments)
    check_suffix(args.output)
    with open_model(args.model, args.device, args.backend) as backend:
        rows = [
            row_of(name, backend, lookahead=args.lookahead, seed=args.seed) for name in CONDITIONS
        ]
    save(draw(rows), args.output)
    print(args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
