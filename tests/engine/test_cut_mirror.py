"""A mirror whose line breaks, whose bytes are lost or damaged, and which several use at once: nothing stays broken."""

import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.loopback_ssh import SSHD, sshd
from benchmarks.mirror import Made, fill
from pipeline.engine import mirror_gc, upkeep
from pipeline.engine.mirror import Mirror
from pipeline.engine.mirror_known import name_of
from pipeline.engine.store import Run, Store
from pipeline.engine.transport import LostConnectionError, MirrorError, Transport

CUT_LINE = Path(__file__).parents[1] / "cut_line.py"
BREAKS_BYTES = 2_000_000


@pytest.fixture
def here(tmp_path):
    return Store(tmp_path / "here")


@pytest.fixture
def there(tmp_path):
    return Store(tmp_path / "there")


@pytest.fixture
def cuts(tmp_path):
    """The line breaks as long as this file is there."""
    return tmp_path / "cuts"


@pytest.fixture
def at(tmp_path, cuts, monkeypatch):
    """Makes a mirror behind a line that breaks."""
    if not Path(SSHD).exists():
        pytest.skip("no sshd (Debian: apt-get install openssh-server)")
    monkeypatch.setattr("pipeline.engine.openssh._PAUSES", ())
    (tmp_path / "sshd").mkdir()
    with sshd(tmp_path / "sshd") as config:
        line = f"{sys.executable} {CUT_LINE} %h %p {BREAKS_BYTES} {cuts}"
        config.write_text(f"{config.read_text()}  ProxyCommand {line}\n")
        yield lambda store: Mirror(store, f"sftp://mirror{tmp_path}/mirror", config)


def many(store, count=40, size=100_000):
    """A run of so many files, larger together than what the line carries before it breaks."""
    files = []
    for number in range(count):
        with store.scratch() as scratch:
            (scratch / f"{number}.bin").write_bytes(os.urandom(size))
            files.append(store.put_file(scratch / f"{number}.bin", move=True))
    made = Made(files=tuple(files))
    digest = store.put(made)
    run = Run(
        name=f"{digest[:32]}-toy-step-1", step="step", unit="unit", key=digest, recipe={"inputs": {}}, output=digest,
        seconds=1, finished=1,
    )  # fmt: skip
    return store.save_run(run, made)


def in_mirror(tmp_path):
    return {path: path.read_bytes() for path in (tmp_path / "mirror" / "objects").glob("*/*")}


def again(do):
    """The line still breaks, each time later in the file: a transfer that began anew would never end."""
    for _ in range(20):
        try:
            return do()
        except LostConnectionError:
            continue
    raise AssertionError("it does not go on")


def test_a_push_that_was_cut_leaves_whole_objects_and_the_next_one_sends_only_the_others(at, here, cuts, tmp_path):
    at(here).push([fill(here, 5000, begin=4)])  # So that there is a memory of what the mirror had before.
    before, run = len(in_mirror(tmp_path)), many(here)
    cuts.touch()
    with pytest.raises(MirrorError, match="the connection was cut: run again"):
        at(here).push([run])
    arrived = len(in_mirror(tmp_path)) - before
    assert 0 < arrived < 41
    assert run.name not in Mirror(here, f"file://{tmp_path}/mirror").runs()
    cuts.unlink()
    moved = at(here).push([run])
    assert (moved.objects, moved.present, moved.runs) == (41 - arrived, arrived, 1)
    for path, content in in_mirror(tmp_path).items():
        assert here.object_path(path.parent.name + path.name).read_bytes() == content


def test_a_push_of_little_makes_do_with_one_connection(at, here, tmp_path):
    mirror, count = at(here), tmp_path / "connections"
    before, line = mirror.ssh_config.read_text().split("  ProxyCommand ")
    mirror.ssh_config.write_text(f"{before}  ProxyCommand sh -c 'echo one >>{count}; exec {line.strip()}'\n")
    mirror.push([many(here, 10, 4_000_000)])
    assert len(in_mirror(tmp_path)) == 11
    assert count.read_text().splitlines() == ["one"]


def test_a_line_that_breaks_once_is_taken_up_again_by_itself(at, here, cuts, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.engine.openssh._PAUSES", (0.1,))
    at(here).push([])
    run = many(here)
    cuts.write_text("once")
    assert at(here).push([run]).runs == 1
    assert not cuts.exists()
    assert len(in_mirror(tmp_path)) == 41


def test_a_large_file_that_was_cut_goes_on_where_it_was_both_ways(at, here, there, cuts, tmp_path, monkeypatch):
    for module in ("mirror", "openssh"):
        monkeypatch.setattr(f"pipeline.engine.{module}.RESUMED_BYTES", 500_000)
    at(here).push([])
    run = many(here, 1, 3_000_000)
    cuts.touch()
    with pytest.raises(MirrorError, match="the connection was cut"):
        at(here).push([run])
    [aside] = (tmp_path / "mirror" / "tmp").iterdir()
    assert 0 < aside.stat().st_size < 3_000_000
    begun = aside.stat().st_ino
    again(lambda: at(here).push([run]))
    [digest] = upkeep.files_in(here, run)
    assert (tmp_path / "mirror" / name_of(digest)).stat().st_ino == begun
    assert in_mirror(tmp_path)[tmp_path / "mirror" / name_of(digest)] == here.object_path(digest).read_bytes()
    at(there).adopt([run.name])
    with pytest.raises(MirrorError, match="the connection was cut"):
        at(there).fetch([digest])
    assert 0 < (there.root / "arriving" / digest).stat().st_size < 3_000_000
    again(lambda: at(there).fetch([digest]))
    assert there.object_path(digest).read_bytes() == here.object_path(digest).read_bytes()


def test_a_part_that_is_longer_than_its_file_is_no_part_of_it(at, here, there, monkeypatch):
    monkeypatch.setattr("pipeline.engine.openssh.RESUMED_BYTES", 1000)
    run = many(here, 1, 5000)
    at(here).push([run])
    at(there).adopt([run.name])
    [digest] = upkeep.files_in(here, run)
    (there.root / "arriving" / digest).write_bytes(b"?" * 6000)
    at(there).fetch([digest])
    assert there.object_path(digest).read_bytes() == here.object_path(digest).read_bytes()


def test_two_processes_of_a_store_that_send_one_large_file_do_not_mix_it(at, here, tmp_path, monkeypatch):
    for module in ("mirror", "openssh"):
        monkeypatch.setattr(f"pipeline.engine.{module}.RESUMED_BYTES", 500_000)
    at(here).push([])
    run, failed = many(here, 2, 3_000_000), []

    def push():
        try:
            at(here).push([run])
        except MirrorError as error:
            failed.append(error)

    threads = [threading.Thread(target=push) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    for digest in upkeep.files_in(here, run):
        assert in_mirror(tmp_path)[tmp_path / "mirror" / name_of(digest)] == here.object_path(digest).read_bytes()


@pytest.fixture
def folder(tmp_path):
    """Makes a mirror that is a folder: where the way does not matter."""
    return lambda store: Mirror(store, f"file://{tmp_path}/mirror")


def test_a_large_file_that_had_begun_to_arrive_goes_on_from_a_folder_too(folder, here, there, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.engine.transport.RESUMED_BYTES", 1000)
    run = many(here, 1, 5000)
    folder(here).push([run])
    folder(there).adopt([run.name])
    [digest] = upkeep.files_in(here, run)
    whole = here.object_path(digest).read_bytes()
    (part := there.root / "arriving" / digest).write_bytes(whole[:2000])
    path = tmp_path / "mirror" / name_of(digest)
    path.chmod(0o644)
    path.write_bytes(b"?" * 2000 + whole[2000:])  # Only what comes after the part is read.
    folder(there).fetch([digest])
    assert there.object_path(digest).read_bytes() == whole
    assert not part.exists()


@pytest.mark.parametrize("fault", ["damaged", "missing"])
def test_what_is_found_damaged_or_missing_is_sent_again_by_who_has_it(folder, here, there, tmp_path, fault):
    run = many(here, 2, 1000)
    folder(here).push([run])
    folder(there).adopt([run.name])
    digest = next(upkeep.files_in(here, run))
    path = tmp_path / "mirror" / name_of(digest)
    path.chmod(0o644)
    path.write_bytes(b"?" * 1000) if fault == "damaged" else path.unlink()
    with pytest.raises(MirrorError, match=rf"{digest[2:]} is {fault} in the mirror .*send it again"):
        folder(there).fetch([digest])
    assert folder(here).push([run]).objects == 1
    folder(there).fetch([digest])
    assert there.object_path(digest).read_bytes() == here.object_path(digest).read_bytes()
    assert folder(here).push([run]).objects == 0, "it is in doubt no more"


def test_what_cut_transfers_and_dead_jobs_left_goes_once_it_is_old(folder, here, tmp_path):
    mirror, run = folder(here), many(here, 2, 1000)
    mirror.push([run])
    (tmp_path / "mirror" / "tmp" / "left").write_bytes(b"half")
    mirror.write("state/job-toy.json", "{}")
    mirror.write("state/asks-toy.jsonl", "")
    keep = frozenset({run.name})
    mirror_gc.gc(mirror, keep, 1e6)
    assert mirror.read("state/job-toy.json"), "it is young"
    assert (tmp_path / "mirror" / "tmp" / "left").exists()
    mirror_gc.gc(mirror, keep, 0)
    assert not list((tmp_path / "mirror" / "tmp").iterdir())
    assert {path.name for path in (tmp_path / "mirror" / "state").iterdir()} == {"generation", "unreached.json"}
    assert mirror.runs() == [run.name]


def test_objects_of_somebodys_new_run_stay_however_long_nobody_named_them(folder, here, there):
    mine, theirs = many(here, 1, 1000), many(there, 2, 1000)
    objects = [theirs.output, *upkeep.files_in(there, theirs)]
    folder(there).push([], objects)
    mirror, keep = folder(here), frozenset({mine.name})
    mirror.push([mine])
    mirror_gc.gc(mirror, keep, 1e6)  # Here they are loose for the first time.
    folder(there).push([theirs])
    mirror_gc.gc(mirror, keep, 1e-9)
    reader = Store(here.root.parent / "reader")
    [taken] = folder(reader).adopt([theirs.name])
    assert folder(reader).fetch(upkeep.files_in(reader, taken)).objects == 2


@dataclass
class Meanwhile:
    """A transport in which somebody does something just after what is old was deleted."""

    real: Transport
    then: object

    def __getattr__(self, name):
        return getattr(self.real, name)

    def remove(self, names):
        names = list(names)
        self.real.remove(names)
        if any(name.startswith("objects/") for name in names) and self.then:
            then, self.then = self.then, None
            then()


def test_a_run_that_was_told_of_while_its_objects_were_deleted_is_not_left_without_them(folder, here, there):
    theirs = many(there, 2, 1000)
    folder(there).push([], [theirs.output, *upkeep.files_in(there, theirs)])
    mirror = folder(here)
    mirror_gc.gc(mirror, frozenset(), 1e6)
    mirror.transport = Meanwhile(mirror.transport, lambda: folder(there).push([theirs]))
    assert mirror_gc.gc(mirror, frozenset(), 0).objects == 3
    assert mirror.runs() == []
    folder(there).push([theirs])
    reader = Store(here.root.parent / "reader")
    [taken] = folder(reader).adopt([theirs.name])
    assert folder(reader).fetch(upkeep.files_in(reader, taken)).objects == 2
