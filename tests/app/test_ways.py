"""Every clip, question, sample and result has an address, on every page that names it, and it opens just that."""

import time

import pytest

from app import ways
from benchmarks.packaged import package
from benchmarks.season import Season
from benchmarks.trained import Trained

ANNA = "anna@example.com"
RUN = "20261101T100000-aaaaaa"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A show under review with datasets and a training."""
    found = Season(tmp_path_factory.mktemp("addressed") / "season")
    for clip in range(8):
        found.answered("s01e01", clip, who="pryce" if clip == 3 else None)
        found.captioned("s01e01", clip, verdict="second look" if clip == 0 else "keep")
    found.pull()
    package(found)
    Trained(found.show).training(RUN, began=time.time() - 900, steps=20, every=10, samples=True)
    return found


@pytest.fixture
def seen(opened, drawn):
    """All that a page says at an address, its links among it."""

    def read(view, folder, **address):
        app = opened(view, folder, who=ANNA, **address)
        said = [each.value for each in (*app.markdown, *app.caption, *app.code)]
        said += [each.label for each in app.checkbox]
        said += [each.proto.url for each in app.get("link_button")]
        said += [each.proto.json for each in app.get("bidi_component")]
        return "\n".join([*said, drawn(app)]).replace("&amp;", "&")

    return read


def test_a_clip_a_moment_and_a_result_open_where_their_addresses_say(opened, made):
    def shown(address):
        view, _, query = address.removeprefix("/").partition("?")
        values = dict(each.split("=") for each in query.split("&"))
        return "\n".join(each.value for each in opened(view or "overview", made.folder, **values).markdown)

    for address in (
        ways.moment("s01e02", 9.0),
        ways.clip("s01e02", "s01e02_0008000"),
        ways.task("s01e02/s01e02_0008000#caption"),
    ):
        assert "**0:08 – 0:12**" in shown(address), address
    assert "**step2-caption of s01e02**" in shown(ways.result("step2-caption", "s01e02"))


@pytest.mark.parametrize(
    ("view", "address", "found"),
    [
        # Clips.
        ("review", {"part": "Flagged"}, "/episodes?episode=s01e01&clip=s01e01_0000000"),
        ("review", {"part": "Flagged", "clip": "s01e01/s01e01_0000000"}, "/episodes?episode=s01e01&clip="),
        ("dataset", {}, "/dataset?dataset=ltx2&sample="),
        ("episodes", {"look": "Search", "words": "rain"}, "/episodes?episode=s01e01&t=4.50"),
        ("episodes", {"episode": "s01e01", "clip": "s01e01_0004000"}, "/episodes?episode=s01e01&clip=s01e01_0004000"),
        ("runs", {"run": RUN, "sample": "10.1"}, "/episodes?episode=s01e01&t="),
        # Questions.
        ("episodes", {"episode": "s01e02", "t": "25"}, "/episodes?episode=s01e02&t=25.10"),
        ("review", {"part": "More like this"}, "/episodes?episode=s01e02&t=25.10"),
        ("review", {"part": "More like this"}, "/episodes?episode=s01e01&clip=s01e01_0024000"),
        # Samples.
        ("dataset", {}, "/episodes?episode=s01e01&t="),
        ("runs", {"run": RUN, "part": "Samples"}, f"/runs?run={RUN}&part=Samples&sample="),
        # Results, stale or not.
        ("overview", {}, "/?step=step2-caption"),
        ("launch", {"what": "step1-scenes"}, "/?step=step1-scenes"),
        ("runs", {"run": RUN}, "/?step=step5-ltx2-train&unit=show"),
    ],
)
def test_what_a_page_names_has_an_address_there(seen, made, view, address, found):
    assert found in seen(view, made.folder, **address)
