"""Train a network: ``python -m tools.train configs/train/attention-m.yaml --data DIR``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from streamderain.errors import ConfigError, UsageError
from streamderain.networks.registry import BUILDERS
from tools.ending import ends_in_a_sentence
from tools.training.data import load_pictures, validation_sets
from tools.training.recipe import load_recipe
from tools.training.trainer import Trainer
from tools.training.video import validation_clips


@ends_in_a_sentence
def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, train, and return the exit code.

    A killed run goes on where its checkpoint stands.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path, help="YAML under configs/train")
    parser.add_argument("--data", type=Path, required=True, help="folder with rain100/ and clean/")
    parser.add_argument("--out", type=Path, help="run folder (default: runs/<recipe>)")
    parser.add_argument("--network", help="instead of the recipe's, e.g. a variant to compare")
    parser.add_argument("--steps", type=int, help="instead of the recipe's, e.g. 20 for a dry run")
    parser.add_argument("--threads", type=int, help="CPU threads of PyTorch")
    _train(parser.parse_args(arguments))
    return 0


def _train(args: argparse.Namespace) -> None:
    recipe = load_recipe(args.recipe)
    changed = {"network": args.network, "steps": args.steps}
    for key, value in changed.items():
        if value is not None:
            recipe = recipe.model_copy(update={key: value})
    if recipe.steps < 1:
        raise UsageError("--steps is 1 or more")
    if recipe.network not in BUILDERS:
        raise ConfigError(
            f"no network is named {recipe.network!r}; there are {', '.join(sorted(BUILDERS))}"
        )
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    trainer = Trainer(recipe, args.out or Path("runs") / args.recipe.stem, device)
    print(f"{recipe.network}: from step {trainer.step} to {recipe.steps} on {device}", flush=True)
    pictures, validation = load_pictures(args.data, recipe.seed), validation_sets(args.data)
    if recipe.clips:
        validation = validation_clips(validation)
    trainer.run(pictures, validation)


if __name__ == "__main__":
    sys.exit(main())
