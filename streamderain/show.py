"""What ``models``, ``check`` and ``demo`` print: results in, text out."""

from __future__ import annotations

import json as json_module
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from streamderain.errors import ModelError
from streamderain.models import ModelInfo, available_models, resolve_model
from streamderain.tables import as_text

if TYPE_CHECKING:
    from streamderain.config import Output, RunConfig
    from streamderain.demo import DemoResult

__all__ = ["show_config", "show_demo", "show_model", "show_models"]


def show_models(*, json: bool) -> str:
    """Return the shipped networks, the cheapest first, as a table or as JSON.

    Raises:
        ModelError: a shipped network has no card, or a broken one.
    """
    shipped = available_models()
    if json:
        return json_module.dumps([_as_json(info) for info in shipped], indent=2)
    table = _table("name", "parameters", "MAC/pixel", "light", "heavy", "dry", "speed")
    for info in shipped:
        if info.card is None:
            continue
        scores = [info.card.validation.get(rain) for rain in ("light", "heavy", "dry")]
        table.add_row(
            info.name, f"{info.card.parameters / 1e6:.2f} M", f"{info.card.macs_per_pixel:,.0f}",
            *("" if score is None else f"{score.psnr_y:.2f} dB" for score in scores),
            info.card.speed,
        )  # fmt: skip
    foot = (
        "light, heavy, dry: mean PSNR on Y of scenes that were not trained on; of the video\n"
        "networks without their past, with which they are several dB better.\n"
        "'streamderain models NAME' shows the whole card, with the terms."
    )
    return f"{as_text(table)}\n{foot}"


def show_model(name: str, *, json: bool) -> str:
    """Return the card of one network as it was written, or its front matter as JSON.

    Raises:
        ModelError: there is no such network, or it is one without a card.
    """
    info = resolve_model(name)
    if info.card is None or info.path is None:
        raise ModelError(f"{name} has no card; the shipped networks have, see streamderain models")
    if json:
        return json_module.dumps(_as_json(info), indent=2)
    return info.path.with_suffix(".md").read_text(encoding="utf-8").split("---\n", 2)[2].strip()


def show_demo(result: DemoResult) -> str:
    """Return what the demonstration found, and where its files are."""
    table = _table("against the scene without rain", "PSNR (Y)", "SSIM (Y)")
    table.add_row("rainy", f"{result.psnr_before:.2f} dB", f"{result.ssim_before:.4f}")
    table.add_row("derained", f"{result.psnr_after:.2f} dB", f"{result.ssim_after:.4f}")
    files = "\n".join(f"  {path}" for path in result.files)
    return (
        f"{as_text(table)}\n"
        f"{result.frames} frames through {result.model} on {result.device} ({result.runtime}) at "
        f"{result.frames_per_second:.1f} frames/s, drawing the scene and writing "
        f"three videos included\n{files}"
    )


def show_config(config: RunConfig) -> str:
    """Return a checked configuration as a table: what each camera really does."""
    table = _table("camera", "source", "policy", "outputs")
    for name in config.cameras:
        camera = config.camera(name)
        outputs = [_shown(name, output) for output in camera.outputs]
        table.add_row(name, camera.parsed.shown, camera.effective_policy, "\n".join(outputs))
    count = len(config.cameras)
    cameras = "1 camera" if count == 1 else f"{count} cameras"
    return f"{as_text(table)}\n{cameras} through {config.model}; it is valid."


def _shown(camera: str, output: Output) -> str:
    """Return where an output goes, without its passwords."""
    if output.type == "zeromq":
        return output.address
    if output.type == "rtsp":
        return f"push to {output.target(camera).shown}"
    return f"record to {output.folder}"


def _as_json(info: ModelInfo) -> dict[str, object]:
    if info.card is None:
        return {"name": info.name}
    return {**info.card.model_dump(mode="json"), "file": str(info.path)}


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = index > 0 and column not in {
            "speed",
            "source",
            "policy",
            "outputs",
        }
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    return table
