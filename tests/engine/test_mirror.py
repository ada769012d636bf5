"""The mirror, on a real sshd and on a plain folder: what goes over, what comes back, what survives."""

import re
import shutil
import threading
from pathlib import Path

import pytest

from benchmarks.loopback_ssh import SSHD, sshd
from benchmarks.mirror import fill
from pipeline.engine import mirror_gc, upkeep
from pipeline.engine.mirror import Fetcher, Mirror
from pipeline.engine.openssh import OpenSsh
from pipeline.engine.store import Store
from pipeline.engine.transport import MirrorError, transport

SMALL = 200_000  # bytes of a run's files


@pytest.fixture(scope="module")
def ssh_config(tmp_path_factory):
    if not Path(SSHD).exists():
        pytest.skip("no sshd (Debian: apt-get install openssh-server)")
    with sshd(tmp_path_factory.mktemp("sshd")) as config:
        yield config


@pytest.fixture(params=["sftp", "file"])
def at(request, tmp_path):
    """Makes a mirror of a store, at one address for all of a test's stores."""
    config = request.getfixturevalue("ssh_config") if request.param == "sftp" else None
    url = f"sftp://mirror{tmp_path}/mirror" if config else f"file://{tmp_path}/mirror"
    return lambda store: Mirror(store, url, config)


@pytest.fixture
def here(tmp_path):
    return Store(tmp_path / "here")


@pytest.fixture
def there(tmp_path):
    return Store(tmp_path / "there")


def small(store, begin=3):
    """A run of a few files; where numbering begins decides how long they are."""
    return fill(store, SMALL, begin=begin)


def contents(store, run):
    return {f.name: store.path_of(f).read_bytes() for f in upkeep.files_of_output(store, run)}


def test_only_what_the_mirror_lacks_goes_over(at, here):
    mirror, first = at(here), small(here)
    sent = mirror.push([first])
    assert (sent.runs, sent.present) == (1, 0)
    assert sent.size_bytes >= SMALL
    again = mirror.push([first])
    assert (again.objects, again.size_bytes, again.runs) == (0, 0, 0)
    second = fill(here, 5000, begin=1_000_003)
    more = mirror.push([first, second])
    assert more.runs == 1
    assert more.size_bytes < SMALL


def test_another_store_takes_a_run_over_and_files_come_when_they_are_opened(at, here, there):
    run = small(here)
    at(here).push([run])
    other = at(there)
    assert other.runs() == [run.name]
    (taken,) = other.adopt(other.runs())
    assert there.head(run.step, run.unit) == taken == run
    files = list(upkeep.files_of_output(there, run))
    assert all(there.has(file) and not there.object_path(file.digest).exists() for file in files)
    assert upkeep.verify(there) == []
    with pytest.raises(KeyError, match="store pull"):
        there.path_of(files[0])
    there.fetch = Fetcher(there, other.url, other.ssh_config)
    assert contents(there, run) == contents(here, run)
    there.link_files(run, files)
    assert (there.run_path(run.name) / "files" / files[0].name).read_bytes() == here.path_of(files[0]).read_bytes()


def test_what_stands_in_a_store_is_not_replaced_by_what_others_made(at, here, there):
    mine, other = small(there), fill(here, SMALL, begin=3)
    assert (mine.step, mine.unit) == (other.step, other.unit)
    at(here).push([other])
    at(there).adopt([other.name])
    assert there.head(mine.step, mine.unit) == mine


def test_bytes_that_were_damaged_in_the_mirror_never_come_into_a_store(at, here, there, tmp_path):
    run = small(here)
    at(here).push([run])
    at(there).adopt([run.name])
    digest = next(upkeep.files_in(there, run))
    path = tmp_path / "mirror" / "objects" / digest[:2] / digest[2:]
    path.chmod(0o644)
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(MirrorError, match="is damaged"):
        at(there).fetch([digest])
    assert not there.object_path(digest).exists()


def test_what_goes_missing_in_the_mirror_is_told_by_its_address(at, here, there, tmp_path):
    run = small(here)
    at(here).push([run])
    at(there).adopt([run.name])
    shutil.rmtree(tmp_path / "mirror" / "objects")
    with pytest.raises(MirrorError, match="mirror"):
        at(there).fetch(list(upkeep.files_in(there, run)))


def test_objects_that_no_run_reaches_go_at_the_second_collection_and_come_back_when_pushed(at, here):
    mirror, kept, old = at(here), small(here), fill(here, 5000, begin=1_000_003)
    mirror.push([kept, old])
    assert mirror_gc.gc(mirror, frozenset({kept.name}), 1e6).objects == 0
    assert mirror_gc.gc(mirror, frozenset({kept.name}), 0, dry=True).runs == 1
    assert len(mirror.runs()) == 2
    gone = mirror_gc.gc(mirror, frozenset({kept.name}), 0)
    assert gone.runs == 1
    assert gone.objects == len({old.output, *upkeep.files_in(here, old)})
    assert mirror.runs() == [kept.name]
    # This store remembers that it pushed them; that they were deleted since does not escape it.
    assert at(here).push([kept, old]).objects == gone.objects


def test_several_writers_push_the_same_and_their_own_at_once(at, tmp_path):
    stores = [Store(tmp_path / f"writer{number}") for number in range(3)]
    runs = [[small(store), fill(store, 5000, begin=1_000_003 + 10 * number)] for number, store in enumerate(stores)]
    failed = []

    def push(store, its):
        try:
            at(store).push(its)
        except MirrorError as error:
            failed.append(error)

    threads = [threading.Thread(target=push, args=each) for each in zip(stores, runs, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    reader = Store(tmp_path / "reader")
    mirror = at(reader)
    taken = mirror.adopt(mirror.runs())
    assert {run.name for run in taken} == {run.name for its in runs for run in its}
    mirror.fetch(digest for run in taken for digest in upkeep.files_in(reader, run))
    assert upkeep.verify(reader) == []


def test_a_transfer_that_was_cut_goes_on_where_it_was(ssh_config, here, there, tmp_path, monkeypatch):
    for module in ("mirror", "openssh"):
        monkeypatch.setattr(f"pipeline.engine.{module}.RESUMED_BYTES", 1000)
    run = small(here)
    mirror = Mirror(here, f"sftp://mirror{tmp_path}/mirror", ssh_config)
    digest = max(upkeep.files_in(here, run), key=here.size)
    whole = here.object_path(digest).read_bytes()
    mirror.push([])  # The folders are there.
    writer = (here.root / "mirrors" / "writer").read_text()
    begun = tmp_path / "mirror" / "tmp" / f"objects-{digest[:2]}-{digest[2:]}-{writer}"
    begun.write_bytes(whole[:20_000])
    stamp = begun.stat().st_ino
    mirror.push([run])
    arrived = tmp_path / "mirror" / "objects" / digest[:2] / digest[2:]
    assert arrived.read_bytes() == whole
    assert arrived.stat().st_ino == stamp  # Not begun anew.
    other = Mirror(there, mirror.url, ssh_config)
    other.adopt([run.name])
    (there.root / "arriving").mkdir(exist_ok=True)
    (there.root / "arriving" / digest).write_bytes(
        b"?" * 10_000
    )  # What is there of it is wrong: found, and fetched anew.
    other.fetch([digest])
    assert there.object_path(digest).read_bytes() == whole


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda config: config + "  User nobody-here\n", "does not let us in"),
        (lambda config: re.sub(r"Port \d+", "Port 1", config), "nothing listens there"),
        (lambda config: config.replace("HostName 127.0.0.1", "HostName no-such-host.invalid"), "no such host"),
    ],
)
def test_a_mirror_that_cannot_be_reached_is_told_with_its_remedy(ssh_config, here, tmp_path, change, words):
    text = change(ssh_config.read_text())
    config = tmp_path / "config"
    config.write_text(text)
    mirror = Mirror(here, f"sftp://mirror{tmp_path}/elsewhere", config)
    with pytest.raises(MirrorError, match=words):
        mirror.push([small(here)])


def test_addresses_that_cannot_be_used_are_refused():
    with pytest.raises(MirrorError, match="no address of a folder"):
        OpenSsh.at("sftp://host", None, "")
    with pytest.raises(MirrorError, match="a password has no place"):
        OpenSsh.at("sftp://me:secret@host/folder", None, "")
    with pytest.raises(MirrorError, match="cannot be used"):
        transport("gopher://host/folder")
    assert OpenSsh.at("sftp://me@host:2222/~/a%20b", None, "").root == "a b"


def test_a_missing_sftp_program_is_told(monkeypatch, here):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MirrorError, match="install openssh-client"):
        Mirror(here, "sftp://host/folder").push([])


def test_the_benchmark_measures_both_sides(tmp_path, monkeypatch):
    if shutil.which("rsync") is None:
        pytest.skip("no rsync")
    from benchmarks import mirror

    monkeypatch.setattr(mirror, "ROUNDS", 1)
    monkeypatch.setattr(mirror, "SIZES", (40_000, 4_000))
    assert mirror.measure(tmp_path, 300_000)["first_ratio"] > 0
