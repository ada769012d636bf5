"""Cuts on a film's own editing and on speakers before one backdrop, measured against their truth."""

import json
from fractions import Fraction

import pytest

from pipeline.media import scan, shots, video
from pipeline.models import shots as detectors
from pipeline.steps.step1_scenes import Config

DEFAULTS = Config()


@pytest.fixture(scope="module")
def scanned(real_media):
    """Watch one of the films with a detector, once; with its true cuts (frames)."""
    kept = {}

    def watch(name, detector):
        if (name, detector) not in kept:
            path = real_media / f"{name}.mp4"
            truth = json.loads(path.with_suffix(".truth.json").read_text())["cuts_frames"]
            if detector == "content":
                watching = detectors.content(DEFAULTS.content_threshold, Fraction(24))
            else:
                watching = detectors.adaptive(DEFAULTS.adaptive_threshold, Fraction(24))
            with watching as detect:
                kept[name, detector] = scan.watch(path, video.probe(path), detect), truth
        return kept[name, detector]

    return watch


def f1(found, truth, tolerance=1):
    """F1 of cuts (frames), each true cut found at most once."""
    left = list(truth)
    hits = 0
    for cut in found:
        near = [t for t in left if abs(t - cut) <= tolerance]
        if near:
            left.remove(min(near, key=lambda t: abs(t - cut)))
            hits += 1
    return 2 * hits / (len(found) + len(truth))


def settled(seen, candidates):
    return shots.settle(seen.thumbnails, candidates, float(seen.rate.constant))[0]


@pytest.mark.parametrize(
    ("name", "detector", "least"),
    [
        ("film/s01e01", "adaptive", 0.95),
        ("film/s01e01", "content", 0.86),
        ("reel/sync_reel", "adaptive", 0.99),
        ("reel/sync_reel", "content", 0.6),
    ],
)
def test_classical_detectors(scanned, name, detector, least):
    seen, truth = scanned(name, detector)
    before, after = f1(seen.candidates, truth), f1(settled(seen, seen.candidates), truth)
    print(f"{name} {detector}: F1 {before:.3f} as proposed, {after:.3f} settled")
    assert after >= least
    assert after >= before


@pytest.mark.parametrize(("name", "least"), [("film/s01e01", 0.97), ("reel/sync_reel", 0.9)])
def test_transnetv2_with_a_second_witness(scanned, name, least):
    seen, truth = scanned(name, "adaptive")
    with detectors.transnetv2("cuda" if detectors.has_gpu() else "cpu") as score:
        chances = score(seen.thumbnails).tolist()
    threshold, doubtful = DEFAULTS.transnetv2_threshold, DEFAULTS.transnetv2_doubtful
    alone = f1(settled(seen, detectors.peaks(chances, threshold)), truth)
    both = f1(settled(seen, detectors.agreed(chances, seen.candidates, threshold, doubtful)), truth)
    print(f"{name} transnetv2: F1 {alone:.3f} alone, {both:.3f} with adaptive as second witness")
    assert both >= least
    assert both >= alone
