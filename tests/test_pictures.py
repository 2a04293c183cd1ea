"""Pictures in and out."""

import struct

import cv2
import numpy as np
import pytest

from streamderain.errors import InputError, OutputError, UsageError
from streamderain.readers.pictures import PictureReader, read_picture
from streamderain.writers.pictures import PictureWriter, upright_exif, write_picture


def photo(height=40, width=60, seed=0):
    small = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def exif(orientation, order="<"):
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    return mark + struct.pack(f"{order}IH", 8, 1) + entry + struct.pack(f"{order}I", 0)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm"])
def test_lossless_formats_give_back_the_pixels(tmp_path, suffix):
    write_picture(tmp_path / f"a{suffix}", photo())
    pixels, notes = read_picture(tmp_path / f"a{suffix}")
    assert np.array_equal(pixels, photo())
    assert notes == []


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_formats_keep_the_colours(tmp_path, suffix):
    write_picture(tmp_path / f"a{suffix}", photo())
    pixels, _ = read_picture(tmp_path / f"a{suffix}")
    assert np.abs(pixels.astype(int) - photo()).mean() < 4


def test_a_picture_stored_turned_comes_out_upright_and_says_so_once(tmp_path):
    source, target = tmp_path / "turned.jpg", tmp_path / "clean.jpg"
    bgr = photo()[..., ::-1].copy()
    blocks = [np.frombuffer(exif(6), np.uint8)]
    _, data = cv2.imencodeWithMetadata(".jpg", bgr, [cv2.IMAGE_METADATA_EXIF], blocks)
    source.write_bytes(bytes(data))
    pixels, _ = read_picture(source)
    assert pixels.shape == (60, 40, 3)
    write_picture(target, pixels, source=source)
    again, _ = read_picture(target)
    assert again.shape == (60, 40, 3)
    assert np.abs(again.astype(int) - pixels).mean() < 4
    _, kinds, _ = cv2.imdecodeWithMetadata(
        np.frombuffer(target.read_bytes(), np.uint8), cv2.IMREAD_COLOR
    )
    assert cv2.IMAGE_METADATA_EXIF in list(kinds)


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_orientation_is_reset_and_nothing_else(order):
    assert upright_exif(exif(8, order)) == exif(1, order)


@pytest.mark.parametrize("block", [b"", b"II", b"garbage", exif(6)[:12]])
def test_a_broken_exif_block_is_left_alone(block):
    assert upright_exif(block) == block


def test_deep_and_transparent_pictures_are_reduced_and_named(tmp_path):
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((9, 9, 3), 30000, np.uint16))
    cv2.imwrite(str(tmp_path / "alpha.png"), np.full((9, 9, 4), 200, np.uint8))
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((9, 9), 77, np.uint8))
    reader = PictureReader([tmp_path / f"{n}.png" for n in ("deep", "alpha", "grey")])
    frames = list(reader)
    assert [int(frame.pixels[0, 0, 0]) for frame in frames] == [117, 200, 77]
    assert any("16 bits" in note and "deep.png" in note for note in reader.format.notes)
    assert any("transparency" in note and "alpha.png" in note for note in reader.format.notes)


def test_one_broken_picture_does_not_end_the_rest(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path in paths:
        write_picture(path, photo())
    paths[1].write_bytes(b"not a picture")
    reader = PictureReader(paths)
    assert [frame.index for frame in reader] == [0, 2]
    assert len(reader.problems) == 1
    assert "1.png" in reader.problems[0]


def test_sizes_that_change_are_new_sessions(tmp_path):
    for i, width in enumerate((20, 20, 30)):
        write_picture(tmp_path / f"{i}.png", photo(10, width))
    frames = list(PictureReader([tmp_path / f"{i}.png" for i in range(3)]))
    assert [frame.session for frame in frames] == [0, 0, 1]


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n broken"])
def test_what_is_no_picture_is_one_sentence(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.png is not a picture"):
        PictureReader([path])


def test_a_missing_picture_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.png can't be read: No such file"):
        PictureReader([tmp_path / "none.png"])


def test_an_existing_target_is_said_before_any_is_written(tmp_path):
    sources = [tmp_path / "a.png", tmp_path / "b.png"]
    (tmp_path / "out").mkdir()
    targets = [tmp_path / "out/a.png", tmp_path / "out/b.png"]
    for source in sources:
        write_picture(source, photo())
    write_picture(targets[1], photo(seed=1))
    before = targets[1].read_bytes()
    with pytest.raises(OutputError, match=r"b\.png already exists"):
        PictureWriter(targets, sources)
    assert not targets[0].exists()
    assert targets[1].read_bytes() == before


def test_the_source_is_never_the_target(tmp_path):
    source, link = tmp_path / "a.png", tmp_path / "link.png"
    write_picture(source, photo())
    before = source.read_bytes()
    link.symlink_to(source)
    for target in (source, link):
        with pytest.raises(OutputError, match="same file as the source"):
            write_picture(target, photo(seed=1), source=source, overwrite=True)
    assert source.read_bytes() == before


def test_a_format_nobody_writes_is_wrong_usage(tmp_path):
    with pytest.raises(UsageError, match="use"):
        write_picture(tmp_path / "a.xyz", photo())
    assert list(tmp_path.iterdir()) == []


def test_a_grey_only_format_gets_grey(tmp_path):
    pixels = np.full((6, 8, 3), 90, np.uint8)
    write_picture(tmp_path / "a.pgm", pixels)
    assert (cv2.imread(str(tmp_path / "a.pgm"), cv2.IMREAD_UNCHANGED) == np.full((6, 8), 90)).all()
