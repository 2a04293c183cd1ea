"""What ``clean`` tells when it is done: typed, and the JSON that ``--json`` prints."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["CleanReport", "ColourReport", "JobReport", "ModelReport"]


class _Report(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ModelReport(_Report):
    """The network that ran.

    Attributes:
        name: as the command line knows it.
        sha256: of the file in hexadecimal; none for ``null``.
        planes_sha256: of the file that runs in its place where a video's pictures are YCbCr in
            4:2:0; none where they are converted for the other one.
        device: what it ran on.
        runtime: what ran it.
        notes: what there is to know of that, such as a GPU that could not be used.
    """

    name: str
    sha256: str | None
    device: str
    runtime: str
    planes_sha256: str | None = None
    notes: list[str] = Field(default_factory=list)


class ColourReport(_Report):
    """How YCbCr was taken to mean RGB, in both directions.

    Attributes:
        matrix, range, primaries, transfer: names of ITU-T H.273, as FFmpeg spells them.
        assumed: what the source didn't say and we chose.
    """

    matrix: str
    range: str
    primaries: str
    transfer: str
    assumed: list[str]


class JobReport(_Report):
    """One source.

    Attributes:
        input, output: paths, or what stands for a pipe.
        ok: the target is there and nothing was lost.
        sample_s: seconds from the start that were asked for; None where it is the whole.
        frames_in, frames_out: decoded and written.
        derained: frames that the network cleaned.
        bypassed: frames that it did not, by reason.
        corrupt: frames that the decoder reported as damaged.
        rain: mean rain score, 0 (dry) to 1; None where it wasn't measured, as for pictures.
        model: name of the network.
        size: width and height of what was written.
        encoder: FFmpeg's name of the encoder, for videos.
        batch: frames that went through the network at once.
        segments: pieces that it was cleaned in; None where it was cleaned at once.
        resumed: how many of them were done before.
        skipped: the target was there already and ``--resume`` left it as it was.
        evidence: path of the evidence beside the target, or None.
        seconds: wall time.
        frames_per_second: frames written over wall time; of a job that was continued, those of
            this time.
        stages: seconds that ``decode``, ``infer`` and ``encode`` were at work.
        colour: of the source.
        notes: what was reduced or left out.
        problems: what is wrong with the source; any makes the job fail.
        error: why there is no target, or None.
    """

    input: str
    output: str
    ok: bool = False
    sample_s: float | None = None
    frames_in: int = 0
    frames_out: int = 0
    derained: int = 0
    bypassed: dict[str, int] = Field(default_factory=dict)
    corrupt: int = 0
    rain: float | None = None
    model: str | None = None
    size: tuple[int, int] | None = None
    encoder: str | None = None
    batch: int | None = None
    segments: int | None = None
    resumed: int = 0
    skipped: bool = False
    evidence: str | None = None
    seconds: float = 0.0
    frames_per_second: float = 0.0
    stages: dict[str, float] = Field(default_factory=dict)
    colour: ColourReport | None = None
    notes: list[str] = Field(default_factory=list)
    problems: list[str] = Field(default_factory=list)
    error: str | None = None


class CleanReport(_Report):
    """All of one command; ``models`` are the networks that were opened for it."""

    version: str
    models: list[ModelReport]
    jobs: list[JobReport]
    exit_code: int
