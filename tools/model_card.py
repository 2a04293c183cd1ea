"""Write a network's card: ``python -m tools.model_card models/NAME.onnx --evaluation FILE.json``.

Everything that can be wrong by a typing mistake comes from a file: the size and the training steps
from the metadata of the ``.onnx``, the figures from ``tools.evaluate --json`` (which must have
judged that very file, by its SHA-256), how it was trained from the recipe.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import textwrap
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml
from pydantic import ValidationError

from streamderain.errors import InputError, ModelError, UsageError
from streamderain.inference.create import create_backend
from streamderain.inference.openvino import has_openvino
from streamderain.models import INT8, NULL, PLANES, EightBits, ModelCard, Score, sha256_of_file
from streamderain.networks import video
from tools.card_texts import (
    ALONE,
    AT_NIGHT,
    BODY,
    BRIEFLY,
    IN_8_BITS,
    IN_OTHER_LIGHT,
    IN_PLANES,
    KINDS,
    KINDS_OF_CLIPS,
    KINDS_OF_PATCHES,
    PICTURE_COMMAND,
    PICTURE_ENDS,
    QUANTIZE,
    TERMS,
    TRAINED_ON,
    UNLEARNT,
    VARIED,
    VARIED_CLIPS,
    VIDEO_COMMAND,
    VIDEO_ENDS,
    Kind,
)
from tools.ending import ends_in_a_sentence
from tools.evaluate import DRY, EVALUATIONS, PSNR_CAP, Evaluation, markdown
from tools.evaluate_video import CLIP_SCORES
from tools.evaluate_video import table as clips_table
from tools.files import write_whole
from tools.training.recipe import Recipe, load_recipe

MEASURED_SIZES = (360, 640), (720, 1280)

WORSE = 0.3
"""dB that a network in 8 bits may lose in rain."""


def read_metadata(path: Path) -> dict[str, str]:
    """Return what an exported file says of itself.

    Raises:
        ModelError: it can't be loaded, or ``tools.export_onnx`` didn't write it.
    """
    import onnxruntime as ort

    try:
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"{path} can't be loaded as an ONNX model") from error
    metadata: dict[str, str] = session.get_modelmeta().custom_metadata_map
    missing = {"network", "parameters", "macs_per_pixel", "training_steps"} - metadata.keys()
    if missing:
        raise ModelError(f"{path} doesn't say its {', '.join(sorted(missing))}; export it again")
    return metadata


def read_evaluations(path: Path) -> dict[str | None, Evaluation]:
    """Return evaluations by the SHA-256 of the judged files; ``null``'s is None.

    Raises:
        InputError: the file is missing or no evaluation.
    """
    try:
        return {item.sha256: item for item in EVALUATIONS.validate_json(path.read_bytes())}
    except (OSError, ValidationError) as error:
        raise InputError(f"{path} can't be read as what tools.evaluate --json wrote") from error


def evaluation_of(judged: Path | None, found: Mapping[str | None, Evaluation]) -> Evaluation:
    """Return the evaluation of a file, or of ``null`` for None.

    Raises:
        InputError: it isn't there.
    """
    sha256 = None if judged is None else sha256_of_file(judged)
    if sha256 not in found:
        raise InputError(
            f"the evaluation does not judge {judged or NULL} as it is; run tools.evaluate on the "
            f".onnx, on {NULL} and, where there is one, on the network in 8 bits"
        )
    return found[sha256]


def eight_bits(
    path: Path, plain: Evaluation, found: Mapping[str | None, Evaluation]
) -> EightBits | None:
    """Return what the card says of the network in 8 bits, None where there is none.

    Args:
        path: the ``.onnx`` in floats.
        plain: its evaluation.
        found: all evaluations.

    Raises:
        InputError: it was not judged.
        ModelError: it loses too much.
    """
    file = path.with_suffix(INT8)
    if not file.is_file():
        return None
    judged = evaluation_of(file, found)
    for rain, score in judged.sets.items():
        lost = plain.sets[rain].psnr_y - score.psnr_y
        if rain != DRY and lost > WORSE:
            raise ModelError(
                f"{file} loses {lost:.2f} dB in {rain} rain, more than {WORSE}; don't ship it"
            )
    planes = path.with_suffix(PLANES)
    return EightBits(
        sha256=sha256_of_file(file),
        planes_sha256=sha256_of_file(planes) if planes.is_file() else None,
        validation=judged.sets,
    )


def in_8_bits(name: str, found: EightBits) -> str:
    """Return the paragraphs about a network's files in 8 bits."""
    text = IN_8_BITS.format(name=name, found=found)
    return text + (IN_PLANES.format(name=name, found=found) if found.planes_sha256 else "")


def quantizing(name: str, found: EightBits) -> str:
    """Return the commands that made them."""
    text = QUANTIZE.format(name=name)
    return text + (text.replace("\n", " --planes\n") if found.planes_sha256 else "")


def read_clips(path: Path, sha256: str) -> str:
    """Return what ``tools.evaluate_video --json`` wrote, as a Markdown table.

    Raises:
        InputError: the file is missing or isn't that, or the file with that hash isn't in it.
    """
    try:
        found = CLIP_SCORES.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(
            f"{path} can't be read as what tools.evaluate_video --json wrote"
        ) from error
    if all(item.sha256 != sha256 for item in found):
        raise InputError(f"{path} does not judge this very .onnx; run tools.evaluate_video on it")
    reduced = INT8.removesuffix(".onnx")
    return clips_table(
        [replace(item, model=item.model.replace(reduced, ", 8 bits")) for item in found]
    )


def make_card(
    path: Path, found: Mapping[str | None, Evaluation], steps_before: int = 0
) -> ModelCard:
    """Return the front matter of a network's card.

    Args:
        path: the ``.onnx``.
        found: the evaluations, of that file and of the network in 8 bits.
        steps_before: of the recipes before the one whose checkpoint was exported.

    Raises:
        InputError: one of them was not judged.
        ModelError: the file is not one of ours, or 8 bits are too few.
    """
    evaluation = evaluation_of(path, found)
    metadata, weights = read_metadata(path), path.with_suffix(".safetensors")
    kind = kind_of(metadata["network"])
    return ModelCard(
        name=path.stem,
        network=metadata["network"],
        purpose=kind.purpose,
        speed=kind.speed,
        trained_on=TRAINED_ON,
        terms=TERMS,
        parameters=int(metadata["parameters"]),
        macs_per_pixel=float(metadata["macs_per_pixel"]),
        bytes_per_pixel=bytes_per_pixel(path),
        precision=kind.precision,
        training_steps=steps_before + int(metadata["training_steps"]),
        sha256=sha256_of_file(path),
        pytorch_sha256=sha256_of_file(weights) if weights.is_file() else None,
        validation=evaluation.sets,
        int8=eight_bits(path, evaluation, found),
    )


def kind_of(network: str) -> Kind:
    """Return what is said of a network.

    Raises:
        ModelError: nothing is.
    """
    if network not in KINDS:
        raise ModelError(
            f"there is no text for a card of {network}; add it to KINDS in tools/card_texts.py"
        )
    return KINDS[network]


def bytes_per_pixel(path: Path) -> int:
    """Measure by how much more a process grows for a large frame than for a small one, on the CPU.

    Linux only: what counts is the largest resident size; of two runtimes, the greedier one.
    """
    found = []
    for runtime in ("onnx", "openvino") if has_openvino() else ("onnx",):
        grown = []
        for size in MEASURED_SIZES:
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                grown.append(pool.submit(_measure_growth, path, size, runtime).result())
        (small, large), pixels = grown, [height * width for height, width in MEASURED_SIZES]
        found.append(max(1, round((large - small) / (pixels[1] - pixels[0]))))
    return max(found)


def _measure_growth(path: Path, size: tuple[int, int], runtime: str) -> int:
    with create_backend(str(path), "cpu", runtime) as backend:
        rng = np.random.default_rng(0)
        before = _largest_resident()
        for _ in range(2):
            backend.run(rng.integers(0, 256, (1, *size, backend.inputs), dtype=np.uint8))
        return _largest_resident() - before


def _largest_resident() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def recipes_of(network: str, folder: Path = Path("configs/train")) -> list[Path]:
    """Return the recipes that train a network, in order: its own, and the one that finishes it."""
    first, finish = folder / f"{network}.yaml", folder / f"{network}-finish.yaml"
    return [first, finish] if finish.exists() else [first]


def mixture_of(recipes: Sequence[Recipe]) -> dict[str, float]:
    """Return the shares of the kinds of patches over all steps, which sum to 1."""
    steps = sum(recipe.steps for recipe in recipes)
    shares = dict.fromkeys(KINDS_OF_PATCHES, 0.0)
    for recipe in recipes:
        mixture = recipe.mixture.model_dump()
        for kind, share in mixture.items():
            shares[kind] += share / sum(mixture.values()) * recipe.steps / steps
    return shares


def _told_recipes(network: str, recipes: Sequence[Path]) -> str:
    """Return what the command line has to say of the recipes, where they aren't the usual ones."""
    if list(recipes) == recipes_of(network):
        return ""
    return f" \\\n  --recipe {' '.join(map(str, recipes))}"


def varied_in(recipes: Sequence[Recipe], text: str) -> str:
    """Return a text on how pictures were varied, with the lights of the last recipe, if any."""
    lights = recipes[-1].conditions.model_dump()
    if not any(lights.values()):
        return text
    more = IN_OTHER_LIGHT.format(steps=recipes[-1].steps, **lights)
    return textwrap.fill(f"{text} {more}", 100)


def unlearnt_by(recipes: Sequence[Recipe]) -> str:
    """Return what a network has not learnt, of those recipes."""
    night = any(recipe.conditions.night for recipe in recipes)
    return textwrap.fill(UNLEARNT.format(more="" if night else AT_NIGHT), 100)


def render(
    card: ModelCard, null: dict[str, Score], recipes: Mapping[Path, Recipe], clips: str = ""
) -> str:
    """Return the whole card as Markdown.

    Args:
        card: the front matter.
        null: the scores of the input itself.
        recipes: in the order of the training.
        clips: a video network's table on clips, as Markdown.
    """
    front = yaml.safe_dump(card.model_dump(), sort_keys=False, allow_unicode=True, width=100)
    shares = mixture_of(list(recipes.values()))
    kinds = KINDS_OF_PATCHES
    if clips:
        kinds = KINDS_OF_CLIPS
        shares["layers"] += shares.pop("pairs")  # both are layers there
    planned = sum(recipe.steps for recipe in recipes.values())
    trained = f"{card.training_steps:,} of {planned:,} steps"
    starts = [recipe.start for recipe in recipes.values() if recipe.start]
    others = {_network_of(Path(start)) for start in starts} - {path.stem for path in recipes}
    if others:
        trained += f", begun with what matters most of `{others.pop()}`"
    teachers = {Path(recipe.teacher).parent.name for recipe in recipes.values() if recipe.teacher}
    if teachers:
        trained += f", from `{teachers.pop()}` as well as from the truth"
    before = {Path(recipe.embedding).parent.name for recipe in recipes.values() if recipe.embedding}
    reduced = {f"{card.name}, 8 bits": card.int8.validation} if card.int8 else {}
    body = BODY.format(
        card=card,
        source=kind_of(card.network).source,
        gb_720p=card.bytes_per_pixel * 1280 * 720 / 1e9,
        gmac_1080p=card.macs_per_pixel * 1920 * 1080 / 1e9,
        trained=trained,
        briefly=BRIEFLY if "trained briefly" in card.purpose else "",
        cap=PSNR_CAP,
        terms=textwrap.fill(card.terms, 100),
        table=markdown({card.name: card.validation, **reduced, NULL: null}),
        int8=in_8_bits(card.name, card.int8) if card.int8 else "",
        quantize=quantizing(card.name, card.int8) if card.int8 else "",
        int8_file=f" models/{card.name}{INT8}" if card.int8 else "",
        ends=VIDEO_ENDS if clips else PICTURE_ENDS,
        card_command=(VIDEO_COMMAND if clips else PICTURE_COMMAND).format(name=card.name)
        + _told_recipes(card.network, list(recipes)),
        varied=varied_in(list(recipes.values()), VARIED_CLIPS if clips else VARIED),
        unlearnt=unlearnt_by(list(recipes.values())),
        clips=ALONE.format(table=clips) if clips else "",
        shares="\n".join(
            f"- {shares[kind]:.0%} {text}" for kind, text in kinds.items() if shares[kind]
        ),
        training="\n".join(
            f"python -m tools.train configs/train/{name}.yaml --data DATA --out runs/{name}"
            for name in (*sorted(before), *(path.stem for path in recipes))
        ),
        run=list(recipes)[-1].stem,
    )
    return f"---\n{front}---\n{body}"


def _network_of(start: Path) -> str:
    """Return whose weights a file has: a shipped network's, or a checkpoint in its run's folder."""
    return (
        start.stem if start.suffix == ".safetensors" else start.parent.name.removesuffix("-finish")
    )


@ends_in_a_sentence
def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, write the card beside the network, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("onnx", type=Path, metavar="NAME.onnx")
    parser.add_argument("--evaluation", type=Path, required=True, help="tools.evaluate --json")
    parser.add_argument(
        "--clips", type=Path, help="of a video network: tools.evaluate_video --json"
    )
    parser.add_argument(
        "--recipe", type=Path, nargs="+", metavar="YAML",
        help="in order of training (default: <network>.yaml and <network>-finish.yaml)",
    )  # fmt: skip
    args = parser.parse_args(arguments)
    if not args.onnx.is_file():
        raise ModelError(f"the model {args.onnx} is not there; check the path")
    found = read_evaluations(args.evaluation)
    paths = args.recipe or recipes_of(read_metadata(args.onnx)["network"])
    recipes = {path: load_recipe(path) for path in paths}
    before = sum(recipe.steps for recipe in list(recipes.values())[:-1])
    card = make_card(args.onnx, found, before)
    clips = read_clips(args.clips, card.sha256) if args.clips is not None else ""
    if bool(clips) != (card.network in video.CONFIGS):
        raise UsageError(
            f"--clips goes with video networks and is needed there; this is {card.network}"
        )
    text = render(card, evaluation_of(None, found).sets, recipes, clips)
    write_whole(args.onnx.with_suffix(".md"), text.encode())
    print(args.onnx.with_suffix(".md"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
