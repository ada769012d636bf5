"""What the doctor says of training, with cards that are put in the driver's place; and of hosts and the mirror."""

from types import SimpleNamespace

import pytest

from pipeline import doctor, gpus
from pipeline.gpus import Found, Gpu
from pipeline.show import open_show


@pytest.fixture
def show(tmp_path):
    (tmp_path / "episodes").mkdir()
    (tmp_path / "show.toml").write_text('name = "mine"\n[steps.step5-wan21-train]\nprofile = "tiny"\n')
    return open_show(tmp_path)


def said(show, monkeypatch, gigabytes=None):
    cards = () if gigabytes is None else (Gpu(0, "A card", int(gigabytes * 1e9), 0, None, None, None, ()),)
    monkeypatch.setattr(gpus, "here", lambda: Found(cards))
    return {check.name: check for check in doctor._training(show)}


def test_small_random_weights_need_no_gpu_and_the_true_ones_do(show, monkeypatch):
    found = said(show, monkeypatch)
    assert found["train Wan2.1"].level == "ok"
    assert (found["train LTX-2"].level, found["train LTX-2"].finding.split(";")[0]) == ("warning", "no GPU here")
    assert 'profile = "tiny"' in found["train LTX-2"].remedy


@pytest.mark.parametrize(
    ("gigabytes", "level", "words"),
    [(24, "warning", "has 24 GB"), (32, "ok", "fits in 8 bits, not in bf16"), (80, "ok", "fits in bf16")],
)
def test_what_a_card_can_hold_is_said_roughly(show, monkeypatch, gigabytes, level, words):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**12))
    found = said(show, monkeypatch, gigabytes)["train LTX-2"]
    assert found.level == level
    assert words in found.finding
    assert "8 checkpoints of rank 32 take about 24.0 GB of 1000.0 GB free" in found.finding


def test_a_disk_that_cannot_hold_the_checkpoints_is_told(show, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    found = said(show, monkeypatch, 80)["train LTX-2"]
    assert found.level == "warning"
    assert "raise checkpoint_every" in found.remedy


def test_of_another_model_nothing_is_reckoned(show, monkeypatch):
    with (show.folder / "show.toml").open("a") as file:
        file.write('[steps.step5-ltx2-train]\nmodel = "./mine"\n')
    found = said(open_show(show.folder), monkeypatch, 80)["train LTX-2"]
    assert found.finding.startswith("A card has 80 GB; ")


def examined(show):
    return {check.name: check for check in doctor.examine(show)}


def test_a_host_and_a_mirror_that_do_not_answer_are_told_with_their_remedies(show):
    text = (show.folder / "show.toml").read_text()
    host = '[hosts.gpu]\naddress = "http://127.0.0.1:9"\n'
    (show.folder / "show.toml").write_text(f"{text}{host}")
    found = examined(open_show(show.folder))
    assert (found["host gpu"].level, found["host gpu"].remedy[:12]) == ("error", "set `mirror`")
    assert (found["gpu"].level, found["train LTX-2"].level) == ("ok", "ok"), "what is not here is there"
    assert "mirror" not in found
    (show.folder / "show.toml").write_text(f'{text}{host}[settings]\nmirror = "sftp://nobody@127.0.0.1:9/m"\n')
    found = examined(open_show(show.folder))
    assert (found["host gpu"].level, "dailies host up gpu" in found["host gpu"].remedy) == ("error", True)
    assert (found["mirror"].level, "nothing listens there" in found["mirror"].remedy) == ("error", True)


def test_a_mirror_that_answers_tells_what_it_has(show, tmp_path):
    with (show.folder / "show.toml").open("a") as file:
        file.write(f'[settings]\nmirror = "file://{tmp_path}/mirror"\n')
    found = examined(open_show(show.folder))["mirror"]
    assert (found.level, found.finding.split(";")[1]) == ("ok", " finished runs there: 0")
