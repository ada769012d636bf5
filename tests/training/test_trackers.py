from types import SimpleNamespace

import pytest

from pipeline.schemas.training import HoldoutLoss, Metric, Resumed
from pipeline.training import trackers

LOG = [
    Metric(step=step, of=3, loss=1 / step, lr=1e-4, grad_norm=0.5, step_seconds=2.0, tokens=100, epoch=step / 2,
           bands={3: 0.25}, gpu_memory_bytes=2**31, gpu_use_percent=90.0)
    for step in (1, 2, 3)
]  # fmt: skip
HOLDOUT = [HoldoutLoss(step=0, loss=1.0), HoldoutLoss(step=3, loss=0.5, bands={9: 0.75})]


def test_tensorboard_reads_every_figure_at_its_step(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for folder in ("a", "b"):
        trackers.tensorboard(tmp_path / folder / trackers.EVENTS, LOG, HOLDOUT)
    events = EventAccumulator(str(tmp_path / "a" / "tensorboard")).Reload()
    scalars = {tag: [(each.step, each.value) for each in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert scalars["train/loss"] == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    assert scalars["train_loss_by_sigma/0.3-0.4"] == [(1, 0.25), (2, 0.25), (3, 0.25)]
    assert scalars["holdout/loss"] == [(0, 1.0), (3, 0.5)]
    assert scalars["holdout_loss_by_sigma/0.9-1.0"] == [(3, 0.75)]
    assert scalars["speed/tokens_per_second"][0] == (1, 50.0)
    assert scalars["gpu/memory_gib"][0] == (1, 2.0)
    assert [each.wall_time for each in events.Scalars("train/loss")] == [2.0, 4.0, 6.0]
    assert len({(tmp_path / folder / trackers.EVENTS).read_bytes() for folder in ("a", "b")}) == 1


def test_a_training_without_gpu_has_no_figures_of_one():
    bare = LOG[0].model_copy(update={"gpu_memory_bytes": None, "gpu_use_percent": None, "step_seconds": 0.0})
    assert not [tag for tag in trackers.figures(bare) if tag.startswith("gpu/") or "tokens" in tag]


def test_a_service_gets_the_figures_as_they_come_and_goes_on_with_its_run():
    calls = []
    service = SimpleNamespace(
        init=lambda **given: calls.append(given),
        log=lambda found, step: calls.append((step, found)),
        finish=lambda: calls.append("finished"),
    )
    tracker = trackers.Tracker(service, "wandb", "spies-ltx2-12ab", {"rank": 4})
    for told in (LOG[0], HOLDOUT[1], Resumed(step=2)):
        tracker.see(told)
    tracker.close()
    begun, metric, holdout, finished = calls
    assert begun == {
        "project": "dailies", "name": "spies-ltx2-12ab", "id": "spies-ltx2-12ab", "resume": "allow",
        "config": {"rank": 4},
    }  # fmt: skip
    assert metric == (1, trackers.figures(LOG[0]))
    assert holdout[0] == 3
    assert finished == "finished"


def test_a_service_that_is_not_installed_is_said_before_training():
    with pytest.raises(ValueError, match="pip install nowhere"):
        trackers.check(["nowhere"])
