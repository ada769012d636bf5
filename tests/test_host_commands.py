"""`dailies host`: the files that it writes, as Ray itself reads them, and what people are told."""

import socket
import stat
from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from typer.testing import CliRunner

from pipeline import control, host_files
from pipeline.__main__ import app
from pipeline.places import HostTable

SHOW = 'name = "pilot"\n'


@pytest.fixture
def show(tmp_path):
    folder = tmp_path / "show"
    folder.mkdir()
    (folder / "show.toml").write_text(SHOW)
    return folder


def dailies(show, *words):
    done = CliRunner().invoke(app, ["host", *words, "--show", str(show)])
    return done.exit_code, done.output.replace("\n", " ")


def written(**table):
    there = host_files.files(Path("/show"), "gpu")
    return yaml.safe_load(host_files.cluster(HostTable(**table), "gpu", "pilot", there))


def test_ray_takes_the_written_file():
    found = prepare_config(written(ssh="ubuntu@203.0.113.7", ssh_port=22022))
    validate_config(found)
    assert found["auth"]["ssh_user"] == "ubuntu"
    assert found["provider"]["external_head_ip"] == "203.0.113.7"
    assert "/22022;" in found["auth"]["ssh_proxy_command"]


def test_a_key_is_not_named_since_ray_would_leave_it_on_the_server():
    assert set(written(ssh="ubuntu@gpu")["auth"]) == {"ssh_user"}


def test_ray_listens_on_loopback_with_a_token_and_gives_a_training_time_to_end():
    environment = host_files.environment(HostTable(folder="~/work"))
    assert "export RAY_AUTH_MODE=token\n" in environment
    assert 'export RAY_AUTH_TOKEN_PATH="$HOME/work/ray-token"\n' in environment
    assert "export RAY_JOB_STOP_WAIT_TIME_S=80\n" in environment
    (_, start) = written(ssh="ubuntu@gpu")["head_start_ray_commands"]
    assert "--dashboard-host=127.0.0.1" in start
    assert start.startswith(". ~/dailies/environment && ")


def test_the_packages_are_those_of_the_lock_by_the_script_of_make_setup():
    found = written(ssh="ubuntu@gpu")
    assert all(Path(path).is_file() for there, path in found["file_mounts"].items() if "requirements" in there)
    assert any("scripts/setup.py --link ~/dailies/env" in command for command in found["setup_commands"])


@pytest.mark.parametrize("table", [{"ssh": "u@h; reboot"}, {"ssh": "u@h", "folder": "a folder"}, {"ssh": "h"}, {}])
def test_what_a_shell_would_read_otherwise_is_refused(table):
    with pytest.raises(ValueError, match=r"\[hosts\.gpu\]"):
        written(**table)


def test_init_adds_the_table_and_keeps_the_rest_of_show_toml(show):
    (show / "show.toml").write_text(SHOW + '# ours\n[hosts.old]  # stays\nssh = "a@b"\n')
    code, said = dailies(show, "init", "gpu", "--ssh", "ubuntu@203.0.113.7", "--port", "2222", "--price", "2.5")
    assert code == 0, said
    text = (show / "show.toml").read_text()
    assert text.startswith(SHOW + "# ours\n[hosts.old]  # stays\n")
    hosts = control.open_show(show).file.hosts
    assert list(hosts) == ["old", "gpu"]
    assert (hosts["gpu"].ssh, hosts["gpu"].ssh_port, hosts["gpu"].price_per_hour) == ("ubuntu@203.0.113.7", 2222, 2.5)


def test_init_again_keeps_the_token_and_what_people_changed(show):
    dailies(show, "init", "gpu", "--ssh", "ubuntu@gpu")
    there = host_files.files(show, "gpu")
    token = there.token.read_text()
    there.cluster.write_text(there.cluster.read_text() + "# ours\n")
    assert dailies(show, "init", "gpu")[0] == 0
    assert there.token.read_text() == token
    assert there.cluster.read_text().endswith("# ours\n")


def test_the_token_is_for_this_user_only_and_is_the_one_that_jobs_are_sent_with(show, monkeypatch):
    dailies(show, "init", "gpu", "--ssh", "ubuntu@gpu")
    token = host_files.files(show, "gpu").token
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    table = control.open_show(show).file.hosts["gpu"]
    assert table.secret("gpu") == token.read_text()
    assert token.read_text() not in repr(table)
    monkeypatch.setenv("DAILIES_HOST_GPU_TOKEN", "another")
    assert table.secret("gpu") == "another"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("init", "gpu"), "no [hosts.gpu]: add it, or say --ssh user@machine"),
        (("init", "gpu", "--ssh", "gpu"), "user@machine"),
        (("init", "GPU", "--ssh", "u@gpu"), "hosts"),
        (("up", "gpu"), "`dailies host init gpu --ssh user@machine`"),
        (("status", "gpu"), "no [hosts.gpu]"),
    ],
)
def test_what_is_missing_is_said_and_show_toml_stays(show, words, told):
    code, said = dailies(show, *words)
    assert (code, told in said) == (2, True), said
    assert (show / "show.toml").read_text() == SHOW


def test_a_host_that_does_not_answer_is_one_line_with_the_remedy(show):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    (show / "show.toml").write_text(f'{SHOW}[hosts.gpu]\naddress = "{address}"\n')
    code, said = dailies(show, "status", "gpu")
    assert code == 2
    assert "dailies host ssh-tunnel gpu" in said
