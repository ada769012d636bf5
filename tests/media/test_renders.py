import av
import numpy as np

from pipeline.media import renders


def test_pictures_and_sound_come_out_as_they_went_in_and_end_together(tmp_path):
    pictures = np.full((12, 32, 64, 3), (200, 100, 40), dtype=np.uint8)
    sound = np.sin(np.arange(9_000) * 0.1, dtype=np.float32)[None].repeat(2, axis=0) / 2
    for name in ("a.mp4", "b.mp4"):
        renders.write(tmp_path / name, pictures, 24.0, sound, 24_000)
    with av.open(str(tmp_path / "a.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 24
        assert abs(container.streams.audio[0].duration * container.streams.audio[0].time_base - 0.5) < 0.03
    assert len(frames) == 12
    assert np.abs(frames[5].astype(int) - pictures[5]).max() <= 6
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_a_video_may_be_silent(tmp_path):
    renders.write(tmp_path / "a.mp4", np.zeros((5, 16, 16, 3), dtype=np.uint8), 16.0)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert (len(container.streams.audio), container.streams.video[0].frames) == (0, 5)
