"""A real training, run by the engine's worker, that is ended by SIGTERM and asked for again."""

import json
import signal
import time

import pytest

from pipeline.engine import code
from pipeline.engine.events import Events
from pipeline.engine.run import LocalExecutor
from pipeline.engine.store import Store
from pipeline.engine.work import Workspace
from pipeline.engine.worker import Job
from pipeline.schemas.training import Lora
from pipeline.steps import step5_ltx2_train, step5_wan21_train

from .test_step5_ltx2_train import config, precomputed
from .test_step5_wan21_train import config as wan21_config
from .test_step5_wan21_train import package

STEPS = 40


QUICK = {"steps": STEPS, "checkpoint_every": STEPS, "sample_clips": 0}
DRAWN = {"caption_dropout": 0.5, "lora_dropout": 0.1, "ema": 0.9}


def ltx2(store, work):
    return config(**QUICK, **DRAWN), {"step4-ltx2-preprocess": store.put(precomputed(work, held_out=0))}


def wan21(store, work):
    return wan21_config(**QUICK, **DRAWN), {"step3-wan21-package": store.put(package(work))}


MADE = {step5_ltx2_train: ltx2, step5_wan21_train: wan21}


def job(root, cache, module):
    """One of the real DAG, in a store of its own that holds the dataset."""
    scratch = root / "scratch"
    scratch.mkdir(parents=True)
    store, name = Store(root / "store"), module.run.name
    asked, inputs = MADE[module](store, Workspace(store, scratch, cache, "before", "0" * 64, Events(None)))
    recipe = {"step": name, "version": 1, "config": asked.model_dump(mode="json"), "inputs": inputs}
    return Job(
        registry="pipeline.dag", show="toy", step=name, unit="show", name="one",
        recipe={**recipe, "code": code.digests(module)},
        memo_code="0" * 64, store=root / "store", cache=cache, events=root / "events.jsonl",
    )  # fmt: skip


def told(job, kind):
    lines = job.events.read_text().splitlines() if job.events.exists() else []
    return [line for line in map(json.loads, lines) if line["event"] == kind]


@pytest.mark.parametrize("module", MADE, ids=["ltx2", "wan21"])
def test_ended_by_sigterm_a_training_keeps_where_it_is_and_comes_to_the_same_weights(module, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # How sums are shared among threads changes their last bits.
    ended, whole = (job(tmp_path / name, tmp_path / "cache", module) for name in ("ended", "whole"))
    with LocalExecutor() as executor:
        future = executor.submit(ended, "cpu")
        deadline = time.monotonic() + 600
        while len(told(ended, "metric")) < 3:
            assert not future.done(), future.result()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        (worker,) = executor._all
        worker.send_signal(signal.SIGTERM)
        assert future.result(60).error.startswith("stopped at step ")
        assert worker.wait(60) == 0
    (kept,) = told(ended, "checkpoint")
    assert 3 <= kept["at_step"] < STEPS
    assert not Store(ended.store).failure_path(ended.step, ended.unit).exists()
    with LocalExecutor() as executor:
        loras = []
        for each in (ended, whole):
            answer = executor.submit(each, "cpu").result(120)
            assert answer.error is None
            loras.append(Store(each.store).get(answer.run.output, Lora))
    assert [each["at_step"] for each in told(ended, "resumed")] == [kept["at_step"]]
    assert told(whole, "resumed") == []
    assert [each.step for each in loras[0].checkpoints] == [kept["at_step"], STEPS]
    assert loras[0].weights.digest == loras[1].weights.digest
    assert loras[0].usage == loras[1].usage
