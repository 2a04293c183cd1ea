"""What each network is trained for: its loss, and what has to stand beside it.

An objective takes float N×3×H×W in [0, 1], rainy and clean, sides multiples of the network's, and
gives a scalar. The published ones cite their network's page; terms are means over elements, so that
the weights don't depend on the size of a patch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from streamderain.errors import ConfigError
from streamderain.networks.attention_embedding import AttentionEmbedding, RainAutoencoder
from streamderain.networks.dtpnet import DTPNet
from streamderain.networks.dualstage import DualStage
from streamderain.networks.msdrnet import MSDRNet, shrunk
from streamderain.networks.registry import BUILDERS, build
from tools.training.checkpoints import averaged_network, load_checkpoint
from tools.training.losses import (
    charbonnier,
    colour_ssim,
    fidelity,
    mask_entropy,
    rain_mask,
    restoration_loss,
)
from tools.training.recipe import Recipe

__all__ = ["OBJECTIVES", "Objective", "objective_of"]


class Objective(Protocol):
    """Gives the loss of a step."""

    def loss(self, network: nn.Module, rainy: Tensor, clean: Tensor, log_mse: float) -> Tensor:
        """Return the loss; where a stage has ``log_mse``, :func:`.losses.fidelity` is in it too."""
        ...

    def derained(self, network: nn.Module, rainy: Tensor, clean: Tensor) -> Tensor:
        """Return the picture that validation compares with the clean one."""
        ...


class _Derains:
    def derained(self, network: nn.Module, rainy: Tensor, clean: Tensor) -> Tensor:
        """Return what the network makes of the rainy picture."""
        picture: Tensor = network(rainy)
        return picture


class Restoration(_Derains):
    """L1 + w·(1 − SSIM) + v·ln MSE, on Y where it says so: our own networks, and fast recipes."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self._ssim = recipe.ssim

    def loss(self, network: nn.Module, rainy: Tensor, clean: Tensor, log_mse: float) -> Tensor:
        """Return the loss."""
        return restoration_loss(network(rainy).float(), clean, self._ssim, log_mse)


class Rain:
    """‖R̂ − R‖²: the rain autoencoder of network A."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        pass

    def loss(self, network: nn.Module, rainy: Tensor, clean: Tensor, log_mse: float) -> Tensor:
        """Return the loss of rain in [−1, 1]."""
        rain = rainy - clean
        return F.mse_loss(network(rain).float(), rain)

    def derained(self, network: nn.Module, rainy: Tensor, clean: Tensor) -> Tensor:
        """Return the picture less the rain that came through the bottleneck."""
        picture: Tensor = rainy - network(rainy - clean)
        return picture


class Embedding(_Derains):
    """Network A: 0.02·‖Z_ideal − Z‖₁ + 0.1·Σ‖M_att − M‖² − SSIM(B̂, B).

    Z_ideal is the frozen autoencoder's bottleneck of the rain, M the rain mask of each scale
    (*ours*: the largest of the pixels that one of a coarser scale stands for).
    """

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        if recipe.embedding is None:
            raise ConfigError(
                "the objective embedding needs the autoencoder's checkpoint; set embedding:"
            )
        checkpoint = load_checkpoint(Path(recipe.embedding), device)
        self._autoencoder = cast(RainAutoencoder, averaged_network(checkpoint, device))

    def loss(self, network: nn.Module, rainy: Tensor, clean: Tensor, log_mse: float) -> Tensor:
        """Return the loss."""
        parts = cast(AttentionEmbedding, network).parts(rainy)
        with torch.no_grad():
            ideal = self._autoencoder.embed(rainy - clean)
        loss = 0.02 * F.l1_loss(parts.embedding.float(), ideal.float())
        mask = rain_mask(rainy, clean)
        for level, attention in enumerate(parts.attention):
            scaled = F.max_pool2d(mask, 2**level) if level else mask
            loss = loss + 0.1 * F.mse_loss(attention.float(), scaled)
        derained = parts.derained.float()
        loss = loss + 1 - colour_ssim(derained, clean)
        return loss + fidelity(derained, clean, log_mse)


class Progressive(_Derains):
    """Network B: −SSIM(x₃, B) + 0.5·‖first − B‖²."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        pass

    def loss(self, network: nn.Module, rainy: Tensor, clean: Tensor, log_mse: float) -> Tensor:
        """Return the loss."""
        stages = cast(DTPNet, network).stages(rainy)
        derained = stages.derained.float()
        loss = 1 - colour_ssim(derained, clean) + 0.5 * F.mse_loss(stages.first.float(), clean)
        return loss + fidelity(derained, clean, log_mse)


class Scaled(_Derains):
    """Network C: L1 of B at three scales (1, 0.01, 0.01) and of R (0.1, 0.01, 0.01)."""

    BACKGROUND = (1.0, 0.01, 0.01)
    RAIN = (0.1, 0.01, 0.01)

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        pass

    def loss(self, network: nn.Module, rainy: Tensor, clean: Tensor, log_mse: float) -> Tensor:
        """Return the loss."""
        scales = cast(MSDRNet, network).scales(rainy)
        total = rainy.new_zeros(())
        for level, (background, rain) in enumerate(zip(scales.derained, scales.rain, strict=True)):
            dry, wet = shrunk(clean, 2**level), shrunk(rainy, 2**level)
            total = total + self.BACKGROUND[level] * F.l1_loss(background.float(), dry)
            total = total + self.RAIN[level] * F.l1_loss(rain.float(), wet - dry)
        return total + fidelity(scales.derained[0].float(), clean, log_mse)


class Masked(_Derains):
    """Network D: Charbonnier(B₂) + 0.5·Charbonnier(B₁) + 0.05·L1 of FFT + 0.1·BCE(m, M)."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        pass

    def loss(self, network: nn.Module, rainy: Tensor, clean: Tensor, log_mse: float) -> Tensor:
        """Return the loss."""
        found = cast(DualStage, network).restoration(rainy)
        derained, mask = found.derained.float(), found.mask
        spectra = torch.fft.rfft2(derained, norm="ortho") - torch.fft.rfft2(clean, norm="ortho")
        loss = charbonnier(derained, clean) + 0.5 * charbonnier(found.first.float(), clean)
        loss = loss + 0.05 * torch.view_as_real(spectra).abs().mean()
        loss = loss + 0.1 * mask_entropy(mask, rain_mask(rainy, clean))
        return loss + fidelity(derained, clean, log_mse)


OBJECTIVES: dict[str, type] = {
    "restoration": Restoration,
    "rain": Rain,
    "embedding": Embedding,
    "progressive": Progressive,
    "scales": Scaled,
    "masked": Masked,
}
"""By the name in a recipe, and the network that each goes with."""

NETWORKS = {
    "rain": RainAutoencoder, "embedding": AttentionEmbedding, "progressive": DTPNet,
    "scales": MSDRNet, "masked": DualStage,
}  # fmt: skip


def _empty(name: str) -> nn.Module:
    with torch.device("meta"):
        return build(name)


def objective_of(recipe: Recipe, network: nn.Module, device: torch.device) -> Objective:
    """Return the objective of a recipe.

    Raises:
        ConfigError: it doesn't go with the network, or lacks a checkpoint.
        ModelError: that checkpoint can't be read.
    """
    expected = NETWORKS.get(recipe.objective)
    if expected is not None and not isinstance(network, expected):
        fitting = [name for name in BUILDERS if isinstance(_empty(name), expected)]
        raise ConfigError(
            f"the objective {recipe.objective} doesn't go with {recipe.network}; it goes with "
            f"{', '.join(fitting)}"
        )
    objective: Objective = OBJECTIVES[recipe.objective](recipe, device)
    return objective
