"""The training's curve as a picture, from its log."""

from __future__ import annotations

import csv
from pathlib import Path

from matplotlib.figure import Figure

__all__ = ["draw_curve"]


def draw_curve(log: Path, target: Path, title: str) -> None:
    """Draw PSNR of each validation set and the loss over the steps of ``log.csv``, as PNG."""
    with log.open(newline="", encoding="utf-8") as stream:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]
    if not rows:
        return
    steps = [row["step"] for row in rows]
    figure = Figure(figsize=(10, 4), layout="constrained")
    rainy, dry, loss = figure.subplots(1, 3, width_ratios=[2, 1, 1])
    for key in rows[0]:
        if key.endswith("_psnr"):
            name = key.removesuffix("_psnr")
            # Dry pictures are tens of dB above: on the same axis they would flatten the others.
            axes = dry if name == "dry" else rainy
            axes.plot(steps, [row[key] for row in rows], label=f"{name} {rows[-1][key]:.2f} dB")
    rainy.set(xlabel="step", ylabel="PSNR on Y, dB", title=title)
    dry.set(xlabel="step", title="dry pictures")
    for axes in (rainy, dry):
        if axes.lines:
            axes.legend(loc="lower right")
    loss.plot(steps, [row["loss"] for row in rows], color="grey")
    loss.set(xlabel="step", title="training loss")
    if all(row["loss"] > 0 for row in rows):  # with the log of the MSE in it, it isn't
        loss.set_yscale("log")
    for axes in (rainy, dry, loss):
        axes.grid(alpha=0.3)
    figure.savefig(target, dpi=110)
