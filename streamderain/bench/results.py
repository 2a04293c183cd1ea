"""What ``streamderain bench`` found, as people and programs are told it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Against",
    "Arithmetic",
    "BenchResult",
    "Cameras",
    "ConvolutionRate",
    "Dry",
    "Machine",
    "Precise",
    "Ratio",
    "Stage",
    "Together",
]

Precise = Literal["float32", "bfloat16", "float16", "int8"]
"""What a convolution is computed in."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Machine(_Strict):
    """Where it was measured.

    Attributes:
        cpu: what the processor calls itself.
        cores: that the process may use.
        load: processes that wanted to run, as a mean of the minute before; None where it isn't
            told. What is not about 0 says that the machine was busy with other work.
        versions: of what takes part, by name.
    """

    cpu: str
    cores: int
    load: float | None
    versions: dict[str, str]


class Stage(_Strict):
    """A stage alone.

    Attributes:
        name: ``decode``, ``gauge`` (does it rain), ``prior`` (what the past says, for video
            networks), ``stack`` (frames into a batch, where the network takes them so), ``infer``
            (the network and nothing else),
            ``encode``.
        frames_a_call: frames that one call takes: of those the percentiles are.
        frames_per_second, megapixels_per_second: as a mean.
        p50_ms, p95_ms: milliseconds of a call that half, and 95 of 100, don't exceed.
        cpu_s_per_frame: seconds of all cores.
        of_the_slowest: its time over that of the slowest stage, 0 to 1.
    """

    name: str
    frames_a_call: int
    frames_per_second: float
    megapixels_per_second: float
    p50_ms: float
    p95_ms: float
    cpu_s_per_frame: float
    of_the_slowest: float


class Together(_Strict):
    """All stages at once, as ``clean`` runs them.

    Attributes:
        frames: that were measured.
        frames_per_second, megapixels_per_second: as a mean.
        p50_ms, p95_ms: milliseconds of a frame from the decoder into the file, waiting included.
        cpu_s_per_frame: seconds of all cores.
        derained: share of the frames that the network cleaned.
        overhead_cpu_s_per_frame: seconds of all cores that no stage alone needs: Python between
            them, and what they cost each other.
        slowest_share: its rate over that of the slowest stage alone.
        overlap: its time over the larger of the slowest stage's and all stages' work shared by the
            cores; 1 is perfect.
    """

    frames: int
    frames_per_second: float
    megapixels_per_second: float
    p50_ms: float
    p95_ms: float
    cpu_s_per_frame: float
    derained: float
    overhead_cpu_s_per_frame: float
    slowest_share: float
    overlap: float


class Ratio(_Strict):
    """A ratio of pairs that were measured one right after the other.

    Attributes:
        median, least, most: of the pairs.
        pairs: in the order in which they were measured.
    """

    median: float
    least: float
    most: float
    pairs: list[float]


class ConvolutionRate(_Strict):
    """What the runtime gets out of the machine where nothing but convolutions is to be done.

    Attributes:
        precision: what they are computed in.
        macs_per_second: multiplications with their additions.
    """

    precision: Precise
    macs_per_second: float


class Arithmetic(_Strict):
    """What the network needs against what the machine can do.

    Attributes:
        convolutions: what can be reached, by precision.
        precision: what the network is computed in, None where nobody knows.
        macs_per_pixel: that its card tells, None where there is no card.
        macs_per_second: that it reached, alone.
        fraction: of what convolutions in its precision reach.
    """

    convolutions: list[ConvolutionRate]
    precision: Precise | None = None
    macs_per_pixel: float | None = None
    macs_per_second: float | None = None
    fraction: float | None = None


class Dry(_Strict):
    """The same scene without rain, which the network doesn't get to see.

    Attributes:
        frames_per_second: as ``clean`` runs it.
        dry: share of the frames that passed as they came.
        ratio: wall time over that of decoding and encoding alone, in pairs.
        cpu_ratio: and the seconds of all cores.
    """

    frames_per_second: float
    dry: float
    ratio: Ratio
    cpu_ratio: Ratio


class Cameras(_Strict):
    """Cameras as ``run`` serves them, without decoding and without a network.

    Attributes:
        cameras: how many.
        asked_per_second: frames a second that each was to give.
        arrived_per_second: frames a second that came, of all cameras.
        cleaned_per_second: frames a second that the network cleaned in time, of all cameras.
        cleaned: share of those that came.
        p50_ms, p95_ms: milliseconds from a cleaned frame's arrival to its result; None where none
            was cleaned.
        mean_batch, largest_batch: frames a run of the network; None where there was no run.
        cores_busy: seconds of all cores in a second.
        memory_mb_per_camera: what the process grew by at most, for each camera; None where the
            system doesn't tell.
        peak_memory_mb: the most that the process has had in memory so far.
    """

    cameras: int
    asked_per_second: float
    arrived_per_second: float
    cleaned_per_second: float
    cleaned: float
    p50_ms: float | None
    p95_ms: float | None
    mean_batch: float | None
    largest_batch: int | None
    cores_busy: float
    memory_mb_per_camera: float | None
    peak_memory_mb: float | None


class Against(_Strict):
    """Another network, or the same otherwise, in turns with the first: A B A B.

    Attributes:
        model, device, runtime: of the other.
        infer: how many times as fast the first is, the networks alone.
        together: and with all stages.
        infer_frames_per_second, together_frames_per_second: medians, of the first and the other.
    """

    model: str
    device: str
    runtime: str
    infer: Ratio
    together: Ratio
    infer_frames_per_second: tuple[float, float]
    together_frames_per_second: tuple[float, float]


class BenchResult(_Strict):
    """What a machine does, on H.264 video of the test scene in rain.

    Attributes:
        model, device, runtime: what ran, on what, and what ran it.
        width, height: of the frames, in pixels.
        bitrate: of the files that were decoded, in bits a second; None where they had the quality
            that ``clean`` writes.
        batch: frames a run of the network.
        machine: where.
        stages: each alone, in the order in which a frame goes through them.
        together: all of them, as ``clean`` runs them.
        arithmetic: None for a model that computes nothing.
        dry, cameras, against: None where they weren't asked for.
        notes: what there is to know of the device, such as a GPU that could not be used.
    """

    model: str
    device: str
    runtime: str
    width: int
    height: int
    bitrate: int | None = None
    batch: int
    machine: Machine
    stages: list[Stage]
    together: Together
    arithmetic: Arithmetic | None = None
    dry: Dry | None = None
    cameras: Cameras | None = None
    against: Against | None = None
    notes: list[str] = Field(default_factory=list)
