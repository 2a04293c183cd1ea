"""The networks that are shipped, and how a name or a file becomes one. Loads no runtime.

Each network is two files side by side: ``NAME.onnx`` and its card ``NAME.md``, Markdown with a
YAML front matter that :class:`ModelCard` describes. In a checkout they are in ``models/``, in an
installed wheel in ``streamderain/_models/``.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamderain.errors import ModelError, UnknownModelError

__all__ = [
    "INT8",
    "NULL",
    "PLANES",
    "EightBits",
    "ModelCard",
    "ModelInfo",
    "Score",
    "available_models",
    "is_file_name",
    "models_folder",
    "read_card",
    "resolve_model",
    "sha256_of",
    "sha256_of_file",
]

NULL = "null"
"""The name of the model that changes nothing."""


INT8 = ".int8.onnx"
"""How the file of a network in 8 bits ends."""

PLANES = ".planes.int8.onnx"
"""How that ends which takes pictures as codecs hold them (``streamderain/networks/planar.py``)."""

UNKNOWN_BYTES_PER_PIXEL = 400
"""Of a network without a card: more than our own need, less than the large ones do."""


class Score(BaseModel):
    """PSNR in dB and SSIM, on Y and on RGB, as means over a set of pictures."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    psnr_y: float
    ssim_y: float
    psnr_rgb: float
    ssim_rgb: float


class EightBits(BaseModel):
    """What a card says of ``NAME.int8.onnx``, the same network in 8 bits.

    Attributes:
        sha256: of that file, in hexadecimal.
        planes_sha256: of ``NAME.planes.int8.onnx``, or None where there is none.
        validation: its quality, by the kind of rain.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    planes_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    validation: dict[str, Score]


class ModelCard(BaseModel):
    """The front matter of ``models/NAME.md``.

    Attributes:
        name: what the command line knows it by.
        network: its architecture, as ``streamderain.networks`` names it.
        purpose: what it is for, in a few words.
        speed: its speed class: where it runs in real time, in a few words.
        trained_on: which pictures and which rain.
        terms: what that means for the use of the weights.
        parameters: how many numbers it holds.
        macs_per_pixel: multiplications for each pixel of a frame.
        bytes_per_pixel: activations that a run takes for each pixel, measured on the CPU.
        precision: what it may be computed in on the CPU: ``f32``, or ``bf16`` where its figures
            stay what they are.
        training_steps: how long it was trained.
        sha256: of the ``.onnx`` beside the card, in hexadecimal.
        pytorch_sha256: of the ``.safetensors`` beside it, or None where there is none.
        validation: quality by the kind of rain: ``light``, ``heavy``, and ``dry`` pictures
            against themselves.
        int8: of the network in 8 bits, or None where there is none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    network: str
    purpose: str
    speed: str
    trained_on: str
    terms: str
    parameters: int = Field(gt=0)
    macs_per_pixel: float = Field(gt=0)
    bytes_per_pixel: int = Field(default=270, gt=0)
    precision: Literal["f32", "bf16"] = "f32"
    training_steps: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    pytorch_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    validation: dict[str, Score]
    int8: EightBits | None = None


class ModelInfo(BaseModel):
    """A network that can be run: its file (none for ``null``), and its card where it is shipped."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    path: Path | None
    card: ModelCard | None = None

    @property
    def bytes_per_pixel(self) -> int:
        """Activations that a run takes for each pixel; a guess where there is no card."""
        return self.card.bytes_per_pixel if self.card else UNKNOWN_BYTES_PER_PIXEL

    def in_eight_bits(self) -> ModelInfo | None:
        """Return the same network in 8 bits, or None where there is none.

        Raises:
            ModelError: its file is not the one that the card describes.
        """
        if self.path is None or self.card is None or self.card.int8 is None:
            return None
        path = self.path.with_suffix(INT8)
        _check_file(path, self.card.int8.sha256)
        return self.model_copy(update={"path": path})

    def for_planes(self) -> ModelInfo | None:
        """Return the same network in 8 bits for pictures as codecs hold them, or None.

        Raises:
            ModelError: its file is not the one that the card describes.
        """
        eight_bits = self.card and self.card.int8
        if self.path is None or not eight_bits or eight_bits.planes_sha256 is None:
            return None
        path = self.path.with_name(f"{self.name}{PLANES}")
        _check_file(path, eight_bits.planes_sha256)
        return self.model_copy(update={"path": path})


def models_folder() -> Path:
    """Return where the shipped networks are: inside the wheel, or in the checkout around it."""
    package = Path(__file__).parent
    installed = package / "_models"
    return installed if installed.is_dir() else package.parent / "models"


def read_card(path: Path) -> ModelCard:
    """Read the front matter of a card.

    Raises:
        ModelError: there is no card, or it says too little or what a card doesn't say.
    """
    try:
        before, front, _ = path.read_text(encoding="utf-8").split("---\n", 2)
        if before:
            raise ValueError("it does not begin with a front matter")
        return ModelCard.model_validate(yaml.safe_load(front))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the front matter"
        raise ModelError(f"the model card {path} is wrong at {key}: {first['msg']}") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"the model card {path} can't be read: {reason}") from error


def available_models(folder: Path | None = None) -> list[ModelInfo]:
    """Return the shipped networks, the cheapest first.

    Args:
        folder: where to look; :func:`models_folder` unless told.

    Raises:
        ModelError: a network has no card, or a broken one.
    """
    found = []
    for path in (folder or models_folder()).glob("*.onnx"):
        if path.name.endswith(INT8):
            continue
        card = read_card(path.with_suffix(".md"))
        found.append((card.macs_per_pixel, ModelInfo(name=path.stem, path=path, card=card)))
    return [info for _, info in sorted(found, key=lambda pair: (pair[0], pair[1].name))]


def resolve_model(model: str, folder: Path | None = None) -> ModelInfo:
    """Return the network of a name, or of a path to an ``.onnx`` file.

    Names come first: a file called ``attention-m`` needs its path (``./attention-m``).

    Args:
        model: a shipped name, ``null``, or a path.
        folder: of the shipped networks; :func:`models_folder` unless told.

    Raises:
        UnknownModelError: no shipped network has that name.
        ModelError: the file is missing, or a shipped file is not the one that its card describes.
    """
    if model == NULL:
        return ModelInfo(name=NULL, path=None)
    if is_file_name(model):
        path = Path(model)
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "is not there"
            raise ModelError(f"the model {model} {what}; give the path of an .onnx file")
        return ModelInfo(name=path.stem, path=path)
    shipped = available_models(folder)
    for info in shipped:
        if info.name == model:
            return _verified(info)
    if Path(model).exists():
        raise ModelError(f"{model} is no model; those end in .onnx or .safetensors")
    names = ", ".join([*(info.name for info in shipped), NULL])
    raise UnknownModelError(
        f"no model is named {model!r}; there are {names}; or give the path of an .onnx file"
    )


def is_file_name(model: str) -> bool:
    """Say whether a model is named by its file, not by the name of a shipped network."""
    return model.endswith((".onnx", ".safetensors")) or "/" in model or "\\" in model


def _verified(info: ModelInfo) -> ModelInfo:
    if info.card is not None and info.path is not None:
        _check_file(info.path, info.card.sha256)
    return info


def _check_file(path: Path, sha256: str) -> None:
    if sha256_of_file(path) != sha256:
        raise ModelError(
            f"{path} is not the file that its card describes; install streamderain again, or fetch "
            "the file again if it is a checkout"
        )


def sha256_of(info: ModelInfo) -> str | None:
    """Return the SHA-256 of a network's file in hexadecimal, None for ``null``.

    Raises:
        ModelError: the file can't be read.
    """
    return None if info.path is None else sha256_of_file(info.path)


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Raises:
        ModelError: it can't be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"the model {path} can't be read: {error.strerror}") from error
