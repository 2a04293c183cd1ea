"""Train a network by a recipe: ``python -m tools.train configs/train/attention-m.yaml --data DIR``."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from tools.training.data import load_pictures, validation_sets
from tools.training.recipe import load_recipe
from tools.training.trainer import Trainer


def main() -> None:
    """Parse the command line and train; a killed run goes on where its checkpoint stands."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path, help="YAML under configs/train")
    parser.add_argument("--data", type=Path, required=True, help="folder with rain100/ and clean/")
    parser.add_argument("--out", type=Path, help="run folder (default: runs/<network>)")
    parser.add_argument("--steps", type=int, help="instead of the recipe's, e.g. 20 for a dry run")
    parser.add_argument("--threads", type=int, help="CPU threads of PyTorch")
    args = parser.parse_args()
    recipe = load_recipe(args.recipe)
    if args.steps:
        recipe = recipe.model_copy(update={"steps": args.steps})
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    folder = args.out or Path("runs") / recipe.network
    trainer = Trainer(recipe, folder, device)
    print(f"{recipe.network}: from step {trainer.step} to {recipe.steps} on {device}", flush=True)
    trainer.run(load_pictures(args.data, recipe.seed), validation_sets(args.data))


if __name__ == "__main__":
    main()
