"""How loud an episode is, moment by moment, and how the panel hands that out."""

import subprocess
import sys

import httpx
import numpy as np
import pytest

from pipeline import timelines, waveforms
from pipeline.schemas.timeline import Scenes
from pipeline.settings import PROJECT
from pipeline.waveforms import levels

RATE = 100


def test_loud_is_high_soft_is_lower_and_where_nothing_is_there_is_silence():
    loud, soft = np.full(100, 0.5, np.float32), np.full(100, -0.05, np.float32)
    found = levels([(0.0, loud), (2.0, soft)], RATE, 4.0, 8)
    assert found[:2] == (255, 255)
    assert found[2:4] == found[6:] == (0, 0)
    assert 0 < found[4] == found[5] < 255


def test_an_episode_without_a_sound_is_silent_and_a_piece_that_lasts_too_long_ends_with_it():
    assert levels([], RATE, 2.0, 3) == (0, 0, 0)
    assert levels([(0.0, np.zeros(0, np.float32))], RATE, 2.0, 3) == (0, 0, 0)
    assert levels([(1.0, np.ones(900, np.float32))], RATE, 2.0, 2) == (0, 255)


def test_what_was_worked_out_stands_until_the_clips_change(season, tmp_path):
    made = season(clips=2, film=beep(tmp_path))
    assert waveforms.there(made.show, "s01e01") is None
    command = [sys.executable, "-m", "pipeline.waveforms", made.folder, "s01e01"]
    subprocess.run(command, check=True, cwd=PROJECT, stdin=subprocess.DEVNULL)
    found = waveforms.there(made.show, "s01e01")
    assert max(found.levels) == 255
    assert waveforms.build(made.show, "s01e01") == found
    scenes = made.show.store.get(made.show.store.head(timelines.SCENES, "s01e01").output, Scenes)
    made.save("step1-scenes", "s01e01", scenes.model_copy(update={"clips": scenes.clips[:1]}))
    assert waveforms.there(made.show, "s01e01") is None


def test_an_episode_without_clips_says_what_makes_them(season):
    made = season()
    (made.folder / "episodes" / "s01e09.mp4").write_bytes(b"new")
    with pytest.raises(ValueError, match="dailies run step1-scenes"):
        waveforms.build(made.show, "s01e09")


def test_the_panel_works_out_the_sound_of_the_shows_own_episodes_and_of_nothing_else(season, serve, tmp_path):
    made = season(clips=2, film=beep(tmp_path))
    (made.folder / "episodes" / "s01e09.mp4").write_bytes(b"new")
    with httpx.Client(base_url=serve(made.folder), trust_env=False, timeout=120) as client:
        found = client.get("/sound/s01e01")
        assert found.json() == list(waveforms.there(made.show, "s01e01").levels)
        assert client.get("/sound/s01e01").content == found.content
        answer = client.get("/sound/s01e09")
        assert (answer.status_code, answer.text.partition(":")[0]) == (503, "The sound of s01e09 cannot be read")
        for trick in ("..", "%2e%2e", "s01e01%2f..%2fs01e01", "%2fetc%2fpasswd", "s01e01%00", "-c", "nobody"):
            answer = client.get(f"/sound/{trick}")
            assert "s01e01" not in answer.text
            assert "json" not in answer.headers.get("content-type", ""), trick


def beep(folder):
    """A clip of four seconds with a tone in its first."""
    sound = "sine=frequency=440:duration=1,apad=whole_dur=4"
    made = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=red:s=64x36:r=24:d=4", "-f", "lavfi", "-i", sound]
    subprocess.run([*made, "-t", "4", folder / "beep.mp4"], check=True, stdin=subprocess.DEVNULL)
    return (folder / "beep.mp4").read_bytes()
