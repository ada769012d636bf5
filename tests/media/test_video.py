"""probe and frames: the truth about a file, or one clear line why it cannot be used."""

import av
import numpy as np
import pytest

from pipeline.media import ffmpeg, video
from pipeline.media.decoding import Faults

PICTURE = ["-f", "lavfi", "-i", "testsrc2=s=128x96:r=25:d=2"]
SOUND = ["-f", "lavfi", "-i", "sine=440:d=2"]


@pytest.fixture
def make(tmp_path):
    """Make a small video by ffmpeg, H.264 unless told otherwise, and give its path."""

    def made(name, *arguments, inputs=(*PICTURE, *SOUND), encoder=("-c:v", "libx264", "-preset", "ultrafast")):
        path = tmp_path / name
        ffmpeg.run([*inputs, *encoder, *arguments, str(path)], "making a test video")
        return path

    return made


def turn(path):
    """A copy that says it is to be shown turned by 90 degrees."""
    turned = path.with_name("turned.mp4")
    with av.open(str(path)) as source, av.open(str(turned), "w") as target:
        track = target.add_stream_from_template(source.streams.video[0])
        track.set_display_rotation(90)
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = track
                target.mux(packet)
    return turned


def test_a_plain_file_is_what_it_says(make):
    info = video.probe(make("plain.mp4"))
    assert (info.width, info.height, info.fps, info.seconds) == (128, 96, 25, 2)
    assert info.has_audio
    assert not info.variable_frame_rate
    assert info.notes == ()


def test_size_is_as_shown_with_turn_and_pixel_aspect_applied(make):
    wide = make("wide.mp4", "-vf", "setsar=4/3")
    turned = turn(wide)
    assert (video.probe(wide).width, video.probe(wide).height) == (171, 96)
    assert (video.probe(turned).width, video.probe(turned).height) == (96, 171)
    assert "the picture is turned" in " ".join(video.probe(turned).notes)
    _, picture = next(video.frames(turned))
    assert picture.shape == (171, 96, 3)


def test_frames_come_upright_as_ffmpeg_shows_them(make, tmp_path):
    plain = make("plain.mp4")
    turned = turn(plain)
    raw = tmp_path / "raw"
    ffmpeg.run(["-i", str(turned), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", str(raw)], "decoding")
    shown = np.fromfile(raw, np.uint8).reshape(128, 96, 3).astype(int)
    _, picture = next(video.frames(turned))
    upright, turned_over = np.abs(shown - picture).mean(), np.abs(shown - picture[::-1, ::-1]).mean()
    assert upright < turned_over / 10


def test_frames_keep_their_own_times_where_the_rate_varies(make):
    odd = make("vfr.mp4", "-vf", "select='lt(t,1)+not(mod(n,5))'", "-fps_mode", "vfr")
    info = video.probe(odd)
    times = [time for time, _ in video.frames(odd)]
    assert info.variable_frame_rate
    assert info.fps < 20
    assert times[:3] == pytest.approx([0, 0.04, 0.08])
    assert times[-2:] == pytest.approx([1.6, 1.8])


def test_fps_leaves_out_what_comes_faster_and_size_scales(make):
    frames = list(video.frames(make("plain.mp4"), size=(32, 24), fps=5))
    assert [time for time, _ in frames] == pytest.approx([i / 5 for i in range(10)])
    assert {picture.shape for _, picture in frames} == {(24, 32, 3)}


def test_interlaced_pictures_are_told_and_not_woven(make):
    flags = ("-vf", "tinterlace=interleave_top,fieldorder=tff", "-flags", "+ilme+ildct", "-q:v", "2")
    path = make("fields.ts", *flags, encoder=("-c:v", "mpeg2video"))
    assert "the picture is interlaced" in video.probe(path).notes
    frames = list(video.frames(path))
    assert len(frames) == 25
    assert frames[0][0] == 0


def test_time_starts_at_the_first_frame_whatever_the_container_says(make):
    path = make("late.ts", "-output_ts_offset", "100")
    assert next(video.frames(path))[0] == 0
    assert video.probe(path).seconds == pytest.approx(2, abs=0.05)


def test_a_file_that_breaks_off_is_as_long_as_what_can_be_decoded(make):
    path = make("whole.mp4", "-movflags", "+faststart", "-g", "10", "-b:v", "800k", "-minrate", "800k")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3])
    info = video.probe(path)
    last = max(time for time, _ in video.frames(path))
    assert info.seconds == pytest.approx(last + 1 / 25, abs=0.001)
    assert info.seconds < 1
    assert any("the header claims 2.0 s" in note for note in info.notes)


def test_damaged_packets_are_passed_over_and_counted(make):
    path = make("whole.mp4", "-g", "5", "-an")
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for at in rng.integers(len(content) // 3, 2 * len(content) // 3, 400):
        content[at] ^= 0xFF
    path.write_bytes(content)
    faults = Faults()
    times = [time for time, _ in video.frames(path, faults=faults)]
    assert len(times) > 20
    assert times == sorted(set(times))
    assert faults.undecodable + faults.damaged > 0
    assert faults.notes()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.mp4", b"", "is empty"),
        ("page.mp4", b"<!DOCTYPE html><p>404", "holds text"),
        ("cut.mp4", b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41\0\0\0\x08free\0\1\0\0mdat" + bytes(5000), "cut short"),
        ("noise.mkv", bytes(range(256)) * 20, "not a media file"),
    ],
)
def test_what_is_no_video_is_refused_with_the_remedy(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=says) as refusal:
        video.probe(path, "s01e09.mp4")
    assert str(refusal.value).startswith("s01e09.mp4 ")
    assert "\n" not in str(refusal.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"gone\.mp4 does not exist"):
        video.probe(tmp_path / "gone.mp4")


def test_sound_alone_and_tiny_pictures_are_refused(make):
    with pytest.raises(ValueError, match="has no video track"):
        video.probe(make("sound.m4a", inputs=SOUND, encoder=()))
    with pytest.raises(ValueError, match="32x24 pixels, too small"):
        video.probe(make("icon.mp4", "-vf", "scale=32:24"))


def test_two_audio_tracks_are_told(make):
    path = make("two.mkv", "-map", "0:v", "-map", "1:a", "-map", "1:a", "-metadata:s:a:0", "language=eng")
    assert "2 audio tracks (eng, unnamed): the first is used" in video.probe(path).notes


def test_text_subtitles_come_out_timed_from_the_first_frame(make, tmp_path):
    lines = tmp_path / "lines.srt"
    lines.write_text("1\n00:00:00,500 --> 00:00:01,000\nHello, Cohen.\n")
    inputs = ("-itsoffset", "10", *PICTURE, "-itsoffset", "10", "-i", str(lines))
    path = make("subs.mkv", "-map", "0:v", "-map", "1:s", "-metadata:s:s:0", "language=eng", inputs=inputs)
    (track,) = video.subtitle_tracks(path)
    assert (track.index, track.language) == (0, "eng")
    out = tmp_path / "out.srt"
    video.extract_subtitles(path, 0, out)
    assert "00:00:00,500 --> 00:00:01,000\nHello, Cohen." in out.read_text()
    with pytest.raises(ValueError, match=r"subs\.mkv: taking out subtitle track 3"):
        video.extract_subtitles(path, 3, out)
