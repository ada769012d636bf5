import pytest

from pipeline.engine.events import Events, Reader
from pipeline.engine.records import File, Record
from pipeline.engine.work import Workspace


class Square(Record):
    value: int


class Page(Record):
    file: File


def squares(work, items, asked, batch=1):
    def make(indexes):
        asked.append([items[index] for index in indexes])
        for index in indexes:
            yield Square(value=items[index] ** 2)

    return [each.value for each in work.memo(Square).fill(items, make, batch=batch)]


def test_each_item_is_made_once_and_answers_come_in_order(work):
    asked = []
    assert squares(work, [3, 1, 3, 2], asked) == [9, 1, 9, 4]
    assert asked == [[3], [1], [2]]
    assert squares(work, [2, 4, 1], asked, batch=8) == [4, 16, 1]
    assert asked[3:] == [[4]]


def test_what_was_made_before_a_crash_is_kept(work):
    def make(indexes):
        for index in indexes:
            if index == 2:
                raise RuntimeError("power cut")
            yield Square(value=index)

    with pytest.raises(RuntimeError, match="power cut"):
        work.memo(Square).fill([10, 11, 12, 13], make)
    asked = []
    squares(work, [10, 11, 12, 13], asked)
    assert asked == [[12], [13]]


def test_other_code_makes_items_anew(work):
    asked = []
    squares(work, [2], asked)
    other = Workspace(work.store, work.scratch, work.cache, work.step, code="changed")
    squares(other, [2], asked)
    assert asked == [[2], [2]]


def test_an_item_whose_file_is_gone_is_made_again(work):
    def make(indexes):
        for index in indexes:
            path = work.scratch / f"{index}.txt"
            path.write_text(str(index))
            yield Page(file=work.keep(path))

    (page,) = work.memo(Page).fill(["a"], make)
    work.open(page.file).unlink()
    (again,) = work.memo(Page).fill(["a"], make)
    assert work.open(again.file).read_text() == "0"


def test_a_damaged_entry_is_made_again(work):
    asked = []
    squares(work, [5], asked)
    (entry,) = (work.store.root / "memo").rglob("*.json")
    entry.chmod(0o644)
    entry.write_text("{")
    assert squares(work, [5], asked) == [25]
    assert asked == [[5], [5]]


def test_progress_counts_what_was_kept(work, tmp_path):
    work.events = Events(tmp_path / "events.jsonl", (("step", "s"),))
    squares(work, [1, 2], [])
    squares(work, [1, 2, 3], [])
    events = [(event["done"], event["total"]) for event in Reader(tmp_path / "events.jsonl").poll()]
    assert events == [(0, 2), (1, 2), (2, 2), (2, 3), (3, 3)]


def test_a_model_is_loaded_once_and_freed_at_the_end(work):
    from contextlib import contextmanager

    log = []

    @contextmanager
    def load(name):
        log.append(f"load {name}")
        yield lambda: name
        log.append(f"free {name}")

    assert work.model(load, "a")() == "a"
    assert work.model(load, "a")() == "a"
    work.model(load, "b")
    work.models.close()
    assert log == ["load a", "load b", "free b", "free a"]
