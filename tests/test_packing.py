"""Pixels as places, and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamderain.frame import Colour, Planes
from streamderain.inference.packing import Packing


def picture(height, width, channels):
    rng = np.random.default_rng(height * width)
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


def places_of(packing, pixels):
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    into = np.empty((*packing.grid(*pixels.shape[:2]), packing.side**2 * channels), np.uint8)
    packing.pack(pixels, into)
    return into


def test_the_bytes_of_a_place_lie_row_by_row():
    pixels = picture(8, 12, 3)
    places = places_of(Packing(4, 4), pixels)
    assert places.shape == (2, 3, 48)
    assert np.array_equal(places[1, 2], pixels[4:8, 8:12].ravel())


@given(
    st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3, 7]),
    st.sampled_from([(1, 1), (2, 8), (4, 8), (3, 6)]),
)  # fmt: skip
def test_what_was_packed_comes_back_the_same(height, width, channels, sides):
    packing, pixels = Packing(*sides), picture(height, width, channels)
    back = np.empty_like(pixels)
    packing.unpack(places_of(packing, pixels), back)
    assert np.array_equal(back, pixels)


def test_what_a_picture_lacks_is_its_last_row_and_column():
    pixels = picture(3, 5, 3)
    places = places_of(Packing(4, 8), pixels)
    assert places.shape == (2, 2, 48)
    assert np.array_equal(places[0, 0].reshape(4, 4, 3)[3], pixels[2, :4])
    assert np.array_equal(places[1, 1].reshape(4, 4, 3), np.broadcast_to(pixels[2, 4], (4, 4, 3)))


def test_a_plane_has_no_channels():
    plane = picture(8, 8, 1)[..., 0]
    places = places_of(Packing(4, 8), plane)
    assert np.array_equal(places[1, 0], plane[4:8, :4].ravel())


def test_a_part_of_a_larger_picture_is_packed_as_well():
    pixels = picture(16, 24, 3)[4:12, 8:16]
    assert np.array_equal(places_of(Packing(2, 8), pixels), places_of(Packing(2, 8), pixels.copy()))


@pytest.mark.parametrize("shape", [(1, 2, 48), (2, 2, 47)])
def test_places_of_another_size_are_refused(shape):
    with pytest.raises(ValueError, match=r"places are of \(2, 2, 48\)"):
        Packing(4, 8).pack(picture(8, 8, 3), np.empty(shape, np.uint8))
    with pytest.raises(ValueError, match=r"places are of \(2, 2, 48\)"):
        Packing(4, 8).unpack(np.empty(shape, np.uint8), picture(8, 8, 3))


@pytest.mark.parametrize(("side", "multiple"), [(0, 8), (4, 0), (3, 8)])
def test_there_are_no_such_places(side, multiple):
    with pytest.raises(ValueError, match="places of"):
        Packing(side, multiple)


@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([(2, 2), (2, 8), (4, 8), (8, 16)]))
def test_planes_that_were_packed_come_back_the_same(half_height, half_width, sides):
    packing = Packing(*sides)
    planes = Planes(picture(3 * half_height, 2 * half_width, 1)[..., 0], Colour())
    places = np.empty((*packing.grid(*planes.size), packing.side**2 * 3 // 2), np.uint8)
    packing.pack_planes(planes, places)
    back = Planes(np.empty_like(planes.samples), planes.colour)
    packing.unpack_planes(places, back)
    assert np.array_equal(back.samples, planes.samples)


def test_of_a_place_luma_comes_first_then_both_chromas():
    planes = Planes(picture(24, 16, 1)[..., 0], Colour())
    places = np.empty((4, 4, 24), np.uint8)
    Packing(4, 8).pack_planes(planes, places)
    assert np.array_equal(places[1, 2, :16].reshape(4, 4), planes.luma[4:8, 8:12])
    for part, at in zip(planes.chroma, (16, 20), strict=True):
        assert np.array_equal(places[1, 2, at : at + 4].reshape(2, 2), part[2:4, 4:6])


def test_places_of_planes_of_another_size_are_refused():
    planes = Planes(picture(12, 8, 1)[..., 0], Colour())
    with pytest.raises(ValueError, match=r"places are of \(2, 2, 24\)"):
        Packing(4, 8).pack_planes(planes, np.empty((2, 2, 48), np.uint8))
    with pytest.raises(ValueError, match=r"places are of \(2, 2, 24\)"):
        Packing(4, 8).unpack_planes(np.empty((2, 2, 48), np.uint8), planes)
