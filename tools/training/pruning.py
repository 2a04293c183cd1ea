"""A smaller network out of a trained larger one of the same family, by leaving channels out.

After Li et al., "Pruning Filters for Efficient ConvNets" (ICLR 2017): the channels whose filters
have the largest norms stay. What is left works badly at first and learns much faster than a network
that begins at random.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from streamderain.errors import ModelError
from streamderain.inference.pytorch import read_weights
from streamderain.networks import video
from streamderain.networks.attention import CONFIGS, AttentionConfig
from tools.training.checkpoints import load_checkpoint

__all__ = ["config_of", "prune", "starting_weights"]

Weights = dict[str, Tensor]


def starting_weights(path: Path, network: str) -> Weights:
    """Return the weights that a training of ``network`` begins with.

    Those of the file where it is of the same network; else what matters of them.

    Args:
        path: a checkpoint, whose averaged weights count, or a shipped network's ``.safetensors``.
        network: the name of what is to be trained.

    Raises:
        ModelError: the file can't be read, or the network can't be cut out of its network.
    """
    weights: Weights
    if path.suffix == ".safetensors":
        large, weights = read_weights(path)
    else:
        checkpoint = load_checkpoint(path)
        large, weights = checkpoint["recipe"]["network"], checkpoint["ema"]
    wanted = {**CONFIGS, **video.CONFIGS}.get(network)
    if large == network:
        return weights
    backwards = large in video.CONFIGS and network not in video.CONFIGS
    if wanted is None or backwards or not {"stem.weight", "head.0.weight"} <= weights.keys():
        raise ModelError(
            f"{network} can't be cut out of {large}; a start is of the same network, or both are "
            "of the attention family, and not of a video network for one of pictures"
        )
    try:
        cut = prune(weights, config_of(weights), wanted)
    except ValueError as error:
        raise ModelError(f"{network} can't be cut out of {large}: {error}") from error
    if network in video.CONFIGS and large not in video.CONFIGS:
        return video.from_picture_weights(cut, wanted)
    return cut


def config_of(weights: Weights) -> AttentionConfig:
    """Return the shape of the network of the attention family whose weights these are."""

    def count(prefix: str) -> int:
        found = {key[len(prefix) :].split(".")[0] for key in weights if key.startswith(prefix)}
        return len(found)

    ways_up = count("up.")
    merges = [weights.get(f"skip.{level}.merge.weight") for level in range(ways_up)]
    weighted = [f"decoder.{level}.attention.reduce.weight" in weights for level in range(ways_up)]
    return AttentionConfig(
        stride=weights["stem.weight"].shape[2],
        widths=(
            weights["stem.weight"].shape[0],
            *(weights[f"down.{level}.weight"].shape[0] for level in range(ways_up)),
        ),
        encoder=tuple(count(f"encoder.{level}.blocks.") for level in range(ways_up + 1)),
        decoder=tuple(count(f"decoder.{level}.blocks.") for level in range(ways_up)),
        attention=tuple(0 if merge is None else merge.shape[0] for merge in merges),
        unweighted=weighted.index(True) if True in weighted else ways_up,
    )


def prune(weights: Weights, large: AttentionConfig, small: AttentionConfig) -> Weights:
    """Return the weights of ``small`` that are cut out of those of ``large``.

    Args:
        weights: the state of an :class:`~streamderain.networks.attention.AttentionDerain`.
        large: its configuration.
        small: of the result; nowhere wider or deeper. With a coarser stride, ``large``'s finest
            levels are left out.

    Raises:
        ValueError: ``small`` doesn't fit into ``large``.
    """
    while large.stride < small.stride and len(large.widths) > 1:
        weights, large = _without_finest(weights, large)
    _check(large, small)
    streams = _important_channels(weights, large, small)
    result = _ends(weights, streams)
    for part, blocks, fewer in (
        ("encoder", large.encoder, small.encoder), ("decoder", large.decoder, small.decoder),
    ):  # fmt: skip
        for level, (have, want) in enumerate(zip(blocks, fewer, strict=True)):
            stream, group = streams[level], f"{part}.{level}"
            for block in range(want):
                # Spread over those there are: neighbours do similar things.
                source = round(block * (have - 1) / max(1, want - 1))
                names = f"{group}.blocks.{source}", f"{group}.blocks.{block}"
                result |= _block(weights, *names, stream, small.widths[level])
            if level >= small.unweighted:
                result |= _channel_attention(weights, f"{group}.attention", stream)
    for level, inner in enumerate(small.attention):
        if not inner:
            continue
        stream = streams[level]
        result |= _pixel_attention(weights, f"skip.{level}", stream, large.widths[level], inner)
    return {name: tensor.clone() for name, tensor in result.items()}


def _check(large: AttentionConfig, small: AttentionConfig) -> None:
    for what in ("widths", "encoder", "decoder", "attention"):
        have, want = getattr(large, what), getattr(small, what)
        if len(have) != len(want) or any(b > a for a, b in zip(have, want, strict=True)):
            raise ValueError(f"{what} {want} can't be cut out of {have}")
    if small.unweighted < large.unweighted:
        raise ValueError(f"channel attention can't be cut out of {large.unweighted} levels without")
    if large.stride != small.stride:
        raise ValueError(f"stride {small.stride} can't be cut out of stride {large.stride}")


def _without_finest(weights: Weights, config: AttentionConfig) -> tuple[Weights, AttentionConfig]:
    """Leave the finest level out: a network of twice the stride.

    Its stem is the stem and the way down in one, its head the way up and the head in one; both are
    linear, so that only the level's blocks and its skip are lost.
    """
    coarse = replace(
        config, stride=2 * config.stride, widths=config.widths[1:], encoder=config.encoder[1:],
        decoder=config.decoder[1:], attention=config.attention[1:],
    )  # fmt: skip
    result: Weights = {}
    for name, tensor in weights.items():
        part, level, *rest = name.split(".")
        if part in ("encoder", "decoder", "down", "up", "skip") and int(level) > 0:
            result[".".join([part, str(int(level) - 1), *rest])] = tensor
    stem, down = weights["stem.weight"], weights["down.0.weight"]
    fine, side = stem.shape[2], stem.shape[2] * down.shape[2]
    composed = torch.einsum("ofyx,fcij->ocyixj", down, stem)
    result["stem.weight"] = composed.reshape(down.shape[0], stem.shape[1], side, side)
    result["stem.bias"] = weights["down.0.bias"] + down.sum((2, 3)) @ weights["stem.bias"]

    def up_and_head(features: Tensor) -> Tensor:
        x = F.conv_transpose2d(features, weights["up.0.weight"], weights["up.0.bias"], stride=2)
        x = F.conv2d(x, weights["head.0.weight"], weights["head.0.bias"], padding=1)
        return F.pixel_unshuffle(F.pixel_shuffle(x, fine), side)

    channels = weights["up.0.weight"].shape[0]
    bias = up_and_head(torch.zeros(1, channels, 5, 5))[0, :, 2, 2]
    impulses = torch.zeros(channels, channels, 5, 5)
    impulses[range(channels), range(channels), 2, 2] = 1
    answers = up_and_head(impulses)[:, :, 1:4, 1:4] - bias[:, None, None]
    # A convolution's kernel is the answer to an impulse, turned round.
    result["head.0.weight"] = answers.flip(2, 3).transpose(0, 1)
    result["head.0.bias"] = bias
    return result, coarse


def _norms(weight: Tensor, dim: int) -> Tensor:
    """Return the L2 norm of the weights that belong to each channel along ``dim``."""
    others = [other for other in range(weight.dim()) if other != dim]
    return weight.float().square().sum(others).sqrt()


def _largest(scores: Tensor, count: int) -> Tensor:
    """Return the indices of the largest scores, in their order."""
    return torch.topk(scores, count).indices.sort().values


def _touching(large: AttentionConfig) -> Iterator[tuple[int, str, int]]:
    """Give each convolution that reads or writes a level's features: level, name, dimension."""
    yield 0, "stem.weight", 0
    yield 0, "head.0.weight", 1
    for level in range(len(large.widths)):
        for part, blocks in (("encoder", large.encoder), ("decoder", large.decoder)):
            for block in range(blocks[level] if level < len(blocks) else 0):
                yield level, f"{part}.{level}.blocks.{block}.conv1.weight", 1
                yield level, f"{part}.{level}.blocks.{block}.conv2.weight", 0
        if level + 1 < len(large.widths):
            yield level, f"down.{level}.weight", 1
            yield level + 1, f"down.{level}.weight", 0
            yield level + 1, f"up.{level}.weight", 0  # a transposed convolution: inputs first
            yield level, f"up.{level}.weight", 1


def _important_channels(
    weights: Weights, large: AttentionConfig, small: AttentionConfig
) -> list[Tensor]:
    """Return, for each level, which channels of its features stay."""
    scores = [torch.zeros(width) for width in large.widths]
    for level, name, dim in _touching(large):
        norms = _norms(weights[name], dim)
        scores[level] += norms / norms.mean()
    return [_largest(score, width) for score, width in zip(scores, small.widths, strict=True)]


def _ends(weights: Weights, streams: list[Tensor]) -> Weights:
    """Cut stem, head, and the ways between the levels."""
    finest = streams[0]
    result = {
        "stem.weight": weights["stem.weight"][finest],
        "stem.bias": weights["stem.bias"][finest],
        "head.0.weight": weights["head.0.weight"][:, finest],
        "head.0.bias": weights["head.0.bias"],
    }
    for level in range(len(streams) - 1):
        fine, coarse = streams[level], streams[level + 1]
        result |= {
            f"down.{level}.weight": weights[f"down.{level}.weight"][coarse][:, fine],
            f"down.{level}.bias": weights[f"down.{level}.bias"][coarse],
            f"up.{level}.weight": weights[f"up.{level}.weight"][coarse][:, fine],
            f"up.{level}.bias": weights[f"up.{level}.bias"][fine],
        }
    return result


def _block(weights: Weights, source: str, target: str, stream: Tensor, hidden: int) -> Weights:
    """Cut a residual block, between its convolutions as well."""
    first, second = weights[f"{source}.conv1.weight"][:, stream], weights[f"{source}.conv2.weight"]
    second = second[stream]
    inside = _largest(_norms(first, 0) * _norms(second, 1), hidden)
    return {
        f"{target}.conv1.weight": first[inside],
        f"{target}.conv1.bias": weights[f"{source}.conv1.bias"][inside],
        f"{target}.conv2.weight": second[:, inside],
        f"{target}.conv2.bias": weights[f"{source}.conv2.bias"][stream],
    }


def _channel_attention(weights: Weights, name: str, stream: Tensor) -> Weights:
    reduce, expand = weights[f"{name}.reduce.weight"][:, stream], weights[f"{name}.expand.weight"]
    expand = expand[stream]
    hidden = max(len(stream) // 16, 4)  # as ChannelAttention has it
    inside = torch.topk(_norms(reduce, 0) * _norms(expand, 1), hidden).indices
    return {
        f"{name}.reduce.weight": reduce[inside],
        f"{name}.reduce.bias": weights[f"{name}.reduce.bias"][inside],
        f"{name}.expand.weight": expand[:, inside],
        f"{name}.expand.bias": weights[f"{name}.expand.bias"][stream],
    }


def _pixel_attention(
    weights: Weights, name: str, stream: Tensor, width: int, inner: int
) -> Weights:
    """Cut a skip's attention: it reads encoder and decoder features, one after the other."""
    both = torch.cat([stream, stream + width])
    merge = weights[f"{name}.merge.weight"][:, both]
    inside = _largest(_norms(merge, 0), inner)
    had = weights[f"{name}.squeeze.weight"].shape[0]
    branches = weights[f"{name}.squeeze.weight"].shape[1] // had
    result = {
        f"{name}.merge.weight": merge[inside],
        f"{name}.merge.bias": weights[f"{name}.merge.bias"][inside],
        f"{name}.squeeze.weight": weights[f"{name}.squeeze.weight"][inside][
            :, torch.cat([inside + had * branch for branch in range(branches)])
        ],
        f"{name}.squeeze.bias": weights[f"{name}.squeeze.bias"][inside],
        f"{name}.score.weight": weights[f"{name}.score.weight"][:, inside],
        f"{name}.score.bias": weights[f"{name}.score.bias"],
    }
    for scale in range(branches - 1):
        key = f"{name}.scales.{scale}"
        result[f"{key}.weight"] = weights[f"{key}.weight"][inside][:, inside]
        result[f"{key}.bias"] = weights[f"{key}.bias"][inside]
    return result
