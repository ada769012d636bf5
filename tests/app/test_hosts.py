"""The Hosts page on shows in every condition."""

import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def page(monkeypatch):
    def run(folder):
        monkeypatch.setenv("DAILIES_SHOW", str(folder))
        app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60).run()
        app.switch_page("views/hosts.py").run()
        assert not app.exception
        return app

    return run


def words(app):
    return "\n".join(each.value for each in (*app.markdown, *app.caption, *app.error))


def test_this_machine_is_shown_before_anything_ran(page, spies_copy):
    said = words(page(spies_copy))
    assert "**GPUs**" in said
    assert "No price is set" in said
    assert "**Running now**" in said


def test_a_price_that_is_set_is_shown(page, spies_copy):
    with (spies_copy / "show.toml").open("a") as file:
        file.write("\n[settings]\ngpu_price_per_hour = 2.5\n")
    assert "an hour of GPU" in words(page(spies_copy))


def test_a_show_that_was_run_is_shown(page, season):
    assert "**Running now**" in words(page(season().folder))


def busy_host(folder):
    """The card of a host with eight GPUs where a hundred jobs run and wait, drawn by itself."""
    from datetime import datetime
    from pathlib import Path

    from app.launch import machines
    from pipeline.gpus import Gpu
    from pipeline.host_state import HostJob
    from pipeline.hosts import Disk, Host, Machine
    from pipeline.show import open_show

    now = datetime.now().astimezone()
    gpus = [Gpu(n, "NVIDIA H100 80GB HBM3", 85 * 10**9, n * 10**10, n / 8, 300.0 + n, 60.0, ()) for n in range(8)]
    jobs = [HostJob(f"job-{n}-a`b", "running" if n < 8 else "waiting", now, "") for n in range(100)]
    host = Host(
        name="rented", place="rented", kind="GPU host under Ray", state="working", problem="",
        machine=Machine(128, 70.0, 10**12, 3 * 10**11, Disk("~/dailies", 10**13, 10**12)), gpus=tuple(gpus), no_gpu="",
        gpus_declared=8, gpus_used=8, slots="in 1 machine", running=(), working=(), queue=tuple(jobs), price=24.0,
        currency="$", spent=480.0, spent_seconds=72_000, idle_seconds=None, idle_after=1200,
    )  # fmt: skip
    machines.card(open_show(Path(folder)), host, None)


def test_a_host_with_a_hundred_jobs_shows_the_first_and_how_many_more(spies_copy):
    app = AppTest.from_function(busy_host, args=(str(spies_copy),)).run()
    assert not app.exception
    said = words(app)
    assert "88 more jobs" in said
    assert "**$480.00** so far" in said.replace("\\", "")
    assert said.count("since") == 12
    assert "`job-0-a'b`" in said


def test_a_broken_show_file_is_told(page, spies_copy):
    (spies_copy / "show.toml").write_text('name = "spies"\ncolour = 3\n')
    assert "cannot be read" in words(page(spies_copy))


def test_hosts_stand_below_this_machine_and_one_that_is_gone_says_so_without_delay(page, spies_copy):
    with (spies_copy / "show.toml").open("a") as file:
        file.write('\n[hosts.gpu]\naddress = "http://127.0.0.1:9"\nprice_per_hour = 2.5\n')
        file.write('[hosts.silent]\naddress = "http://203.0.113.1:8265"\ngpus = 4\nstop_command = "true"\n')
    app = page(spies_copy)
    said = words(app)
    assert "**:material/dns: gpu**" in said
    assert "for the whole host" in said
    assert any("host gpu does not answer" in each.value for each in app.warning)
    assert "stops it after 20 minutes" in said
    began = time.monotonic()
    app.run()
    assert time.monotonic() - began < 5  # The page itself takes a tenth of it; a host would be waited for longer.
