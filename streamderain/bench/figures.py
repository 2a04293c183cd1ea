"""From times to figures. Pure: no clock, no thread."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streamderain.bench.results import Ratio, Stage, Together

__all__ = [
    "Sample",
    "join",
    "overlap_of",
    "quantile",
    "ratio_of",
    "stages_of",
    "together_of",
]


@dataclass(frozen=True)
class Sample:
    """What was measured of one thing.

    Attributes:
        frames: that it took care of.
        wall_s: wall time of all of them, in seconds.
        cpu_s: seconds of all cores that the process spent meanwhile.
        calls_s: seconds of each call, or of each frame on its way.
    """

    frames: int
    wall_s: float
    cpu_s: float
    calls_s: Sequence[float]

    @property
    def frame_s(self) -> float:
        """Wall seconds a frame."""
        return self.wall_s / self.frames

    @property
    def frame_cpu_s(self) -> float:
        """Seconds of all cores a frame."""
        return self.cpu_s / self.frames


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest of the values that a share of them doesn't exceed.

    Args:
        values: at least one, in any order.
        share: above 0, up to 1.

    Raises:
        ValueError: there are no values, or no such share.
    """
    if not values or not 0 < share <= 1:
        raise ValueError(f"a quantile is of one value or more and of 0 to 1, not of {share}")
    return sorted(values)[math.ceil(share * len(values)) - 1]


def ratio_of(first_s: Sequence[float], second_s: Sequence[float]) -> Ratio:
    """Return how many times the second took of what the first took, turn by turn.

    Args:
        first_s, second_s: seconds a frame of turns that followed each other, at least one of each.
    """
    pairs = [second / first for first, second in zip(first_s, second_s, strict=True)]
    return Ratio(
        median=statistics.median(pairs), least=min(pairs), most=max(pairs), pairs=list(pairs)
    )


def stages_of(
    samples: Mapping[str, Sample], height: int, width: int, batch: int, batched: Sequence[str] = ()
) -> list[Stage]:
    """Return the figures of stages that were measured alone.

    Args:
        samples: by name, in the order in which a frame goes through them.
        height, width: of the frames, in pixels.
        batch: frames that the batched ones take at once.
        batched: names of stages whose calls take a batch each.
    """
    slowest = max(sample.frame_s for sample in samples.values())
    return [
        Stage(
            name=name,
            frames_a_call=batch if name in batched else 1,
            frames_per_second=1 / sample.frame_s,
            megapixels_per_second=height * width / 1e6 / sample.frame_s,
            p50_ms=1000 * quantile(sample.calls_s, 0.5),
            p95_ms=1000 * quantile(sample.calls_s, 0.95),
            cpu_s_per_frame=sample.frame_cpu_s,
            of_the_slowest=sample.frame_s / slowest,
        )
        for name, sample in samples.items()
    ]


def overlap_of(together: Sample, stages: Sequence[Sample], cores: int) -> float:
    """Return how long all together take over what they can't take less than; 1 is perfect.

    No frame can leave faster than the slowest stage lets it, nor faster than the cores do the work
    of all stages.
    """
    slowest = max(stage.frame_s for stage in stages)
    work = sum(stage.frame_cpu_s for stage in stages) / cores
    return together.frame_s / max(slowest, work)


def together_of(
    together: Sample, stages: Mapping[str, Sample], height: int, width: int, cores: int,
    derained: int,
) -> Together:  # fmt: skip
    """Return the figures of all stages at once, beside those of the stages alone.

    Args:
        together: its calls are frames on their way from the decoder into the file.
        stages: those that it has, alone.
        height, width: of the frames, in pixels.
        cores: that the process may use.
        derained: frames that the network cleaned.
    """
    alone = list(stages.values())
    return Together(
        frames=together.frames,
        frames_per_second=1 / together.frame_s,
        megapixels_per_second=height * width / 1e6 / together.frame_s,
        p50_ms=1000 * quantile(together.calls_s, 0.5),
        p95_ms=1000 * quantile(together.calls_s, 0.95),
        cpu_s_per_frame=together.frame_cpu_s,
        derained=derained / together.frames,
        overhead_cpu_s_per_frame=together.frame_cpu_s - sum(s.frame_cpu_s for s in alone),
        slowest_share=max(s.frame_s for s in alone) / together.frame_s,
        overlap=overlap_of(together, alone, cores),
    )


def join(samples: Sequence[Sample]) -> Sample:
    """Return several measurements of the same thing as one."""
    return Sample(
        sum(sample.frames for sample in samples),
        sum(sample.wall_s for sample in samples),
        sum(sample.cpu_s for sample in samples),
        [call for sample in samples for call in sample.calls_s],
    )
