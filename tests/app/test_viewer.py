"""A viewer changes nothing on any page, also not by sending what an operator's browser sends.

Every button of every page is walked, on a real panel: a new page or a new action is in the walk without being told of,
and one that the walk does not come to see fails it.
"""

import ast
import json
import time
from fnmatch import fnmatchcase

import portalocker
import pytest

from benchmarks.packaged import package
from benchmarks.panel import views
from benchmarks.season import Season
from benchmarks.trained import Trained
from pipeline import access, desk, panel_log
from pipeline.schemas.story import Decision, SettledTranscript
from pipeline.settings import PROJECT
from tests.app.open_tab import ANNA, BEN, SECRET, Tab, signed_in

GONE = 2**22 + 1
RUNNING, DIED = "20261101T100000-aaaaaa", "20261101T090000-bbbbbb"
JOB = "20261101T080000000000-launch.abc-aaaaaa"

PLACES = [
    ("", "", ()),
    ("episodes", "episode=s01e01&t=0.5", ()),
    ("dataset", "", ()),
    ("dataset", "dataset=Wan2.1", ()),
    ("launch", "what=train-ltx-2", ()),
    ("runs", "", ()),
    ("runs", f"run={RUNNING}", ()),
    ("runs", f"run={DIED}", ("resume",)),
    ("runs", "compare=choose", ()),
    *(
        ("review", f"part={part}", ())
        for part in ("Progress", "More+like+this", "Flagged", "Glossary", "People", "Log")
    ),
    ("review", "part=What+it+tells", ()),
    ("review", "part=Change+everywhere&find=cone&with=Cohen", ()),
    ("spot-check", "", ()),
    ("hosts", "", ()),
]
"""Where all actions are: a page, its address, and what to press first. `test_all_pages_are_walked` holds the pages."""

NEEDS_LABEL_STUDIO = {"start-push", "start-pull", "invite"}
"""Drawn only beside a Label Studio that works. They are drawn by the same function as all others."""
NEEDS_A_SHOW_AT_REST = {"start-run"}
"""Drawn only while no run goes on; by the same function too."""
AFTER_A_CHOICE = {"rename-all", "undo-last-*"}
"""Drawn only after something was chosen or done in the same session; a test of their own each."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A show on which everything can be done: under review, packaged, with trainings and a job that goes on."""
    folder = tmp_path_factory.mktemp("watched") / "season"
    made = Season(folder)
    for clip in (0, 4):
        made.answered("s01e01", clip)
    made.pull()
    package(made)
    settled = made.show.store.head("step2-transcript-disambiguate", "s01e01").output
    transcript = made.show.store.get(settled, SettledTranscript)
    doubt = transcript.doubts[0]
    decision = Decision(doubt=doubt, original="cone", chosen="Cohen", by="lexical", reason="sounds alike", score=0.9)
    made.save("step2-transcript-disambiguate", "s01e01", transcript.model_copy(update={"decisions": (decision,)}))
    desk.replace(made.show, "diner", "harbour", ANNA)
    trained = Trained(made.show)
    now = time.time()
    trained.training(DIED, began=now - 900, steps=90, upto=20, every=10, ended=False, pid=GONE, samples=False)
    trained.training(RUNNING, began=now, steps=90, upto=20, every=10, ended=False, samples=False)
    made.show.plan()  # Sources come into the store with the first look.
    access.add(folder, ANNA, "operator", SECRET)
    access.add(folder, BEN, "viewer", SECRET)
    jobs = made.show.state / "jobs" / JOB
    jobs.mkdir(parents=True)
    (jobs / "events.jsonl").write_text(json.dumps({"t": now, "event": "started", "by": ANNA}) + "\n")
    with (jobs.parent / "launch.abc.lock").open("a") as lock:
        portalocker.lock(lock, portalocker.LockFlags.EXCLUSIVE)
        yield made


@pytest.fixture(scope="module")
def panel(made, serve_all):
    return serve_all(made.folder)


def actions():
    """The key of every action as a pattern, read from the panel's source: all are drawn by `shell.act`."""
    found = set()
    for path in (PROJECT / "app").rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for call in (node for node in nodes if isinstance(node, ast.Call)):
            name = ast.unparse(call.func).removeprefix("shell.").removeprefix("log.")
            if name == "act":
                found |= keys_of(call.args[2])
            elif name == "start" and len(call.args) > 3:
                found |= {f"start-{key}" for key in keys_of(call.args[1])}
            elif name == "undo" and len(call.args) > 3:
                found |= keys_of(call.args[3])
    return found - {"start-*"}  # `shell.start` itself: its callers are listed.


def keys_of(value):
    if isinstance(value, ast.Constant):
        return {value.value}
    if isinstance(value, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "*" for part in value.values]
        return {"".join(parts)}
    return set()  # A name: whoever calls this function says the key.


def is_any(key, patterns):
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def content(folder):
    """All that a change would be seen in: not what reading leaves behind, nor who came and was refused."""
    asides = {"panel", "index", "locks"}
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock" and not asides.intersection(path.relative_to(folder).parts)
    }


def refused(folder, since):
    """Where somebody was refused after the first `since` entries of the panel's log."""
    entries = panel_log.entries(folder)
    return {each.where for each in entries[: len(entries) - since] if each.outcome == "refused"}


def test_all_pages_are_walked():
    walked = {page.replace("-", "_") or "overview" for page, _, _ in PLACES}
    assert walked == set(views())


def test_a_viewer_presses_everything_everywhere_and_nothing_changes(panel, made):
    before, seen, known = content(made.folder), set(), actions()
    with signed_in(panel, BEN) as client:
        for page, query, first in PLACES:
            with Tab(panel, client, query, page) as tab:
                tab.run([tab.keys[key].id for key in first])
                shown = {key: button for key, button in tab.keys.items() if is_any(key, known)}
                assert all(button.disabled for button in shown.values()), (page, query)
                seen |= shown.keys()
                tab.run([button.id for button in tab.keys.values()])
    assert content(made.folder) == before
    unseen = {pattern for pattern in known if not any(fnmatchcase(key, pattern) for key in seen)}
    assert unseen == NEEDS_LABEL_STUDIO | NEEDS_A_SHOW_AT_REST | AFTER_A_CHOICE, "PLACES must lead to every action"
    assert not [each for each in panel_log.entries(made.folder) if each.by == BEN and each.what != "sign in"]


def test_an_operator_who_became_a_viewer_is_refused_at_every_button_of_an_open_page(panel, made):
    before, known = content(made.folder), actions()
    with signed_in(panel) as client:
        for page, query, first in PLACES:
            with Tab(panel, client, query, page) as tab:
                tab.run([tab.keys[key].id for key in first])
                ready = {
                    key: button.id for key, button in tab.keys.items() if is_any(key, known) and not button.disabled
                }
                since = len(panel_log.entries(made.folder))
                access.change(made.folder, ANNA, role="viewer")
                try:
                    tab.run(ready.values())
                finally:
                    access.change(made.folder, ANNA, role="operator")
                assert refused(made.folder, since) == ready.keys(), (page, query)
    assert content(made.folder) == before


def test_what_is_drawn_after_a_choice_is_refused_too(panel, made):
    with signed_in(panel) as client, Tab(panel, client, "part=Change+everywhere&find=Bring&with=Take", "review") as tab:
        old, new = tab.choices["Lines of"], tab.choices["are spoken by"]
        chosen = [(old.id, next(each for each in old.options if each.startswith("reyes"))), (new.id, "pryce")]
        tab.run([tab.keys["replace-all"].id], chosen)
        ready = {key: button.id for key, button in tab.keys.items() if is_any(key, AFTER_A_CHOICE)}
        assert len(ready) == 2
        before, known = content(made.folder), len(panel_log.entries(made.folder))
        access.change(made.folder, ANNA, role="viewer")
        try:
            tab.run(ready.values(), chosen)
        finally:
            access.change(made.folder, ANNA, role="operator")
    assert refused(made.folder, known) == ready.keys()
    assert content(made.folder) == before
