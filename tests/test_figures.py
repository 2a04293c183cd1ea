"""The figures of the networks' page: attention maps over a picture, crops side by side."""

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from streamderain.errors import UsageError  # noqa: E402
from streamderain.networks.registry import build  # noqa: E402
from tools import explain, gallery  # noqa: E402


@pytest.fixture
def picture(tmp_path):
    """A rainy picture of 61×47 pixels, and its path."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (47, 61, 3), dtype=np.uint8)
    path = tmp_path / "rainy.png"
    assert cv2.imwrite(str(path), pixels)
    return pixels, path


def colours(path):
    figure = cv2.imread(str(path))
    assert figure.shape[1] > 1000
    return len(np.unique(figure.reshape(-1, 3), axis=0))


def test_maps_are_those_that_the_network_used(picture):
    torch.manual_seed(0)
    network = build("attention-embedding").eval()
    _, maps = explain.attention_maps(network, picture[0])
    padded = np.pad(picture[0], ((0, 1), (0, 3), (0, 0)), mode="edge")
    rainy = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        parts = network.parts(rainy)
    assert [found.shape for found in maps] == [(48, 64), (24, 32), (12, 16)]
    for found, used in zip(maps, parts.attention, strict=True):
        assert np.allclose(found, used[0, 0], atol=1e-6)


def test_a_network_without_pixel_attention_is_refused(picture):
    with pytest.raises(explain.ModelError, match="no pixel attention"):
        explain.attention_maps(build("msdrnet-narrow").eval(), picture[0])


def test_the_maps_of_a_shipped_network_are_drawn(picture, tmp_path):
    target = tmp_path / "maps.png"
    arguments = ["attention-s", "--picture", str(picture[1]), "-o", str(target)]
    assert explain.main(arguments) == 0
    assert colours(target) > 1000


def test_what_cannot_be_explained_is_a_sentence(tmp_path, capsys):
    assert explain.main(["attention-s", "-o", str(tmp_path / "maps.txt")]) == 2
    assert "should end in one of" in capsys.readouterr().err
    arguments = [
        "attention-s",
        "-o",
        str(tmp_path / "a.png"),
        "--picture",
        str(tmp_path / "no.png"),
    ]
    assert explain.main(arguments) != 0
    assert "no.png" in capsys.readouterr().err
    assert explain.main(["null", "-o", str(tmp_path / "a.png")]) == 1
    assert "null" in capsys.readouterr().err
    assert not list(tmp_path.glob("a.png"))


def test_crops_say_how_near_they_are_to_the_truth(picture):
    pixels, _ = picture
    shown = {"rainy": pixels, "half": pixels // 2, "truth": pixels}
    figure = gallery.draw(shown, pixels, [(0, 0, 20, 10), (5, 5, 20, 20)])
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert len(titles) == 6
    assert titles[2] == "truth"
    assert titles[1].startswith("half, ")
    assert titles[1] != titles[4]


def test_a_gallery_of_the_drawn_street_is_written(tmp_path):
    target = tmp_path / "crops.jpg"
    assert gallery.main(["null", "-o", str(target), "--crop", "60x40+10+20"]) == 0
    assert colours(target) > 1000


@pytest.mark.parametrize("text", ["60x40", "0x40+1+1", "60x40+1", "axb+1+1"])
def test_a_crop_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="WIDTHxHEIGHT"):
        gallery.parse_crop(text)


def test_a_crop_outside_the_picture_is_refused(picture, tmp_path, capsys):
    arguments = ["null", "--picture", str(picture[1]), "-o", str(tmp_path / "a.png")]
    assert gallery.main([*arguments, "--crop", "60x40+10+20"]) == 2
    assert "leaves 61x47" in capsys.readouterr().err
    assert not (tmp_path / "a.png").exists()
