"""Training: recipes, losses, patches, and a run that is killed and goes on."""

import csv
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from streamderain import metrics  # noqa: E402
from streamderain.errors import ConfigError, InputError, ModelError  # noqa: E402
from streamderain.networks.registry import BUILDERS  # noqa: E402
from tests.training_data import one_torch_thread  # noqa: E402
from tools.train import main  # noqa: E402
from tools.training.checkpoints import load_checkpoint  # noqa: E402
from tools.training.data import (  # noqa: E402
    VALIDATION_IDS,
    Conditions,
    Mixture,
    PatchSampler,
    Pictures,
    load_pictures,
    validation_sets,
)
from tools.training.losses import log_mse, luma, restoration_loss, ssim  # noqa: E402
from tools.training.recipe import Recipe, load_recipe  # noqa: E402
from tools.training.trainer import (  # noqa: E402
    Trainer,
    learning_rate,
    load_ema,
    to_picture,
    to_tensor,
)

ROOT = Path(__file__).parents[1]
CPU = torch.device("cpu")

RECIPE = """
network: attention-s
steps: 3
warmup: 1
bf16: false
stages: [{until: 0.5, patch: 16, batch: 2}, {until: 1.0, patch: 24, batch: 1, log_mse: 0.01}]
validate_every: 2
checkpoint_every: 1
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return load_recipe(path)


@pytest.fixture
def data(tmp_path):
    """A data folder with four scenes to train on and the validation scenes, 48×64 pixels each."""
    rng = np.random.default_rng(0)
    for index in (1, 2, 3, 4, *VALIDATION_IDS):
        clean = cv2.resize(rng.integers(40, 200, (6, 8, 3), dtype=np.uint8), (64, 48))
        rain = (rng.random((48, 64, 1)) < 0.1) * np.uint8(90)
        for kind, picture in (
            ("clean", clean), ("light", cv2.add(clean, rain.repeat(3, axis=2))),
            ("heavy", cv2.add(clean, 2 * rain.repeat(3, axis=2))),
        ):  # fmt: skip
            path = tmp_path / "data" / "rain100" / kind / f"{index:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), picture)
    return tmp_path / "data"


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    with one_torch_thread():
        yield


def train(recipe, data, folder):
    trainer = Trainer(recipe, folder, CPU)
    validation = {name: pairs[:1] for name, pairs in validation_sets(data).items()}
    trainer.run(load_pictures(data, recipe.seed, streak_layers=2), validation)
    return trainer


def log_rows(folder):
    with (folder / "log.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from tools.training import checkpoints
from tests.test_training import load_recipe, train

whole_save, saves = torch.save, []

def save(state, stream):
    saves.append(state["step"])
    if len(saves) == 2:  # the power goes in the middle of the second checkpoint
        stream.write(b"half a checkpoint")
        stream.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    whole_save(state, stream)

torch.save = save
torch.set_num_threads(1)
train(load_recipe(Path(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3]))
"""


def test_a_run_starts_from_the_averaged_weights_of_another(recipe, data, tmp_path):
    first = train(recipe, data, tmp_path / "first")
    start = recipe.model_copy(update={"start": str(tmp_path / "first" / "last.pt"), "seed": 9})
    second = Trainer(start, tmp_path / "second", CPU)
    assert second.step == 0
    for network in (second.network, second.ema):
        for name, value in network.state_dict().items():
            assert torch.equal(value, first.ema.state_dict()[name])


def test_a_start_with_another_network_is_refused(recipe, data, tmp_path):
    train(recipe, data, tmp_path / "first")
    start = {"start": str(tmp_path / "first" / "last.pt"), "network": "attention-m"}
    with pytest.raises(ModelError, match="attention-m can't be cut out of attention-s"):
        Trainer(recipe.model_copy(update=start), tmp_path / "second", CPU)


def test_a_training_that_is_killed_while_it_saves_goes_on_and_ends(recipe, data, tmp_path):
    run = tmp_path / "run"
    died = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path / "recipe.yaml", data, run],
        cwd=ROOT, check=False, timeout=300,
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL
    assert load_checkpoint(run / "last.pt")["step"] == 1
    before = load_checkpoint(run / "last.pt")["network"]
    resumed = train(recipe, data, run)
    assert load_checkpoint(run / "last.pt")["step"] == resumed.step == 3
    after = resumed.network.state_dict()
    assert all(not torch.equal(before[key], after[key]) for key in before)
    rows = log_rows(run)
    assert [row["step"] for row in rows] == ["2", "3"]
    assert {"light_psnr", "heavy_ssim", "dry_psnr", "loss", "minutes"} <= rows[0].keys()
    assert sorted(path.name for path in run.iterdir()) == ["curve.png", "last.pt", "log.csv"]


def test_a_finished_training_is_not_trained_again(recipe, data, tmp_path):
    train(recipe, data, tmp_path / "run")
    log = (tmp_path / "run" / "log.csv").read_bytes()
    assert train(recipe, data, tmp_path / "run").step == 3
    assert (tmp_path / "run" / "log.csv").read_bytes() == log


def test_log_rows_after_the_checkpoint_are_forgotten_on_resuming(recipe, data, tmp_path):
    train(recipe, data, tmp_path / "run")
    log = tmp_path / "run" / "log.csv"
    kept = log.read_bytes()
    log.write_bytes(kept + b"4,1,1,1,1,1,1,1,1\r\n5,1,1,1")  # the last was cut off by the kill
    Trainer(recipe, tmp_path / "run", CPU)
    assert log.read_bytes() == kept


def test_a_run_folder_of_another_network_is_refused(recipe, data, tmp_path):
    train(recipe, data, tmp_path / "run")
    other = recipe.model_copy(update={"network": "attention-m"})
    with pytest.raises(ModelError, match="holds attention-s, the recipe asks for attention-m"):
        Trainer(other, tmp_path / "run", CPU)


def test_a_student_learns_from_its_teacher_too(recipe, data, tmp_path):
    train(recipe, data, tmp_path / "teacher")
    taught = recipe.model_copy(
        update={"teacher": str(tmp_path / "teacher" / "last.pt"), "teacher_weight": 1.0}
    )
    student = train(taught, data, tmp_path / "student")
    alone = train(recipe, data, tmp_path / "alone")
    pairs = zip(student.network.parameters(), alone.network.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)


def test_statistics_of_normalisations_are_averaged_like_the_weights(data, tmp_path):
    text = RECIPE.replace("attention-s", "attention-embedding-plain").replace(
        "steps: 3", "steps: 9"
    )
    path = tmp_path / "recipe.yaml"
    path.write_text(text + "objective: restoration\n")
    trainer = Trainer(load_recipe(path), tmp_path / "run", CPU)
    trainer.run(load_pictures(data, 1, streak_layers=2), validation_sets(data))
    key = "encoder.levels.0.body.0.1.running_var"
    now, average = trainer.network.state_dict()[key], trainer.ema.state_dict()[key]
    assert not torch.equal(now, average)
    assert not torch.equal(average, torch.ones_like(average))
    assert (average > now.minimum(torch.ones(()))).all()  # between where it began and is now
    assert (average < now.maximum(torch.ones(()))).all()


@pytest.mark.parametrize(
    ("stage", "said"),
    [("patch: 18", "don't fit attention-s; take a multiple"), ("patch: 160", "can't be cut from")],
)
def test_patches_that_do_not_fit_are_a_sentence(stage, said, data, tmp_path, capsys):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.replace("patch: 24", stage))
    arguments = [str(path), "--data", str(data), "--out", str(tmp_path / "run")]
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


def test_a_loss_that_is_no_number_stops_before_it_spoils_the_checkpoint(recipe, data, tmp_path):
    trainer = Trainer(recipe, tmp_path / "run", CPU)
    trainer.save()
    next(trainer.network.parameters()).data.fill_(float("nan"))
    with pytest.raises(ModelError, match="is no number; go on from"):
        trainer.run(load_pictures(data, 1, streak_layers=2), validation_sets(data))
    kept = load_checkpoint(tmp_path / "run" / "last.pt")["network"]
    assert all(torch.isfinite(value).all() for value in kept.values())


def test_what_ships_is_the_average_of_the_weights(recipe, data, tmp_path):
    trainer = train(recipe, data, tmp_path / "run")
    shipped = load_ema(tmp_path / "run" / "last.pt", CPU)
    for ours, average in zip(shipped.parameters(), trainer.ema.parameters(), strict=True):
        assert torch.equal(ours, average)
        assert not ours.requires_grad


def test_the_command_reports_what_is_wrong_in_a_sentence(tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    assert main([str(recipe), "--data", str(tmp_path)]) == 2
    assert "can't be read" in capsys.readouterr().err
    recipe.write_text(RECIPE)
    arguments = [str(recipe), "--data", str(tmp_path), "--out", str(tmp_path / "run")]
    assert main(arguments) == 1
    assert "holds no training pictures" in capsys.readouterr().err
    assert main([*arguments, "--network", "attention-xxl"]) == 2
    assert "no network is named 'attention-xxl'" in capsys.readouterr().err


def test_variants_are_trained_by_one_recipe(data, tmp_path):
    recipe, folder = tmp_path / "recipe.yaml", tmp_path / "run"
    recipe.write_text(RECIPE)
    arguments = [str(recipe), "--data", str(data), "--out", str(folder), "--steps", "1"]
    assert main([*arguments, "--network", "attention-m"]) == 0
    assert load_checkpoint(folder / "last.pt")["recipe"]["network"] == "attention-m"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ("steps: 0", "steps"),
        ("learning_rate: fast", "learning_rate"),
        ("validate_every: 0", "validate_every"),
        ("colour: blue", "colour"),
        ("stages: [{until: 0.5, patch: 16, batch: 2}]", "stages must follow one another"),
        ("stages: [{until: 1.0, patch: 8, batch: 2}]", r"stages\.0\.patch"),
        ("mixture: {pairs: -1}", r"mixture\.pairs"),
        ("mixture: {pairs: 0, layers: 0, synthetic: 0, dry: 0}", "at least one share"),
    ],
)
def test_a_wrong_recipe_says_where(tmp_path, change, where):
    path = tmp_path / "recipe.yaml"
    key = change.split(":")[0]
    lines = [line for line in RECIPE.splitlines() if not line.startswith(f"{key}:")]
    path.write_text("\n".join([*lines, change]))
    with pytest.raises(ConfigError, match=where):
        load_recipe(path)


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "train").glob("*.yaml")))
def test_the_recipes_that_ship_are_valid(path):
    variant = path.stem
    for suffix in ("-finish", "-published", "-conditions"):
        variant = variant.removesuffix(suffix)
    recipe = load_recipe(path)
    assert recipe.network in BUILDERS
    assert variant in (recipe.network, "ablation")
    lights = sum(recipe.conditions.model_dump().values())
    if path.stem.endswith("-conditions"):
        assert 0.2 < lights < 0.5  # the day stays the greater part
        assert (ROOT / recipe.start).exists()
    else:
        assert lights == 0  # what ships was trained so


def test_stages_follow_one_another(recipe):
    longer = recipe.model_copy(update={"steps": 10})
    assert [longer.stage(step).patch for step in range(10)] == [16] * 5 + [24] * 5


def test_the_learning_rate_rises_then_falls_to_a_hundredth():
    recipe = Recipe(
        network="x", steps=1000, warmup=100, learning_rate=1.0,
        stages=[{"until": 1.0, "patch": 16, "batch": 1}],
    )  # fmt: skip
    rates = [learning_rate(recipe, step) for step in range(1001)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[:100] == sorted(rates[:100])
    assert rates[99] == rates[100] == pytest.approx(1.0)
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[550] == pytest.approx(0.505)
    assert rates[1000] == pytest.approx(0.01)


def test_the_loss_measures_ssim_as_the_judge_does():
    rng = np.random.default_rng(2)
    a = rng.integers(0, 256, (40, 33), dtype=np.uint8)
    b = np.clip(a * 0.7 + rng.normal(0, 20, a.shape) + 30, 0, 255).astype(np.uint8)
    x, y = (torch.from_numpy(plane / 255)[None, None] for plane in (a, b))
    assert float(ssim(x, y)) == pytest.approx(metrics.ssim(a, b), abs=1e-6)


def test_the_loss_measures_luma_as_the_judge_does():
    picture = np.random.default_rng(3).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    ours = luma(to_tensor(picture[None], CPU))[0, 0].numpy() * 255 + 16
    assert np.allclose(ours, metrics.luma(picture), atol=1e-3)


def test_a_perfect_picture_has_no_loss_and_a_worse_one_more():
    clean = torch.rand(2, 3, 24, 24)
    assert float(restoration_loss(clean, clean, 0.2, 0.0)) == pytest.approx(0, abs=1e-6)
    near, far = (restoration_loss(clean + error, clean, 0.2, 0.01) for error in (0.01, 0.1))
    assert near < far


def test_a_tenfold_smaller_error_lowers_the_log_loss_by_ln_100():
    clean = torch.full((1, 3, 16, 16), 0.5)
    gap = log_mse(clean + 0.5, clean) - log_mse(clean + 0.05, clean)
    assert float(gap) == pytest.approx(np.log(100), abs=0.02)  # the floor takes a little


def test_pictures_survive_the_way_to_a_tensor_and_back():
    picture = np.random.default_rng(4).integers(0, 256, (5, 8, 3), dtype=np.uint8)
    assert np.array_equal(to_picture(to_tensor(picture[None], CPU)), picture)


@pytest.fixture
def pictures():
    rng = np.random.default_rng(6)
    clean = rng.integers(30, 200, (64, 80, 3), dtype=np.uint8)
    return Pictures(
        pairs=[(cv2.add(clean, 30), clean)], layers=[np.full((64, 80, 3), 40, np.uint8)],
        clean=[clean], streaks=[np.full((64, 80), 60, np.uint8)],
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["pairs", "layers", "synthetic"])
def test_rain_of_every_kind_brightens(pictures, kind):
    shares = {name: float(name == kind) for name in Mixture.model_fields}
    sampler = PatchSampler(pictures, Mixture(**shares), np.random.default_rng(1))
    rainy, clean = sampler.batch(8, 24)
    assert rainy.shape == clean.shape == (8, 24, 24, 3)
    brighter = rainy.astype(int) - clean
    assert brighter.mean() > 5


def test_dry_patches_are_their_own_target(pictures):
    shares = {name: float(name == "dry") for name in Mixture.model_fields}
    sampler = PatchSampler(pictures, Mixture(**shares), np.random.default_rng(1))
    rainy, clean = sampler.batch(8, 24)
    assert np.array_equal(rainy, clean)


def test_the_same_seed_draws_the_same_patches(pictures):
    first, second = (
        PatchSampler(pictures, Mixture(), np.random.default_rng(9)).batch(6, 16) for _ in range(2)
    )
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])


@pytest.mark.parametrize("name", Conditions.model_fields)
def test_patches_are_seen_in_other_lights_too(pictures, name):
    sampler = PatchSampler(
        pictures, Mixture(), np.random.default_rng(1), conditions=Conditions(**{name: 1.0})
    )
    rainy, clean = sampler.batch(40, 48)
    brighter = (rainy.astype(int) - clean).reshape(40, -1).mean(axis=1)
    assert (brighter > 0.5).sum() > 8  # the others have little rain where light is, or none
    assert sum(np.array_equal(a, b) for a, b in zip(rainy, clean, strict=True)) >= 1
    grey = ~np.ptp(clean, axis=3).any(axis=(1, 2))
    assert grey.all() == (name == "infrared")


def test_without_shares_of_other_lights_the_same_patches_are_drawn_as_before(pictures):
    plain, asked = (
        PatchSampler(pictures, Mixture(), np.random.default_rng(9), conditions=conditions)
        for conditions in (None, Conditions())
    )
    assert np.array_equal(plain.batch(6, 16)[0], asked.batch(6, 16)[0])
    assert Conditions().draw(np.random.default_rng(1)) == "day"


def test_lights_are_drawn_by_their_shares():
    rng, shares = np.random.default_rng(3), Conditions(infrared=0.2, night=0.3, fog=0.1)
    drawn = [shares.draw(rng) for _ in range(3000)]
    for name, share in {"day": 0.4, "infrared": 0.2, "night": 0.3, "fog": 0.1}.items():
        assert drawn.count(name) / 3000 == pytest.approx(share, abs=0.03)
    with pytest.raises(ValueError, match="must not exceed 1 together"):
        Conditions(infrared=0.7, night=0.7)


def test_no_validation_scene_is_trained_on(data, recipe):
    for index in VALIDATION_IDS:
        path = data / "rain100" / "clean" / f"{index:03d}.png"
        cv2.imwrite(str(path), np.full((48, 64, 3), 255, np.uint8))
    pictures = load_pictures(data, recipe.seed, streak_layers=1)
    assert len(pictures.clean) == 4
    assert all(picture.min() < 255 for picture in pictures.clean)
    assert 69 not in VALIDATION_IDS


def test_a_missing_validation_picture_is_named(data):
    (data / "rain100" / "light" / "063.png").unlink()
    with pytest.raises(InputError, match=r"light/063\.png"):
        validation_sets(data)
