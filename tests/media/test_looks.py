"""What is measured of a shot: camera, stills, light, looks, and the scale that faces tell."""

import cv2
import numpy as np
import pytest

from pipeline.media import faces, looks
from pipeline.schemas.timeline import Span

RNG = np.random.default_rng(5)
WORLD = cv2.GaussianBlur(RNG.uniform(0, 255, (540, 960, 3)).astype(np.uint8), (0, 0), 4)
WORLD = cv2.normalize(WORLD, None, 0, 255, cv2.NORM_MINMAX)


def view(right=0.0, down=0.0, zoom=1.0):
    """What a camera sees of the world: moved in widths of its picture, zoomed about its middle."""
    width, height = 320, 180
    matrix = np.array(
        [[zoom, 0, width / 2 - zoom * (480 + right * width)], [0, zoom, height / 2 - zoom * (270 + down * width)]]
    )
    return cv2.warpAffine(WORLD, matrix, (width, height), flags=cv2.INTER_AREA)


def watched(pictures, fps=24.0):
    watcher = looks.Watcher(Span(start=10, end=10 + len(pictures) / fps))
    for index, picture in enumerate(pictures):
        watcher.add(10 + index / fps, picture)
    return watcher


STEPS = np.linspace(0, 1, 49)


@pytest.mark.parametrize(
    ("pictures", "expected"),
    [
        ([view() for _ in STEPS], ("static", None)),
        ([view(right=0.3 * s) for s in STEPS], ("pan", "right")),
        ([view(right=-0.3 * s) for s in STEPS], ("pan", "left")),
        ([view(down=0.2 * s) for s in STEPS], ("tilt", "down")),
        ([view(down=-0.2 * s) for s in STEPS], ("tilt", "up")),
        ([view(zoom=1 + 0.15 * s) for s in STEPS], ("push in", None)),
        ([view(zoom=1.3 - 0.15 * s) for s in STEPS], ("pull out", None)),
        ([view(right=0.03 * np.sin(12 * s), down=0.03 * np.cos(9 * s)) for s in STEPS], ("handheld", None)),
        ([view(right=0.3 * s, down=0.25 * s) for s in STEPS], ("moving", None)),
    ],
)
def test_the_flow_tells_what_the_camera_does(pictures, expected):
    assert looks.camera(watched(pictures).moves) == expected


def test_motion_is_in_frame_widths_a_second():
    assert watched([view(right=0.3 * s) for s in STEPS]).motion == pytest.approx(0.15, rel=0.2)
    assert watched([view() for _ in STEPS]).motion < 0.005


def test_a_shot_of_one_frame_has_a_still_and_a_still_camera():
    watcher = watched([view()])
    assert [still.where for still in watcher.stills] == ["middle"]
    assert looks.camera(watcher.moves) == ("static", None)
    assert watcher.motion == 0


def test_the_sharpest_frame_of_each_part_is_kept():
    pictures = [cv2.GaussianBlur(view(), (0, 0), 3) for _ in STEPS]
    for sharp in (7, 25, 41):
        pictures[sharp] = view()
    assert [round((s.at - 10) * 24) for s in watched(pictures).stills] == [7, 25, 41]


def test_light_contrast_and_warmth_are_shares():
    orange = np.full((90, 160, 3), (255, 128, 0), np.uint8)
    half = np.zeros((90, 160, 3), np.uint8)
    half[:, 80:] = 255
    assert watched([orange]).warmth == 1
    assert watched([half]).brightness == pytest.approx(0.5, abs=0.01)
    assert watched([half]).contrast == pytest.approx(1, abs=0.01)


def test_looks_are_numbered_as_they_come_and_shared_by_like_pictures():
    assert looks.groups([["00ff"], ["ff00", "0f0f"], ["00fe"], ["0f0e"]]) == [0, 1, 0, 1]
    assert looks.groups([]) == []


def test_a_hash_survives_a_change_of_light():
    first, darker = looks.perceptual_hash(view()), looks.perceptual_hash((view() * 0.6).astype(np.uint8))
    assert looks.groups([[first], [darker], [looks.perceptual_hash(view(right=0.8))]]) == [0, 0, 1]


def test_scale_follows_the_largest_face_of_most_stills():
    assert faces.scale([(0.45, 0.1), (0.44,), ()]) == "close-up"
    assert faces.scale([(0.2,), (0.2,), (0.2,)]) == "medium shot"
    assert faces.scale([(0.1,), (), ()]) is None
    assert faces.scale([(), ()]) is None
    assert faces.count([(0.4, 0.2), (0.4,), (0.4,)]) == 1


def test_no_face_is_seen_where_there_is_none():
    assert faces.heights(view()) == ()


def test_a_drawn_face_is_seen(spies):
    portrait = cv2.cvtColor(cv2.imread(str(spies / "refs" / "reyes.png")), cv2.COLOR_BGR2RGB)
    assert len(faces.heights(portrait)) == 1
