"""The training loop: bf16, EMA, cosine, checkpoints that survive being killed."""

from __future__ import annotations

import csv
import math
import queue
import threading
import time
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from streamderain import metrics
from streamderain.errors import ConfigError, ModelError
from streamderain.networks.registry import Restorer, build
from tools.training.checkpoints import averaged_network, load_checkpoint, save_checkpoint
from tools.training.curve import draw_curve
from tools.training.data import PatchSampler, Pictures
from tools.training.objectives import Objective, objective_of
from tools.training.pruning import starting_weights
from tools.training.recipe import Recipe
from tools.training.video import BORDER, ClipSampler

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


class Sampler(Protocol):
    """Draws what is learnt from."""

    def batch(self, size: int, patch: int) -> Pair:
        """Return what goes in and what should come out, uint8 N×patch×patch×C."""
        ...


def to_tensor(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Return uint8 N×H×W×C as float N×C×H×W in [0, 1], channels last."""
    return torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float().div(255)


def to_picture(x: Tensor) -> NDArray[np.uint8]:
    """Return float 1×3×H×W as a uint8 H×W×3 picture, clipped and rounded."""
    scaled = x[0].permute(1, 2, 0).clamp(0, 1).mul(255).round()
    return np.asarray(scaled.byte().cpu().numpy(), np.uint8)


def learning_rate(recipe: Recipe, step: int) -> float:
    """Return the rate of a step: linear warm-up, then a cosine down to a hundredth, or drops."""
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    if recipe.drops:
        passed = sum(step >= share * recipe.steps for share in recipe.drops)
        return recipe.learning_rate * recipe.drop_factor**passed
    done = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def validate(
    network: nn.Module,
    sets: dict[str, list[Pair]],
    device: torch.device,
    objective: Objective | None = None,
) -> dict[str, float]:
    """Return mean PSNR and SSIM on Y for each set, as ``light_psnr`` and so on."""
    result: dict[str, float] = {}
    network.eval()
    for name, pairs in sets.items():
        scores = []
        for rainy, clean in pairs:
            wet, dry = to_tensor(rainy[None], device), to_tensor(clean[None], device)
            with torch.no_grad():
                shown = objective.derained(network, wet, dry) if objective else network(wet)
            out = to_picture(shown)
            a, b = metrics.luma(out), metrics.luma(clean)
            scores.append((min(metrics.psnr(a, b), 99.0), metrics.ssim(a, b)))
        result[f"{name}_psnr"], result[f"{name}_ssim"] = np.mean(scores, axis=0).tolist()
    return result


class Trainer:
    """One training run in its own folder.

    The folder holds ``last.pt`` (weights, EMA, optimiser, step: all that a resumed run needs but
    the random state, which begins anew; written beside and renamed), ``log.csv`` and ``curve.png``.

    Args:
        recipe: what to do.
        folder: where; made if missing. A ``last.pt`` in it is continued.
        device: CPU or CUDA.

    Raises:
        ModelError: the folder holds another network, the start one that doesn't fit, or a
            checkpoint can't be loaded.
        ConfigError: patches don't fit the network.
    """

    def __init__(self, recipe: Recipe, folder: Path, device: torch.device) -> None:
        self.recipe, self.folder, self.device = recipe, folder, device
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(recipe.seed)
        self.network = build(recipe.network).to(device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        multiple, inputs = (
            cast(Restorer, self.network).multiple,
            cast(Restorer, self.network).inputs,
        )
        if recipe.clips != (inputs > 3):
            raise ConfigError(
                f"{recipe.network} takes {'frames with their past' if inputs > 3 else 'pictures'}; "
                f"set clips: {'true' if inputs > 3 else 'false'}"
            )
        for stage in recipe.stages:
            if stage.patch % multiple:
                raise ConfigError(
                    f"patches of {stage.patch} pixels don't fit {recipe.network}; take a multiple "
                    f"of {multiple}"
                )
        self.ema = build(recipe.network).to(device)
        self.ema.load_state_dict(self.network.state_dict())
        self.optimizer = _optimizer(recipe, self.network)
        self.rng = np.random.default_rng(recipe.seed)
        self.step, self.seconds = 0, 0.0
        self.teacher: nn.Module | None = None
        if recipe.teacher:
            self.teacher = load_ema(Path(recipe.teacher), device)
        if (folder / "last.pt").exists():
            self._load(folder / "last.pt")
            _forget_after(folder / "log.csv", self.step)
        elif recipe.start:
            weights = starting_weights(Path(recipe.start), recipe.network)
            self.network.load_state_dict(weights)
            self.ema.load_state_dict(weights)
        self.objective = objective_of(recipe, self.network, device)

    def _load(self, path: Path) -> None:
        state = load_checkpoint(path, self.device)
        if state["recipe"]["network"] != self.recipe.network:
            raise ModelError(
                f"{path} holds {state['recipe']['network']}, the recipe asks for "
                f"{self.recipe.network}; choose another folder"
            )
        groups = [dict(group) for group in self.optimizer.param_groups]
        try:
            self.network.load_state_dict(state["network"])
            self.ema.load_state_dict(state["ema"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (ValueError, RuntimeError) as error:
            raise ModelError(
                f"{path} was written by another version, whose {self.recipe.network} has another "
                "shape; choose another folder"
            ) from error
        for group, asked in zip(self.optimizer.param_groups, groups, strict=True):
            group.update({key: value for key, value in asked.items() if key != "params"})
        self.step, self.seconds = state["step"], state["seconds"]
        # The patches drawn ahead by the loader are not in the state: a fresh stream goes on.
        self.rng = np.random.default_rng([self.recipe.seed, self.step])

    def save(self) -> None:
        """Write ``last.pt`` so that a kill at any moment leaves a whole one."""
        state: dict[str, Any] = {
            "recipe": self.recipe.model_dump(),
            "network": self.network.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        save_checkpoint(state, self.folder / "last.pt")

    def run(self, pictures: Pictures, validation: dict[str, list[Pair]]) -> None:
        """Train to the recipe's end, from wherever the checkpoint stands."""
        _check_patches(self.recipe, pictures)
        recipe = self.recipe
        sampler: Sampler = (
            ClipSampler(pictures, recipe.mixture, self.rng, recipe.conditions)
            if recipe.clips
            else PatchSampler(
                pictures, recipe.mixture, self.rng, recipe.upside_down, recipe.conditions
            )
        )
        loader = _Loader(sampler, self.recipe, self.step)
        started = time.monotonic() - self.seconds
        losses: list[float] = []
        try:
            while self.step < self.recipe.steps:
                losses.append(self._train_step(*loader.next()))
                self.step += 1
                self.seconds = time.monotonic() - started
                last = self.step == self.recipe.steps
                if self.step % self.recipe.checkpoint_every == 0 or last:
                    self.save()
                if self.step % self.recipe.validate_every == 0 or last:
                    self._report(float(np.mean(losses)), validation)
                    losses.clear()
        finally:
            loader.stop()

    def _train_step(self, rainy8: NDArray[np.uint8], clean8: NDArray[np.uint8]) -> float:
        recipe, stage = self.recipe, self.recipe.stage(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(recipe, self.step)
        rainy, clean = to_tensor(rainy8, self.device), to_tensor(clean8, self.device)
        self.network.train()
        with self._autocast():
            loss = self.objective.loss(self.network, rainy, clean, stage.log_mse)
        if self.teacher is not None:
            with self._autocast():
                with torch.no_grad():
                    target = self.teacher(rainy).float()
                loss = loss + recipe.teacher_weight * F.l1_loss(self.network(rainy).float(), target)
        if not torch.isfinite(loss):
            raise ModelError(
                f"the loss of step {self.step} is no number; go on from {self.folder}/last.pt with "
                "a lower learning_rate"
            )
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip)
        self.optimizer.step()
        # From nothing, the average begins with the latest weights; from a start, with that.
        early = 1.0 if recipe.start else (self.step + 1) / (self.step + 10)
        decay = min(recipe.ema, early)
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.ema.parameters()), list(self.network.parameters()), 1 - decay
            )
            # The statistics of normalisations belong to the weights: they are averaged alike.
            for kept, now in zip(self.ema.buffers(), self.network.buffers(), strict=True):
                if kept.is_floating_point():
                    kept.lerp_(now, 1 - decay)
                else:
                    kept.copy_(now)
        return float(loss.detach())

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bf16)

    def _report(self, loss: float, validation: dict[str, list[Pair]]) -> None:
        row: dict[str, float] = {"step": self.step, "minutes": self.seconds / 60, "loss": loss}
        row.update(validate(self.ema, validation, self.device, self.objective))
        path = self.folder / "log.csv"
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(row))
            if new:
                writer.writeheader()
            writer.writerow({key: f"{value:.6g}" for key, value in row.items()})
        draw_curve(path, self.folder / "curve.png", self.recipe.network)
        print("  ".join(f"{key} {value:.4g}" for key, value in row.items()), flush=True)


def _optimizer(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    if recipe.optimizer == "adam":
        return torch.optim.Adam(
            network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
    return torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.99),
        weight_decay=recipe.weight_decay, fused=True,
    )  # fmt: skip


def _check_patches(recipe: Recipe, pictures: Pictures) -> None:
    shapes = [picture.shape for picture in (*pictures.clean, *pictures.layers)]
    smallest = min(min(shape[:2]) for shape in shapes)
    largest = max(stage.patch for stage in recipe.stages) + (2 * BORDER + 5) * recipe.clips
    if largest > smallest:
        raise ConfigError(
            f"patches of {largest} pixels can't be cut from pictures whose shorter side has "
            f"{smallest}; make them smaller"
        )


class _Loader:
    """Draws batches ahead of the training step, in one thread."""

    def __init__(self, sampler: Sampler, recipe: Recipe, step: int) -> None:
        self._queue: queue.Queue[Pair] = queue.Queue(maxsize=4)
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(
            target=self._run, args=(sampler, recipe, step), name="patches", daemon=True
        )
        self._thread.start()

    def _run(self, sampler: Sampler, recipe: Recipe, step: int) -> None:
        try:
            while not self._stop.is_set():
                stage = recipe.stage(step)
                pair = sampler.batch(stage.batch, stage.patch)
                while not self._stop.is_set():
                    try:
                        self._queue.put(pair, timeout=0.2)
                        break
                    except queue.Full:
                        continue
                step += 1
        except BaseException as error:  # noqa: BLE001 - handed to the training thread
            self._error = error

    def next(self) -> Pair:
        while True:
            try:
                return self._queue.get(timeout=1.0)
            except queue.Empty:
                if self._error is not None:
                    raise self._error from None

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def _forget_after(log: Path, step: int) -> None:
    """Cut the log where the checkpoint stands: what comes after will be trained again."""
    if not log.exists():
        return
    head, *rows = log.read_bytes().splitlines(keepends=True)
    kept = [row for row in rows if row.endswith(b"\n") and float(row.split(b",")[0]) <= step]
    log.write_bytes(b"".join([head, *kept]))


def load_ema(path: Path, device: torch.device) -> nn.Module:
    """Return the network of a checkpoint file with its averaged weights, ready to run.

    Raises:
        ModelError: the file is missing, or no checkpoint of a network that there is.
    """
    return averaged_network(load_checkpoint(path, device), device)
