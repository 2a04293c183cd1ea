"""The networks that are shipped, and how a name or a file becomes one. Loads no runtime."""

from __future__ import annotations

import hashlib
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamderain.errors import ModelError

__all__ = [
    "NULL",
    "ModelCard",
    "ModelInfo",
    "available_models",
    "models_folder",
    "resolve_model",
    "sha256_of",
]

NULL = "null"
"""The name of the model that changes nothing."""


class Score(BaseModel):
    """PSNR in dB and SSIM, on Y and on RGB, as means over a set of pictures."""

    model_config = ConfigDict(extra="forbid")
    psnr_y: float
    ssim_y: float
    psnr_rgb: float
    ssim_rgb: float


class ModelCard(BaseModel):
    """The front matter of ``models/NAME.md``.

    Attributes:
        name: what the command line knows it by.
        purpose: what it is for, in a few words.
        terms: on what it was trained, and what that means for its use.
        parameters: how many numbers it holds.
        macs_per_pixel: multiplications for each pixel of a frame.
        training_steps: how long it was trained.
        sha256: of the ``.onnx`` beside the card.
        validation: quality by the kind of rain: ``light``, ``heavy``, and ``dry`` pictures
            against themselves.
    """

    model_config = ConfigDict(extra="forbid")
    name: str
    purpose: str
    terms: str
    parameters: int
    macs_per_pixel: float
    training_steps: int
    sha256: str
    validation: dict[str, Score] = Field(default_factory=dict)


class ModelInfo(BaseModel):
    """A network that can be run: its file (none for ``null``), and its card where it is shipped."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    path: Path | None
    card: ModelCard | None = None


def models_folder() -> Path:
    """Return where the shipped networks are: inside the wheel, or in the checkout around it."""
    package = Path(__file__).parent
    installed = package / "_models"
    return installed if installed.is_dir() else package.parent / "models"


def read_card(path: Path) -> ModelCard:
    """Read the front matter of a card.

    Raises:
        ModelError: there is none, or it says something that a card doesn't say.
    """
    try:
        _, front, _ = path.read_text(encoding="utf-8").split("---\n", 2)
        return ModelCard.model_validate(yaml.safe_load(front))
    except (OSError, ValueError, yaml.YAMLError, ValidationError) as error:
        raise ModelError(f"the model card {path} can't be read: {error}") from error


def available_models() -> list[ModelInfo]:
    """Return the shipped networks, smallest first."""
    found = [
        ModelInfo(name=path.stem, path=path, card=read_card(path.with_suffix(".md")))
        for path in models_folder().glob("*.onnx")
    ]
    return sorted(found, key=lambda info: (info.card.macs_per_pixel if info.card else 0, info.name))


def resolve_model(model: str) -> ModelInfo:
    """Return the network of a name, or of a path to an ``.onnx`` file.

    Raises:
        ModelError: no shipped network has that name, the file is missing, or a shipped file is not
            the one that its card describes.
    """
    if model == NULL:
        return ModelInfo(name=NULL, path=None)
    if model.endswith(".onnx") or "/" in model:
        path = Path(model)
        if not path.is_file():
            raise ModelError(f"the model {model} is not there; check the path")
        return ModelInfo(name=path.stem, path=path)
    shipped = available_models()
    for info in shipped:
        if info.name == model:
            if info.card is not None and sha256_of(info) != info.card.sha256:
                raise ModelError(
                    f"{info.path} is not the file that its card describes; install streamderain "
                    "again, or fetch the file again if it is a checkout"
                )
            return info
    names = ", ".join(info.name for info in shipped) or "none in this installation"
    raise ModelError(
        f"no model is named {model!r}; there are: {names}; or give the path of an .onnx file"
    )


def sha256_of(info: ModelInfo) -> str | None:
    """Return the SHA-256 of a network's file in hexadecimal, None for ``null``."""
    if info.path is None:
        return None
    with info.path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
