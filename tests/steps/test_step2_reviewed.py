"""step2-reviewed: reviewed clips, and subtitles that read."""

import re
from itertools import pairwise

import pysubs2
import pytest
from pydantic import ValidationError

from pipeline.engine import fingerprint
from pipeline.engine.records import File
from pipeline.review.subtitles import write
from pipeline.schemas.captions import Caption, Captions, ReviewSnapshot
from pipeline.schemas.story import Bible, Character, SettledTranscript
from pipeline.schemas.timeline import Clip, MediaInfo, Scenes, Segment, Shot, Span
from pipeline.schemas.wording import retimed
from pipeline.steps import step2_reviewed

FILE = File(digest=fingerprint.of_bytes(b""), name="clip.mp4", size_bytes=0)
BIBLE = Bible(title="Spies", characters=(Character(id="reyes", name="Agent Ines Reyes", short="Reyes"),))
LONG = (
    "Operation Halcyon & Lantern Street, ten past midnight. So where, I ask you <again>, is that Dr. Cohen of {ours}?"
)


def segment(start: float, end: float, text: str, speaker: str | None) -> Segment:
    span = Span(start=start, end=end)
    return Segment(id=f"e@{round(start * 1000):07d}", shot=0, words=retimed(text, (), span), speaker=speaker)


SEGMENTS = (segment(0.5, 6.5, LONG, "reyes"), segment(7, 8, "Over here.", None))


def scenes(episode: str) -> Scenes:
    clips = tuple(
        Clip(id=f"{episode}_{i}", scene=0, shots=(0,), span=Span(start=i, end=i + 4), fps=24, video=FILE, audio=None)
        for i in (0, 4)
    )
    return Scenes(
        episode=episode,
        media=MediaInfo(width=640, height=360, fps=24, variable_frame_rate=False, seconds=8, has_audio=True),
        detector="test", shots=(Shot(index=0, span=Span(start=0, end=8)),), scenes=(), clips=clips, dropped=(),
    )  # fmt: skip


def transcript(episode: str) -> SettledTranscript:
    return SettledTranscript(episode=episode, language="en", segments=SEGMENTS, decisions=(), doubts=())


def captions(episode: str) -> Captions:
    found = [
        Caption(clip=f"{episode}_{i}", text="A street.", quotes=(), characters=(), score=score)
        for i, score in ((0, 0.9), (4, 0.4))
    ]
    return Captions(episode=episode, backend="test", captions=tuple(found))


def run(work, **config):
    return step2_reviewed.run(
        step2_reviewed.Config(**config),
        work,
        step1_scenes={name: scenes(name) for name in ("e", "f")},
        step2_transcript_disambiguate={name: transcript(name) for name in ("e", "f")},
        step2_caption={name: captions(name) for name in ("e", "f")},
        step2_bible=BIBLE,
        review=ReviewSnapshot(),
    )


def test_every_clip_of_every_episode_comes_out_once(work):
    reviewed = run(work, policy="machine-above", threshold=0.5)
    assert [clip.clip for clip in reviewed.clips] == ["e_0", "f_0"]
    assert [(left.clip, left.reason) for left in reviewed.left_out] == [
        (name, "not reviewed, and its caption scores 0.40, not above 0.50") for name in ("e_4", "f_4")
    ]
    assert run(work).clips == ()


def test_each_episode_has_its_whole_transcript_as_subtitles(work):
    reviewed = run(work)
    assert [(s.episode, s.srt.name, s.vtt.name) for s in reviewed.subtitles] == [
        ("e", "e.srt", "e.vtt"),
        ("f", "f.srt", "f.vtt"),
    ]
    srt = pysubs2.load(str(work.open(reviewed.subtitles[0].srt)), format_="srt")
    said = " ".join(event.plaintext.replace("\n", " ") for event in srt)
    assert said == " ".join(s.text for s in SEGMENTS).replace("{ours}", "(ours)").replace("<again>", "(again)")
    assert srt[0].start == 500
    assert srt[-2].end == 6500
    assert all(a.end <= b.start for a, b in pairwise(srt))


def test_subtitles_have_two_lines_of_42_characters_at_most(work):
    text = work.open(run(work).subtitles[0].srt).read_text()
    for cue in text.strip().split("\n\n"):
        _, _, *lines = cue.splitlines()
        assert len(lines) <= 2
        assert all(len(line) <= 42 for line in lines)


def test_the_vtt_names_the_voice_and_escapes_what_is_markup_there(tmp_path):
    write(SEGMENTS, {"reyes": "Reyes & Co"}, tmp_path / "e.srt", tmp_path / "e.vtt")
    text = (tmp_path / "e.vtt").read_text()
    assert text.startswith("WEBVTT\n")
    cues = re.split(r"\n\n", text.strip())[1:]
    assert all("<v Reyes &amp; Co>" in cue for cue in cues[:-1])
    assert "<v" not in cues[-1]
    assert "Halcyon &amp; Lantern" in text
    assert "&lt;again&gt;," in text


@pytest.mark.parametrize("config", [{"policy": "machine-above"}, {"threshold": 0.5}])
def test_a_threshold_belongs_to_machine_above(config):
    with pytest.raises(ValidationError, match="set threshold"):
        step2_reviewed.Config(**config)


def test_the_same_reviews_give_the_same_bytes(work):
    assert run(work) == run(work)
