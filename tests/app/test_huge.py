"""Every page on an empty, a normal, a broken and a huge show; on the huge one no page reads the whole store."""

import ast
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from benchmarks.panel import huge, views
from pipeline import datasets, elsewhere, measured, quality, runs, runs_kept, standing, timelines
from pipeline.schemas.captions import Captions, Reviewed, ReviewSnapshot
from pipeline.schemas.datasets import Ltx2Dataset, Wan21Package
from pipeline.schemas.story import SettledTranscript

ROOT = Path(__file__).parents[2]
TRICKS = [
    "../../../../etc/passwd",
    "/etc/passwd",
    "..%2f..%2fshow.toml",
    "\x00",
    "s01e01/../../show.toml",
    "C:\\windows\\win.ini",
    "a" * 20_000,
    "-1",
    "nan",
    "<script>alert(1)</script>",
    "${jndi:x}",
    "0" * 64,
]
NAMES = (
    *("part", "group", "clip", "why", "find", "with", "episode", "t", "look", "words", "speaker", "character", "doubt"),
    *(
        "unit",
        "reviewed",
        "who",
        "clips",
        "dataset",
        "sample",
        "run",
        "compare",
        "step",
        "host",
        "checkpoint",
        "page",
        "index",
    ),
    *("what", "split"),
)


@pytest.fixture
def page(monkeypatch):
    """Opens a view of a show's folder."""

    def run(folder, view, **address):
        monkeypatch.setenv("DAILIES_SHOW", str(folder))
        app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=120)
        app.query_params.update({"who": "anna@example.com", **address})
        app.run()
        if view != "overview":
            app.switch_page(f"views/{view}.py").run()
        assert not app.exception, (view, address, app.exception)
        return app

    return run


@pytest.fixture(scope="session")
def huge_show(tmp_path_factory):
    """200 episodes of 100 clips each, both datasets of them, 200 trainings and launches."""
    return huge(tmp_path_factory.mktemp("huge") / "huge", 200, 100, answered=0.2)


@pytest.mark.parametrize("view", views())
def test_a_page_of_a_show_without_episodes_or_of_a_broken_one_gives_the_remedy(page, view, spies_copy):
    for video in (spies_copy / "episodes").iterdir():
        video.unlink()
    assert page(spies_copy, view).main, "it says something"
    (spies_copy / "show.toml").write_text("name = 3\n[nonsense]\n")
    assert any("cannot be read" in each.value for each in page(spies_copy, view).error)


@pytest.mark.parametrize("view", views())
def test_a_page_of_a_normal_show_and_of_one_that_was_never_run_opens(page, view, season, spies_copy):
    made = season()
    made.answered("s01e01", 0)
    made.pull()
    for folder in (made.folder, spies_copy):
        assert not [each.value for each in page(folder, view).error if "cannot be read" in each.value]


@pytest.mark.parametrize("view", views())
def test_a_page_of_a_huge_show_reads_indexes_and_not_the_store(page, view, huge_show, monkeypatch):
    """What takes seconds or hundreds of megabytes stays out of the panel's process: no record of the whole show is
    read, and no event of a run that is over.
    """
    reads = []
    get = type(huge_show.show.store).get

    def noted(store, digest, kind):
        reads.append(kind)
        return get(store, digest, kind)

    def never(*_):
        raise AssertionError("the whole show is read in the panel's process")

    monkeypatch.setattr(type(huge_show.show.store), "get", noted)
    monkeypatch.setattr(quality, "measure", never)
    monkeypatch.setattr(standing, "_loaded", never)
    monkeypatch.setattr(elsewhere, "warm", lambda _: None)
    monkeypatch.setattr("app.desk.warm", lambda _: None)
    monkeypatch.setattr(runs_kept, "_read_on", never)
    monkeypatch.setattr(timelines, "_outcome", never)
    monkeypatch.setattr(measured.Fold, "take", never)
    for cache in (timelines._timeline, timelines._outcome_of, datasets._dataset, runs_kept.index, measured._FOLDS):
        getattr(cache, "cache_clear", getattr(cache, "clear", None))()
    page(huge_show.folder, view)
    for kind in (SettledTranscript, Captions, ReviewSnapshot):
        assert reads.count(kind) <= 2, (kind, reads.count(kind))
    assert not {Reviewed, Ltx2Dataset, Wan21Package}.intersection(reads)


def test_every_part_of_a_huge_show_says_what_there_is(page, huge_show, drawn):
    def words(app):
        return "\n".join(each.value for each in (*app.markdown, *app.caption))

    for dataset, step in (("LTX-2", "step3-ltx2-data"), ("Wan2.1", "step3-wan21-package")):
        app = page(huge_show.folder, "dataset", dataset=dataset, words="s01e150")
        assert step in words(app)
        assert "**90 samples**" in words(app)
        assert next(iter(app.metric)).value == "17,000"
    app = page(huge_show.folder, "runs")
    assert "**200 runs**" in words(app)
    assert "Compare trainings" in drawn(app)
    app = page(huge_show.folder, "runs", run=runs.ids(huge_show.show)[0], part="Checkpoints")
    assert next(iter(app.segmented_control)).value == "Checkpoints"
    launch = page(huge_show.folder, "launch", what="train-ltx-2")
    assert words(launch).count("by anna@example.com") == 4, "the newest launches, not all of them"
    assert "so far, for" in words(page(huge_show.folder, "hosts"))


@pytest.mark.parametrize("view", views())
def test_no_address_of_a_page_reaches_the_file_system_or_breaks_it(page, view, season, monkeypatch):
    made = season()
    opened = []
    read = Path.open

    def watched(path, *arguments, **options):
        opened.append(str(path))
        return read(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", watched)
    for shift in range(3):  # Each name gets another trick each time.
        page(made.folder, view, **{name: TRICKS[(at + shift * 5) % len(TRICKS)] for at, name in enumerate(NAMES)})
    assert not [path for path in opened if "passwd" in path or "win.ini" in path or "%2f" in path]


def test_all_names_that_an_address_may_have_are_tried():
    """They are read from the panel's source: what it asks `st.query_params` for, and widgets that stand in it."""
    found = set()
    for path in (ROOT / "app").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = {}
        for each in (node for node in tree.body if isinstance(node, ast.Assign)):
            together = isinstance(each.targets[0], ast.Tuple)
            targets, values = (each.targets[0].elts, each.value.elts) if together else (each.targets[:1], [each.value])
            constants |= {ast.unparse(target): value for target, value in zip(targets, values, strict=True)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "st.query_params":
                found.add(node.slice)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "st.query_params.get":
                found.add(node.args[0])
            elif isinstance(node, ast.Call) and any(each.arg == "bind" for each in node.keywords):
                found.add(next(each.value for each in node.keywords if each.arg == "key"))
        names = {ast.literal_eval(constants.get(ast.unparse(each), each)) for each in found}
        assert names <= set(NAMES), path
        found.clear()


def test_the_figures_on_disk_are_the_figures(season):
    made = season()
    made.answered("s01e01", 0)
    made.captioned("s01e01", 0, verdict="second look")
    made.pull()
    assert quality.counted(made.show) == (None, False)
    counted = quality.figures(made.show)
    assert counted == quality.measure(made.show)
    assert quality.counted(made.show) == (counted, True)
    made.answered("s01e01", 1)
    made.pull()
    assert quality.counted(made.show) == (counted, False)


class _Ending:
    """Ends the process that reads it, as if it was killed at its work."""

    def __reduce__(self) -> tuple[Callable[[int], Any], tuple[int]]:
        return os._exit, (9,)


def test_the_process_beside_does_what_the_desk_does_and_tells_what_goes_wrong(season, monkeypatch):
    from app import desk as asked
    from pipeline import desk

    made = season()
    made.answered("s01e01", 0)
    made.pull()
    monkeypatch.setattr(elsewhere, "LARGE", 0)
    second = elsewhere._Second()
    monkeypatch.setattr(elsewhere, "_SECOND", second)
    try:
        assert asked.suggestions(made.show) == desk.suggestions(made.show)
        edit = asked.replace(made.show, "diner", "harbour", "anna@example.com")
        assert desk.edits_made(made.show)[0] == edit
        with pytest.raises(ValueError, match="there is no edit 99"):
            asked.undo(made.show, ["99"], "anna@example.com")
        with pytest.raises(RuntimeError, match="ended with 9"):
            asked.undo(made.show, [_Ending()], "anna@example.com")
        assert asked.speakers(made.show) == desk.speakers(made.show), "another one is started"
    finally:
        second.end()
