"""Mishearings corrected more than once are offered for bible.toml, which keeps every other byte."""

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.review import desk, glossary_lines
from pipeline.schemas import located
from pipeline.schemas.bible_toml import BibleFile
from pipeline.schemas.captions import Line, ReviewDecision, TranscriptAnswer
from pipeline.schemas.edits import BatchEdit
from pipeline.schemas.story import Bible, Character, KnownNames, SpokenNames
from pipeline.schemas.timeline import Segment, Span, Word

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
BIBLE = """# The show bible. Mind the order.

[show]
title = "Spies"

[[character]]
id = "cohen"
name = "Dr. Aaron Cohen"   # said like "cone"
short = "Cohen"
mishearings = [
    "cone",    # the commonest
    "Coen",
]

[[character]]
id = "pryce"
name = "Tom Pryce"
short = "Pryce"
mishearings = ["price"]

[[place]]
id = "rooftop"
name = "Rooftop of number nine"
mishearings = []

[[term]]
term = "Operation Halcyon"
kind = "operation"

[[term]]
term = "prize"
kind = "thing"
"""


def corrected(clip: int, before: str, after: str, *, by="ann", minutes=0) -> ReviewDecision:
    span = Span(start=clip * 4, end=clip * 4 + 4)
    seen = Line(id=f"e@{clip}", span=span, speaker="cohen", text=before)
    return ReviewDecision(
        key=f"e/{clip}", episode="e", clip=str(clip), span=span, revision="r", by=by,
        at=NOON + timedelta(minutes=minutes), seconds=1,
        answer=TranscriptAnswer(seen=(seen,), lines=(seen.model_copy(update={"text": after}),)),
    )  # fmt: skip


def offers(*decisions, log=(), text=BIBLE):
    return glossary_lines.offers(text, decisions, log, "bible.toml")


def test_a_mishearing_that_was_corrected_in_two_places_is_offered_as_a_diff_of_one_line():
    (offer,) = offers(
        corrected(0, "Hello, Kohn!", "Hello, Cohen!"), corrected(1, "That is Kohn?", "That is Cohen?", by="bob")
    )
    assert (offer.kind, offer.index, offer.heard, offer.right, offer.places) == (
        "character",
        0,
        "Kohn",
        "Cohen",
        ("e/0", "e/1"),
    )
    changed = [line for line in offer.diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert changed == ['+    "Kohn",']


@pytest.mark.parametrize(
    "decisions",
    [
        [corrected(0, "Hello Kohn", "Hello Cohen")],
        [corrected(0, "Hello Kohn", "Hello Cohen"), corrected(0, "Hello Kohn", "Hello Cohen", by="bob")],
        [corrected(n, "Hello cone", "Hello Cohen") for n in range(2)],
        [corrected(n, "Hello there", "Hello dear") for n in range(2)],
        [corrected(n, "what a day it is", "Cohen left us all behind today") for n in range(2)],
        [
            corrected(0, "Hello Kohn", "Hello Cohen"),
            corrected(1, "Hello Kohn", "Hello Cohen"),
            corrected(1, "Hello Kohn", "Hello Kohn", minutes=1),
        ],
    ],
    ids=["once", "one place, two people", "listed already", "no name", "another line", "taken back"],
)
def test_what_is_not_a_mishearing_twice_is_not_offered(decisions):
    assert offers(*decisions) == []


def test_names_of_several_words_places_terms_and_batch_edits_count():
    hal = [corrected(n, "This is Operation Hal Seon.", "This is Operation Halcyon.") for n in range(2)]
    (offer,) = offers(*hal)
    assert (offer.kind, offer.heard, offer.right) == ("term", "Operation Hal Seon", "Operation Halcyon")
    assert '+mishearings = ["Operation Hal Seon"]' in offer.diff
    roof = [corrected(n, "Roofstop of number nine", "Rooftop of number nine") for n in range(2)]
    (offer,) = offers(*roof)
    assert (offer.kind, offer.heard) == ("place", "Roofstop of number nine")
    words = tuple(
        Word(text=w, span=Span(start=n, end=n + 1), probability=1) for n, w in enumerate(["Kohn", "and", "Kohn"])
    )
    line = Segment(id="e@0", shot=0, words=words, speaker=None)
    places = tuple(desk.replacing("e", [line], "Kohn", "Cohen"))
    edit = BatchEdit(id="1", what="replace", by="ann", at=NOON, places=places)
    assert [offer.heard for offer in offers(log=[edit])] == ["Kohn"]
    undo = BatchEdit(id="2", what="undo", by="ann", at=NOON, undoes="1")
    assert offers(log=[edit, undo]) == []


def test_what_the_bible_check_says_of_the_line_is_told():
    (offer,) = offers(*[corrected(n, "Hello price", "Hello Cohen") for n in range(2)])
    assert any("is listed for" in warning for warning in offer.warnings)


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_writing_changes_one_line_and_leaves_the_rest_as_it_is(tmp_path, ends):
    path = tmp_path / "bible.toml"
    path.write_bytes(BIBLE.replace("\n", ends).encode())
    path.chmod(0o640)
    before = path.read_bytes().decode().split(ends)
    for offer in offers(*[corrected(n, "Hello Kohn and Prise", "Hello Cohen and Pryce") for n in range(2)]):
        glossary_lines.write(path, offer)
    after = path.read_bytes().decode().split(ends)
    assert [line for line in after if line not in before] == ['    "Kohn",', 'mishearings = ["price", "Prise"]']
    assert [line for line in before if line not in after] == ['mishearings = ["price"]']
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["bible.toml"]
    assert located.load(path, BibleFile).characters[0].mishearings == ("cone", "Coen", "Kohn")


def test_a_bible_that_would_not_be_valid_is_not_written(tmp_path):
    path = tmp_path / "bible.toml"
    path.write_text(BIBLE)
    (offer,) = offers(*[corrected(n, "Hello Kohn", "Hello Cohen") for n in range(2)])
    path.write_text(BIBLE.replace('title = "Spies"', "titel = 1"))
    with pytest.raises(ValueError, match=r"bible\.toml"):
        glossary_lines.write(path, offer)
    assert "Kohn" not in path.read_text()


def test_only_what_reads_mishearings_sees_the_new_one():
    """The recogniser is told spellings, so nothing is transcribed anew."""
    before, after = (
        Bible(title="Spies", characters=(Character(id="cohen", name="Aaron Cohen", short="Cohen", mishearings=listed),))
        for listed in (("cone",), ("cone", "Kohn"))
    )
    assert SpokenNames.project(before) == SpokenNames.project(after)
    assert KnownNames.project(before) != KnownNames.project(after)
