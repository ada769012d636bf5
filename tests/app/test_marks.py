"""Differences and words of others as Markdown: shown as they are, marked by signs and colours."""

import xml.etree.ElementTree as ET

from app import marks
from app.review import pictures
from pipeline.quality import Bin, Calibration, Progress, Share


def test_what_goes_is_struck_out_and_what_comes_is_bold():
    assert marks.changed("Bring cone now", "Bring Cohen now") == "Bring :red[~~cone~~] :green[**Cohen**] now"
    assert marks.changed("a big b", "a b") == "a :red[~~big~~] b"
    assert marks.changed("a", "a b") == "a :green[**b**]"
    assert marks.changed("same", "same") == "same"


def test_what_people_wrote_is_never_read_as_markup():
    assert marks.plain("*x* [a](http://b) :red[c] <b> $1") == (r"\*x\* \[a\]\(http\://b\) \:red\[c\] \<b\> \$1")
    assert marks.told("run `dailies up` *now*") == r"run `dailies up` \*now\*"
    assert marks.told("a lone ` sign") == r"a lone \` sign"


def test_a_diff_escapes_what_the_file_has():
    html = marks.unified("--- a\n+++ b\n@@ -1 +1 @@\n-x = 1\n+y = <2>\n")
    assert ET.fromstring(html).findall("div")[2].text == "+y = <2>"


def test_moments_and_counts_are_words():
    assert [marks.clock(seconds) for seconds in (7, 760, 3723)] == ["0:07", "12:40", "1:02:03"]
    assert [marks.count(number, "place") for number in (1, 2, 1200)] == ["1 place", "2 places", "1,200 places"]


def test_a_project_is_drawn_by_what_became_of_its_tasks():
    pulled = Progress("captions", 20, 8, 12, 2, 3, 1, 6.0, 1.2)
    found = {part.name: part.tasks for part in pictures.parts(pulled, done=11, total=20)}
    assert found == {
        "answered": 6,
        "for a second look": 2,
        "answered since the last pull": 2,
        "asked again": 1,
        "skipped": 1,
    }
    assert "<b>8</b> left" in pictures.bar(pictures.parts(pulled, 11, 20), 20)


def test_calibration_is_told_in_words_too():
    of = Calibration("words", 12, 0.1, (Bin(0.3, 0.4, 0.35, Share(2, 8)), Bin(0.8, 0.9, 0.85, Share(4, 4))))
    svg = ET.fromstring(pictures.reliability(of))
    assert svg.get("aria-label") == "words: score 0.35, 25 % right; score 0.85, 100 % right"
    assert len(list(svg.iter("circle"))) == 2
