import pytest
import torch
from typer.testing import CliRunner

from pipeline.lora_commands import app
from pipeline.training import export
from pipeline.training.export import About


@pytest.fixture
def files(tmp_path):
    made = []
    for number, base in enumerate(("someone/wan", "someone/wan", "someone/else")):
        made.append(tmp_path / f"{number}.safetensors")
        state = {f"blocks.{b}.attn1.to_q.lora_{s}.weight": torch.ones(2, 2) for b in (0, 1) for s in "AB"}
        export.save(made[-1], state, About(kind="wan21", base=base, trigger=f"t{number}", step=20))
    return list(map(str, made))


def test_a_merged_lora_is_shown_with_what_it_was_merged_of(files, tmp_path):
    target = str(tmp_path / "sum.safetensors")
    done = CliRunner().invoke(app, ["merge", *files[:2], "--weights", "0.5,2", "-o", target])
    assert (done.exit_code, done.output.splitlines()[0].endswith("rank 4, 100.0% of the sum")) == (0, True)
    shown = CliRunner().invoke(app, ["show", target]).output
    assert "0.5 x 0.safetensors (trigger t0, step 20)" in shown
    assert "base      someone/wan" in shown
    again = CliRunner().invoke(app, ["merge", *files[:2], "-o", target])
    assert (again.exit_code, "is there already" in again.output) == (2, True)


def test_what_cannot_be_merged_or_read_ends_with_a_message(files, tmp_path):
    target = str(tmp_path / "sum.safetensors")
    done = CliRunner().invoke(app, ["merge", files[0], files[2], "-o", target])
    assert (done.exit_code, "only LoRAs of one model" in done.output) == (2, True)
    done = CliRunner().invoke(app, ["merge", *files[:2], "--weights", "much", "-o", target])
    assert (done.exit_code, "numbers with commas" in done.output) == (2, True)
    (tmp_path / "no").write_bytes(b"no")
    assert CliRunner().invoke(app, ["show", str(tmp_path / "no")]).exit_code == 2
    assert not (tmp_path / "sum.safetensors").exists()
