import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.engine import plan, upkeep
from pipeline.engine.fingerprint import of_value
from pipeline.engine.records import File, Record
from pipeline.engine.store import Run, Store


class Book(Record):
    pages: tuple[File, ...]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def write(path, text):
    path.write_text(text)
    return path


def a_run(name, output, step="step1-bind", unit="a"):
    return Run(
        name=name, step=step, unit=unit, key=of_value("run", name), recipe={}, output=output, seconds=1, finished=2
    )


def test_equal_bytes_are_kept_once_and_cannot_be_written_to(store, tmp_path):
    one = store.put_file(write(tmp_path / "one.txt", "same"))
    two = store.put_file(write(tmp_path / "two.txt", "same"))
    assert one.digest == two.digest
    assert (one.name, two.name) == ("one.txt", "two.txt")
    assert store.path_of(one).stat().st_mode & 0o222 == 0
    assert len(list((store.root / "objects").glob("*/*"))) == 1


def test_a_file_that_is_not_there_says_what_to_do(store):
    with pytest.raises(KeyError, match=r"page\.txt .* is not in .* store verify --repair"):
        store.path_of(File(digest=of_value("x", 1), name="page.txt", size_bytes=1))


def test_a_name_with_a_folder_in_it_is_refused():
    with pytest.raises(ValueError, match="should match pattern"):
        File(digest=of_value("x", 1), name="../page.txt", size_bytes=1)


def test_the_first_result_of_a_key_wins(store, tmp_path):
    first = Book(pages=(store.put_file(write(tmp_path / "a.txt", "first")),))
    second = Book(pages=(store.put_file(write(tmp_path / "a.txt", "second")),))
    store.save_run(a_run("k-show-step-1", store.put(first)), first)
    kept = store.save_run(a_run("k-show-step-1", store.put(second)), second)
    assert kept.output == store.put(first)
    assert (store.run_path("k-show-step-1") / "files" / "a.txt").read_text() == "first"


def test_many_at_once_publish_one_run(store, tmp_path):
    book = Book(pages=(store.put_file(write(tmp_path / "a.txt", "text")),))
    run = a_run("k-show-step-1", store.put(book))
    threads = [threading.Thread(target=store.save_run, args=(run, book)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.find_run(run.name) == run
    assert list((store.root / "tmp").iterdir()) == []


def test_two_different_files_of_one_name_are_refused(store, tmp_path):
    pages = tuple(store.put_file(write(tmp_path / "a.txt", text)) for text in ("one", "two"))
    with pytest.raises(ValueError, match=r"two different files called a\.txt"):
        store.save_run(a_run("k", store.put(Book(pages=pages))), Book(pages=pages))
    assert store.find_run("k") is None


def test_a_run_whose_output_is_lost_counts_as_none_and_is_made_again(store, tmp_path):
    book = Book(pages=(store.put_file(write(tmp_path / "a.txt", "text")),))
    run = store.save_run(a_run("k", store.put(book)), book)
    store.object_path(run.output).unlink()
    assert store.find_run("k") is None
    assert store.save_run(a_run("k", store.put(book)), book) == run
    assert store.find_run("k") == run


def test_where_links_fail_files_are_copied(store, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "no links here")

    book = Book(pages=(store.put_file(write(tmp_path / "a.txt", "text")),))
    monkeypatch.setattr(os, "link", refuse)
    store.save_run(a_run("k", store.put(book)), book)
    assert (store.run_path("k") / "files" / "a.txt").read_text() == "text"


def test_sweep_removes_what_a_dead_process_left_and_nothing_else(store):
    (store.root / "tmp" / "dead").mkdir(parents=True)
    with store.scratch() as mine:
        assert store.sweep() == 1
        assert mine.is_dir()


def test_killed_at_any_touch_of_the_disk_a_run_is_there_whole_or_not_at_all(tmp_path):
    root = Path(__file__).parents[2]
    answer = subprocess.run(
        [sys.executable, Path(__file__).parent / "dying.py", tmp_path],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert len(told) > 30
    assert [each for each in told if each != [[], []]] == []


def test_a_run_is_named_as_people_look_for_it():
    recipe = {"step": "step1-scenes", "version": 3, "code": {}, "config": {}, "inputs": {}}
    name = plan.run_name("spies", ("step1-scenes", "s01e01"), recipe)
    assert name == "fbcpnn3iiswlntpq46vemxofuyvuacox-spies-s01e01-step1-scenes-3"
    assert len(name.partition("-")[0]) == 32
    assert plan.run_name("spies", ("step2-bible", "show"), recipe).endswith("-spies-step2-bible-3")


def test_differences_name_the_leaves():
    found = plan.differences({"a": [1, {"b": 2}], "c": 3}, {"a": [1, {"b": 5}], "d": 4})
    assert [(cause.part.lstrip("."), cause.was, cause.now) for cause in found] == [
        ("a[1].b", 2, 5),
        ("c", 3, None),
        ("d", None, 4),
    ]


def test_differences_of_named_objects_are_theirs_wherever_they_stand():
    ben, cone = {"id": "ben", "looks": "tall"}, {"id": "cone", "looks": "grey"}
    found = plan.differences({"cast": [ben, cone]}, {"cast": [{"id": "ann"}, {**ben, "looks": "small"}, cone]})
    assert [(cause.part, cause.was, cause.now) for cause in found] == [
        (".cast[ben].looks", "tall", "small"),
        (".cast[ann]", None, {"id": "ann"}),
    ]
    (moved,) = plan.differences([ben, cone], [cone, ben])
    assert (moved.was, moved.now) == (["ben", "cone"], ["cone", "ben"])
    assert len(plan.differences([ben, ben], [ben, cone])) == 2


def test_gc_forgets_what_only_a_mirror_holds_once_nothing_reaches_it_or_it_has_come(tmp_path):
    store = Store(tmp_path)
    held = store.put(Book(pages=()))
    reached, stale = "a" * 64, "b" * 64
    store.await_objects({reached: 1, stale: 2})
    (tmp_path / "elsewhere" / held[:2]).mkdir(parents=True, exist_ok=True)
    (tmp_path / "elsewhere" / held[:2] / held[2:]).write_text("9")
    upkeep.gc(store, roots=frozenset({reached, held}))
    assert store.knows(stale), "what is young may belong to a run that was interrupted"
    upkeep.gc(store, roots=frozenset({reached, held}), grace_seconds=-1)
    assert (store.knows(reached), store.knows(stale), store.knows(held)) == (True, False, True)
    assert [path.name for path in (tmp_path / "elsewhere").glob("*/*")] == [reached[2:]]
