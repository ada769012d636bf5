import pytest

from pipeline.media import subtitles
from pipeline.media.subtitles import read


def cues_of(tmp_path, name, text, **options):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path, name, **options)


def said(found):
    return [(cue.voice, cue.text) for cue in found.cues]


SRT = "1\n00:00:01,000 --> 00:00:02,500\n{}\n\n2\n00:00:03,000 --> 00:00:04,000\nThe end of it.\n"


def test_a_cue_has_its_times_in_seconds(tmp_path):
    first = cues_of(tmp_path, "a.srt", SRT.format("Hello there.")).cues[0]
    assert (first.span.start, first.span.end, first.text) == (1.0, 2.5, "Hello there.")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("<i>Over</i> <font color='red'>here</font>", "Over here"),
        ("{\\an8}Over here", "Over here"),
        ("Over\nhere", "Over here"),
        ("Tom &amp; Ines", "Tom & Ines"),
        ("(whispering) Over here", "Over here"),
        ("[DOOR SLAMS]\nOver here", "Over here"),
        ("*sighs* Over here", "Over here"),
        ("♪ La la ♪ Over here", "Over here"),
        ("What the f**k is apartment # 5?", "What the f**k is apartment # 5?"),
    ],
)
def test_styling_and_sound_descriptions_are_stripped(tmp_path, raw, text):
    assert said(cues_of(tmp_path, "a.srt", SRT.format(raw)))[0] == (None, text)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("[door slams]", "sound description"),
        ("♪ La la la ♪", "song"),
        ("♪La la", "song"),
        ("# La la #", "song"),
        ("(SIGHS)", "sound description"),
    ],
)
def test_what_is_no_speech_is_dropped_and_counted(tmp_path, raw, reason):
    found = cues_of(tmp_path, "a.srt", SRT.format(raw))
    assert said(found) == [(None, "The end of it.")]
    assert found.dropped == {reason: 1}


def test_lines_with_dashes_are_said_by_different_people(tmp_path):
    found = cues_of(tmp_path, "a.srt", SRT.format("- Who's there?\n- Only me,\nTom."))
    assert said(found)[:2] == [(None, "Who's there?"), (None, "Only me, Tom.")]


def test_a_name_before_a_colon_speaks_if_it_is_shouted_or_known(tmp_path):
    one = cues_of(tmp_path, "a.srt", SRT.format("REYES: Over here."))
    two = cues_of(tmp_path, "a.srt", SRT.format("Reyes: Over here."), names=["reyes"])
    three = cues_of(tmp_path, "a.srt", SRT.format("Remember: over here."))
    assert said(one)[0] == ("REYES", "Over here.")
    assert said(two)[0] == ("Reyes", "Over here.")
    assert said(three)[0] == (None, "Remember: over here.")


VTT = """WEBVTT - a show

NOTE nobody says this

STYLE
::cue { color: lime }

intro
00:01.000 --> 00:02.000 align:start
<v.loud Agent Reyes>Who is <i>that</i>?</v>

l02

00:03.000 --> 00:04.000
<v Tom>Me.</v><v Ines>And me.</v>

NOTE
a note
of two lines

last
00:00:05.000 --> 00:00:06.000
"""


def test_webvtt_voices_are_kept_and_identifiers_and_notes_are_not_read_as_speech(tmp_path):
    found = cues_of(tmp_path, "a.vtt", VTT)
    assert said(found) == [("Agent Reyes", "Who is that?"), ("Tom", "Me."), ("Ines", "And me.")]


ASS = """[Script Info]
ScriptType: v4.00+

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:03.00,0:00:04.00,Default,Reyes,0,0,0,,{\\i1}Second{\\i0}\\Nline
Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,First, with a comma
Dialogue: 0,0:00:01.00,0:00:02.00,Sign,,0,0,0,,{\\pos(100,200)}BAKERY
Comment: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,not shown
"""


def test_ass_actors_speak_and_signs_do_not(tmp_path):
    found = cues_of(tmp_path, "a.ass", ASS)
    assert said(found) == [(None, "First, with a comma"), ("Reyes", "Second line")]
    assert found.dropped == {"sign, drawing or comment": 2}


def test_other_encodings_are_read_and_told(tmp_path):
    text = SRT.format("Это совсем другая история, сказал он и закрыл за собой дверь.")
    found = cues_of(tmp_path, "a.srt", text.encode("cp1251"))
    assert found.cues[0].text.startswith("Это совсем другая история")
    assert "is not UTF-8" in found.notes(1.0, 0.0, {})[-1]
    assert said(cues_of(tmp_path, "b.srt", SRT.format("Über").encode("utf-8-sig")))[0] == (None, "Über")


@pytest.mark.parametrize("name", ["s01e01.sup", "s01e01.idx", "s01e01.sub"])
def test_picture_subtitles_are_refused_with_the_remedy(tmp_path, name):
    with pytest.raises(ValueError, match=r"pictures .* convert them to text, one of \.srt"):
        cues_of(tmp_path, name, b"\x50\x47")


def test_a_file_without_a_cue_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a\.srt: .*(no subtitle in it|no srt)"):
        cues_of(tmp_path, "a.srt", "hello\n")
    with pytest.raises(ValueError, match=r"b\.vtt: there is no subtitle in it"):
        cues_of(tmp_path, "b.vtt", "WEBVTT\n\nNOTE nothing\n")


def test_the_file_in_the_shows_language_is_chosen():
    def best(*names, language="en"):
        return subtitles.best_file(names, "s01e01", language)

    assert best("s01e01.fr.srt", "s01e01.srt", "s01e01.en.vtt") == "s01e01.en.vtt"
    assert best("s01e01.fr.srt", "s01e01.srt") == "s01e01.srt"
    assert best("s01e01.English.srt") == "s01e01.English.srt"
    assert best("s01e01.en.forced.srt", "s01e01.fr.srt", "s01e01.en.sup") is None
    assert best("s01e01.deu.srt", language="de") == "s01e01.deu.srt"
