"""A training recipe: the YAML under ``configs/train``, as a documented model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from streamderain.errors import ConfigError
from tools.training.data import Conditions, Mixture


class Stage(BaseModel):
    """A stretch of the training with patches of one size.

    Attributes:
        until: share of the whole training at which the stage ends; the last is 1.
        patch: side of the square patches, in pixels.
        batch: patches a step.
        log_mse: weight of the loss that optimises PSNR itself; beside a published loss, L1 comes
            with it.
    """

    model_config = ConfigDict(extra="forbid")
    until: float = Field(gt=0, le=1)
    patch: int = Field(ge=16)
    batch: int = Field(ge=1)
    log_mse: float = Field(default=0.0, ge=0)


class Recipe(BaseModel):
    """How a network is trained.

    Attributes:
        network: its name, e.g. ``attention-m``.
        seed: of the weights, the patches and the synthetic rain.
        steps: length of the whole training; the learning rate falls as a cosine over it.
        warmup: steps over which the learning rate rises from 0.
        learning_rate, weight_decay, clip: AdamW's, and the largest gradient norm.
        ema: decay of the moving average of the weights, which is what ships.
        bf16: run the convolutions in bfloat16.
        objective: what is minimised, see ``objectives.py``: ``restoration``, or that of a
            published network.
        embedding: checkpoint of the rain autoencoder, for the objective ``embedding``.
        optimizer: ``adamw`` or ``adam``.
        drops: shares of the training at which the rate is multiplied by ``drop_factor``, in the
            place of the cosine; empty for the cosine.
        ssim: weight of 1 − SSIM beside L1, for the objective ``restoration``.
        start: checkpoint whose averaged weights a new run starts from, or none; of a larger
            network of the family, the channels that matter most.
        teacher: checkpoint of a larger network to learn from as well, or none.
        teacher_weight: weight of L1 to the teacher's output.
        stages: patch sizes over the training.
        mixture: shares of the kinds of patches.
        conditions: shares that are seen at night, by infrared light or in fog.
        upside_down: share of the patches that are turned over.
        clips: train on frames with their past (``tools/training/video.py``) instead of pictures;
            for the video networks.
        validate_every, checkpoint_every: steps between them.
    """

    model_config = ConfigDict(extra="forbid")
    network: str
    seed: int = 1
    steps: int = Field(ge=1)
    warmup: int = Field(default=500, ge=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    clip: float = Field(default=0.5, gt=0)
    ema: float = Field(default=0.999, ge=0, lt=1)
    bf16: bool = True
    objective: Literal["restoration", "rain", "embedding", "progressive", "scales", "masked"] = (
        "restoration"
    )
    embedding: str | None = None
    optimizer: Literal["adamw", "adam"] = "adamw"
    drops: list[Annotated[float, Field(gt=0, lt=1)]] = []
    drop_factor: float = Field(default=0.2, gt=0, lt=1)
    ssim: float = Field(default=0.2, ge=0)
    start: str | None = None
    teacher: str | None = None
    teacher_weight: float = Field(default=0.0, ge=0)
    stages: list[Stage]
    mixture: Mixture = Mixture()
    conditions: Conditions = Conditions()
    upside_down: float = Field(default=0.3, ge=0, le=1)
    clips: bool = False
    validate_every: int = Field(default=2000, ge=1)
    checkpoint_every: int = Field(default=500, ge=1)

    @model_validator(mode="after")
    def _stages_cover_all(self) -> Recipe:
        ends = [stage.until for stage in self.stages]
        if not ends or ends != sorted(ends) or ends[-1] != 1.0:
            raise ValueError("stages must follow one another and the last must end at 1.0")
        return self

    def stage(self, step: int) -> Stage:
        """Return the stage that a step belongs to."""
        return next(s for s in self.stages if step < s.until * self.steps or s.until == 1.0)


def load_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        ConfigError: the file is missing or no YAML, or a key is unknown, missing or wrong.
    """
    try:
        return Recipe.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "its top"
        raise ConfigError(f"the recipe {path} is wrong at {key}: {first['msg']}") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"the recipe {path} can't be read: {reason}") from error
