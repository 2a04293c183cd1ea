"""What a writer shows of a frame."""

from fractions import Fraction

import numpy as np
import pytest

from streamderain import views
from streamderain.frame import Frame
from streamderain.views import original, split, split_pixels


def framed(shape, **more):
    """A grey frame that came in grey."""
    grey = np.full(shape, 90, np.uint8)
    return Frame("x", 0, 0, 0, Fraction(1), grey, original=grey.copy(), **more)


@pytest.fixture
def written(monkeypatch):
    """The words that are written into pictures, which stay without them."""
    words = []
    monkeypatch.setattr(views.cv2, "putText", lambda _, text, *__: words.append(text))
    return words


def test_the_left_half_is_as_it_came_and_the_right_half_derained():
    before = np.full((64, 100, 3), 200, np.uint8)
    after = np.full((64, 100, 3), 50, np.uint8)
    joined = split_pixels(before, after)
    assert (joined[:, :45] == 200).all()
    assert (joined[:, 55:] == 50).all()
    assert (joined[:, 50] == 255).all()
    assert (before == 200).all()
    assert (after == 50).all()


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 3, 3), (1, 640, 3), (359, 641, 3)])
def test_any_size_can_be_split(shape):
    black = np.zeros(shape, np.uint8)
    assert split_pixels(black, black).shape == shape


def test_halves_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        split_pixels(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8))


def test_the_views_fall_back_to_the_frame_where_no_original_was_kept():
    frame = Frame("x", 0, 0, 0, Fraction(1), np.zeros((4, 4, 3), np.uint8))
    assert original(frame) is frame
    assert split(frame) is frame


def test_the_original_view_shows_what_came_in():
    came = np.full((4, 4, 3), 9, np.uint8)
    frame = Frame("x", 0, 0, 0, Fraction(1), np.zeros((4, 4, 3), np.uint8), original=came)
    assert original(frame).pixels is came


@pytest.mark.parametrize(
    ("what", "label"),
    [
        ({"derained": True}, "derained"),
        ({"bypass": "dry"}, "unchanged: dry"),
        ({"bypass": "corrupt"}, "unchanged: corrupt"),
        ({"bypass": "null"}, "unchanged: null"),
        ({}, "unchanged"),
    ],
)
def test_the_labels_say_what_is_true_of_the_frame(written, what, label):
    split(framed((180, 320, 3), **what))
    assert written == ["as it came", label]


@pytest.mark.parametrize(
    ("shape", "labels"),
    [
        ((1280, 720, 3), ["as it came", "unchanged: corrupt"]),
        ((120, 160, 3), ["as it came", "unchanged"]),
        ((60, 160, 3), []),
    ],
)
def test_a_label_without_room_loses_its_reason_or_is_left_out(written, shape, labels):
    split(framed(shape, bypass="corrupt"))
    assert written == labels
