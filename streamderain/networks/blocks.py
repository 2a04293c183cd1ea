"""Blocks that several networks share; each stands here once.

All take and give float tensors N×C×H×W.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PaddedNetwork(nn.Module):
    """A network for any size: ``forward(rainy) -> derained``, float N×3×H×W in [0, 1].

    The picture is padded by its edge to multiples of :attr:`multiple` and cut back. The output is
    not clamped, so that training keeps its gradients; the exported graph clamps.

    Attributes:
        multiple: sides of what :meth:`restore` takes are multiples of it.
        inputs: channels of what goes in: 3, or more where the past is given too.
    """

    multiple: int
    inputs = 3

    def restore(self, rainy: Tensor) -> Tensor:
        """Derain pictures whose sides are multiples of :attr:`multiple`."""
        raise NotImplementedError

    def forward(self, rainy: Tensor) -> Tensor:
        """Return the derained picture, the same shape as ``rainy``."""
        height, width = rainy.shape[-2:]
        bottom, right = -height % self.multiple, -width % self.multiple
        padded = F.pad(rainy, (0, right, 0, bottom), mode="replicate")
        return self.restore(padded)[..., :height, :width]


def rectified_contrast(picture: Tensor, window: int = 9, floor: float = 1e-5) -> Tensor:
    """Return the rectified local contrast normalisation (RLCN): where it is brighter than around.

    L = max(I − μ, 0) / (σ + ε) with mean and deviation of a square window, for each channel;
    clamped to [0, 1]. At the border only what lies inside the picture counts. After Li et al.
    (ECNet, WACV 2022). Float N×C×H×W in [0, 1] in, the same shape out.
    """

    def mean(x: Tensor) -> Tensor:
        half = window // 2
        return F.avg_pool2d(x, window, stride=1, padding=half, count_include_pad=False)

    average = mean(picture)
    deviation = (mean(picture * picture) - average * average).clamp(min=0).sqrt()
    return (F.relu(picture - average) / (deviation + floor)).clamp(0, 1)


class ChannelAttention(nn.Module):
    """Scale each channel by a weight in (0, 1) found from the channels' global means.

    CA = σ(conv1×1(ReLU(conv1×1(mean(x))))), after Hu et al., "Squeeze-and-Excitation Networks",
    CVPR 2018. *Ours*: never fewer than 4 hidden channels. N×C×H×W in, the same shape out.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(channels // reduction, 4)
        self.reduce = nn.Conv2d(channels, hidden, 1)
        assert self.reduce.bias is not None
        nn.init.constant_(self.reduce.bias, 0.5)  # few as they are, none may begin dead
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` with its channels weighted."""
        g = x.mean(dim=(2, 3), keepdim=True)
        return x * torch.sigmoid(self.expand(F.relu(self.reduce(g))))


class ChannelAttentionBlock(nn.Module):
    """CAB: conv3×3-ReLU-conv3×3, its channels weighted, beside the input.

    N×C×H×W in, the same shape out.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.attention = ChannelAttention(channels, reduction)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        out: Tensor = x + self.attention(self.conv2(F.relu(self.conv1(x))))
        return out


class ResidualBlock(nn.Module):
    """x + conv3×3(ReLU(conv3×3(x))): no normalisation, so that nothing is left to fold."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W in, the same shape out."""
        out: Tensor = x + self.conv2(F.relu(self.conv1(x)))
        return out


class MultiScalePixelAttention(nn.Module):
    """Multi-scale pixel attention on a skip connection (MSPAM).

    After Huang & Kang, "Attention-based image deraining with rain embedding" (IEEE, document
    10317431): encoder and decoder features are merged, looked at with dilations 3, 5 and 7, and
    become one map in (0, 1) that says where the encoder's detail is to be trusted.
    *Ours*: the widths, which the paper doesn't tell.

    Args:
        channels: channels of the encoder's and of the decoder's features.
        inner: width of the merged features.
        dilations: dilations of the 3×3 convolutions beside the merged features themselves.
        squeezed: width between the two 1×1 convolutions, or None for ``inner``.
        keep_merged: put the merged features beside what the dilated convolutions make of them.
    """

    def __init__(
        self,
        channels: int,
        inner: int,
        dilations: tuple[int, ...] = (3, 5, 7),
        squeezed: int | None = None,
        keep_merged: bool = True,
    ) -> None:
        super().__init__()
        self.merge = nn.Conv2d(2 * channels, inner, 3, padding=1)
        self.scales = nn.ModuleList(
            nn.Conv2d(inner, inner, 3, padding=d, dilation=d) for d in dilations
        )
        self.keep_merged = keep_merged
        total = inner * (keep_merged + len(dilations))
        self.squeeze = nn.Conv2d(total, squeezed or inner, 1)
        self.score = nn.Conv2d(squeezed or inner, 1, 1)

    def attention(self, encoder: Tensor, decoder: Tensor) -> Tensor:
        """Return the map itself, N×1×H×W in (0, 1)."""
        merged = self.merge(torch.cat([encoder, decoder], dim=1))
        scales = [conv(merged) for conv in self.scales]
        stacked = torch.cat([merged, *scales] if self.keep_merged else scales, dim=1)
        return torch.sigmoid(self.score(F.relu(self.squeeze(stacked))))

    def forward(self, encoder: Tensor, decoder: Tensor) -> Tensor:
        """Return the encoder's features, N×C×H×W, weighted by the map."""
        return self.attention(encoder, decoder) * encoder
