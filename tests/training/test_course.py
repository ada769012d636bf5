"""What every training does besides its maths, on LTX-2's small model: going on, keeping, judging, ending."""

import json
import multiprocessing
import os
import signal
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pipeline.engine.events import Events, Reader
from pipeline.engine.run import REQUESTS
from pipeline.engine.work import StoppedError
from pipeline.schemas.training import Sampled
from pipeline.training import blocks, export, lora, ltx2, wan21
from pipeline.training.batches import Order
from pipeline.training.planning import Speed
from pipeline.training.processes import World, together
from pipeline.training.randomness import generator
from pipeline.training.trackers import Tracker

from . import tiny, tiny_wan21


def trained(root, asked, work=None, **more):
    work = work or tiny.workspace(root)
    return ltx2.train(asked, World(), tiny.hands(work, asked, **more))


def told(root, event):
    lines = (json.loads(line) for line in (root / "events.jsonl").read_text().splitlines())
    return [line for line in lines if line["event"] == event]


def weights(root, checkpoint):
    return (root / "store" / "objects" / checkpoint.weights.digest[:2] / checkpoint.weights.digest[2:]).read_bytes()


def state(root, checkpoint):
    path = root / "store" / "objects" / checkpoint.state.digest[:2] / checkpoint.state.digest[2:]
    return torch.load(path, weights_only=True)


def same(one, other):
    """Whether two states of training are the same to the last bit, apart from how long steps took."""
    if isinstance(one, torch.Tensor):
        return one.equal(other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one if key != "log")
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def test_the_loss_falls(tmp_path):
    found = trained(tmp_path, tiny.training(tmp_path / "data", steps=25, learning_rate=2e-2))
    first, last = found.holdout
    assert (first.step, last.step) == (0, 25)
    assert last.loss < 0.95 * first.loss


def test_settled_on_disk_is_what_the_model_says(tmp_path):
    asked = tiny.training(tmp_path / "data", steps=3)
    found = trained(tmp_path, asked)
    path = tmp_path / "lora.safetensors"
    path.write_bytes(weights(tmp_path, found.best))
    lora, about = export.load(path)
    assert (about.step, len(lora)) == (3, 2 * 2 * 6 * 4)


def test_each_sample_of_a_step_weighs_the_same_whichever_batch_it_is_in(tmp_path):
    """Two of one shape make a batch, the third is alone in another."""
    settings = {"steps": 1, "batch_size": 2, "accumulation": 2, "clip": 1e9}
    asked = tiny.training(tmp_path / "data", clips=3, held_out=0, **settings)
    (figures,) = map(json.loads, trained(tmp_path, asked).log)
    objective, transformer, seed = ltx2.Objective(asked), asked.load(torch.float32), asked.config.seed
    parameters = lora.attach(transformer, rank=4, alpha=4, targets=asked.config.targets, seed=seed)
    batches = Order(objective.shapes, 2, 2, seed).step(1)
    assert sorted(map(len, batches)) == [1, 2]
    losses = []
    for place, batch in enumerate(batches):
        drawn = objective.draw(batch, [generator(seed, "sample", 1, place, at) for at in range(len(batch))])
        losses.append(objective.losses(transformer, drawn))
    loss = torch.cat(losses).mean()
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    assert figures["loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert figures["grad_norm"] == pytest.approx(
        torch.cat([each.flatten() for each in gradients]).norm().item(), rel=1e-4
    )


SETTINGS = {"steps": 20, "checkpoint_every": 10, "caption_dropout": 0.5, "ema": 0.9, "lora_dropout": 0.1}


def twenty_steps(root: Path, kind: str):
    if kind == "wan21":
        return tiny_wan21.training(root / "data", **SETTINGS)
    return tiny.training(root / "data", first_frame=0.5, **SETTINGS)


def go(root: Path, kind: str) -> None:
    """In a process of its own, slowly enough to be ended."""
    torch.set_num_threads(1)
    asked = twenty_steps(root, kind)
    learn(root, kind, replace(asked, load=partial(tiny.slow, 0.02, asked.load)))


def learn(root: Path, kind: str, asked):
    module = ltx2 if kind == "ltx2" else wan21
    return module.train(asked, World(), tiny.hands(tiny.workspace(root), asked, kind=kind))


@pytest.mark.parametrize("kind", ["ltx2", "wan21"])
def test_killed_at_any_moment_training_goes_on_to_the_same_weights(kind, tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=go, args=(tmp_path / "killed", kind))
    (tmp_path / "killed").mkdir()
    process.start()
    deadline = time.monotonic() + 120
    events = tmp_path / "killed" / "events.jsonl"
    while not (events.exists() and len(told(tmp_path / "killed", "metric")) >= 12):
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    asked = twenty_steps(tmp_path / "killed", kind)
    assert told(tmp_path / "killed", "resumed") == []
    (kept,) = told(tmp_path / "killed", "checkpoint")
    after = learn(tmp_path / "killed", kind, asked)
    whole = learn(tmp_path / "whole", kind, asked)
    (resumed,) = told(tmp_path / "killed", "resumed")
    assert resumed["at_step"] == 10
    assert [each.step for each in after.checkpoints] == [10, 20]
    first = after.checkpoints[0]  # The one that was there: kept, not made again.
    assert (first.weights.digest, first.state.digest) == (kept["weights"]["digest"], kept["state"]["digest"])
    assert [each["at_step"] for each in told(tmp_path / "killed", "checkpoint")] == [10, 20]
    for one, other in zip(after.checkpoints, whole.checkpoints, strict=True):
        assert weights(tmp_path / "killed", one) == weights(tmp_path / "whole", other)
        assert same(state(tmp_path / "killed", one), state(tmp_path / "whole", other))
    assert after.holdout == whole.holdout
    assert after.usage == whole.usage
    assert len(after.log) == 20


def test_ended_on_request_training_keeps_where_it_is_and_goes_on_from_there(tmp_path):
    asked = tiny.training(tmp_path / "data", held_out=0, steps=6)
    work = tiny.workspace(tmp_path)
    work.stopping.asked.set()
    with pytest.raises(StoppedError, match="stopped at step 1 as was asked"):
        trained(tmp_path, asked, work)
    found = trained(tmp_path, asked)
    assert [each.step for each in found.checkpoints] == [1, 6]
    assert [each["at_step"] for each in told(tmp_path, "resumed")] == [1]
    assert [json.loads(line)["step"] for line in found.log] == [1, 2, 3, 4, 5, 6]


def test_what_people_ask_for_is_done_after_the_step(tmp_path):
    def sample(transformer, prompt, step):
        torch.manual_seed(5)  # Whatever samples draw, training goes on as if there were none.
        path = work.scratch / "video.mp4"
        path.write_bytes(f"{step}".encode())
        return Sampled(step=step, prompt=prompt, text="A spy.", seed=1, video=work.keep(path))

    asked = tiny.training(tmp_path / "data", steps=4, lora_dropout=0.1, sample_every=0)
    work = tiny.workspace(tmp_path)
    work.requests = Reader.at_end(tmp_path / REQUESTS)
    requests = Events(tmp_path / REQUESTS)
    requests.emit("asked", step="step5-wan21-train", ask="save", by="somebody")
    requests.emit("asked", step=work.step, ask="sample", by="somebody")
    found = trained(tmp_path, asked, work, prompts=("A spy.",), sample=sample)
    assert [(each.step, each.prompt) for each in found.samples] == [(0, 0), (1, 0), (4, 0)]
    assert [each.step for each in found.checkpoints] == [1, 4]
    (tmp_path / "plain").mkdir()
    plain = trained(tmp_path / "plain", asked)
    assert weights(tmp_path, found.best) == weights(tmp_path / "plain", plain.best)


def test_a_sample_that_cannot_be_made_ends_no_training_and_is_told_once(tmp_path):
    def sample(transformer, prompt, step):
        if prompt == 0:
            raise RuntimeError("Padding size should be less than the input")
        path = tmp_path / "scratch" / "video.mp4"
        path.write_bytes(b"made")
        return Sampled(step=step, prompt=prompt, text="A spy.", seed=1, video=work.keep(path))

    work = tiny.workspace(tmp_path)
    asked = tiny.training(tmp_path / "data", steps=2, held_out=0)
    found = trained(tmp_path, asked, work, prompts=("broken", "A spy."), sample=sample)
    assert [each.step for each in found.checkpoints] == [2]
    assert [(each.step, each.prompt) for each in found.samples] == [(0, 1), (2, 1)]
    said = [line["message"] for line in told(tmp_path, "log") if "no sample" in line["message"]]
    assert [words.split(":")[0] for words in said] == ["step 0", "step 2"]
    assert said[0].endswith("RuntimeError: Padding size should be less than the input")


def service(calls, log):
    """What W&B's and trackio's packages have alike."""
    return SimpleNamespace(init=lambda **given: calls.append("begun"), log=log, finish=lambda: calls.append("finished"))


def test_trackers_hear_every_figure_as_it_comes_and_one_that_fails_ends_no_training(tmp_path):
    calls, failing = [], []

    def fail(figures, step):
        raise ConnectionError("nobody answers")

    trackers = [
        Tracker(service(calls, lambda figures, step: calls.append((step, *figures))), "wandb", "run", {}),
        Tracker(service(failing, fail), "trackio", "run", {}),
    ]
    asked = tiny.training(tmp_path / "data", steps=2)
    found = trained(tmp_path, asked, trackers=trackers)
    assert [call[:2] for call in calls[1:-1]] == [
        (0, "holdout/loss"), (1, "train/loss"), (2, "train/loss"), (2, "holdout/loss"),
    ]  # fmt: skip
    assert (calls[0], calls[-1]) == ("begun", "finished")
    assert failing == ["begun"]
    (said,) = [line["message"] for line in told(tmp_path, "log") if "nobody answers" in line["message"]]
    assert said.startswith("trackio gets no more figures")
    assert [each.step for each in found.holdout] == [0, 2]


def test_a_clip_whose_latents_are_broken_is_named_and_the_last_good_checkpoint_stays(tmp_path):
    asked = tiny.training(tmp_path / "data", clips=3, held_out=0, steps=30, checkpoint_every=1)
    broken = torch.load(asked.clips[1].latents)
    torch.save({**broken, "latents": broken["latents"] * float("nan")}, asked.clips[1].latents)
    work = tiny.workspace(tmp_path)
    with pytest.raises(ValueError, match=r"loss is not a number any more; it was at clip1 \(sigma"):
        trained(tmp_path, asked, work)
    for kept in told(tmp_path, "checkpoint"):
        found = torch.load(work.store.object_path(kept["state"]["digest"]), weights_only=True)
        assert all(each.isfinite().all() for each in found["parameters"].values())


def test_a_step_whose_loss_leaps_stops_as_the_setting_says(tmp_path):
    """With a leap set at half of what is usual, the first step that can be judged is one; with 0, none is."""
    noisy = {"sampler": "logit_normal", "shift": 1e6, "batch_size": 2, "learning_rate": 1e-6}  # All in the last band.
    asked = tiny.training(tmp_path / "data", clips=2, held_out=0, steps=13, checkpoint_every=2, **noisy, spike=0.5)
    with pytest.raises(
        ValueError, match=r"step 11: the loss is .* is usual; it was at clip.*checkpoints before it are"
    ):
        trained(tmp_path, asked)
    assert [each["at_step"] for each in told(tmp_path, "checkpoint")] == [2, 4, 6, 8, 10]
    assert trained(tmp_path, tiny.shortened(asked, spike=0)).best.step == 13


def test_an_optimizer_in_8_bits_goes_on_from_its_checkpoint_to_the_same_weights(tmp_path):
    settings = {"held_out": 0, "steps": 4, "checkpoint_every": 2, "speed": Speed(optimizer="adamw8bit"), "rank": 16}
    asked = tiny.training(tmp_path / "data", **settings)
    whole = trained(tmp_path, asked)
    (tmp_path / "ended").mkdir()
    trained(tmp_path / "ended", tiny.shortened(asked, steps=2))
    ended = trained(tmp_path / "ended", asked)
    assert [each["at_step"] for each in told(tmp_path / "ended", "resumed")] == [2]
    assert weights(tmp_path / "ended", ended.best) == weights(tmp_path, whole.best)


def test_the_best_checkpoint_is_the_one_that_the_held_out_clips_like(tmp_path):
    found = trained(tmp_path, tiny.training(tmp_path / "data", steps=6, checkpoint_every=2, learning_rate=1.0))
    losses = {each.step: each.loss for each in found.holdout}
    assert list(losses) == [0, 2, 4, 6]
    assert found.best.step == min((2, 4, 6), key=lambda step: losses[step])


def test_hold_out_losses_compare_between_trainings(tmp_path):
    base = []
    for number, changed in enumerate([{"seed": 1}, {"seed": 2, "batch_size": 2, "rank": 2}]):
        asked = tiny.training(tmp_path / "data", steps=1, **changed)
        (tmp_path / str(number)).mkdir()
        base.append(trained(tmp_path / str(number), asked).holdout[0])
    assert base[0] == base[1]


def test_the_average_is_what_is_judged_and_given_away(tmp_path):
    asked = tiny.training(tmp_path / "data", steps=3, ema=0.9)
    found = trained(tmp_path, asked)
    kept = state(tmp_path, found.best)
    averages = dict(zip(kept["parameters"], kept["average"], strict=True))
    path = tmp_path / "lora.safetensors"
    path.write_bytes(weights(tmp_path, found.best))
    lora, _ = export.load(path)
    name = "transformer_blocks.0.attn1.to_q.lora_B"
    assert lora[f"{name}.weight"].equal(averages[f"{name}.default.weight"].bfloat16())
    assert not averages[f"{name}.default.weight"].equal(kept["parameters"][f"{name}.default.weight"])


@pytest.mark.parametrize(("make", "kind"), [(tiny.training, ltx2), (tiny_wan21.training, wan21)], ids=["ltx2", "wan21"])
def test_two_processes_learn_what_one_does_with_accumulation(make, kind, tmp_path):
    settings = {"accumulation": 2, "batch_size": 2, "checkpoint_every": 2}
    asked = make(tmp_path / "data", clips=5, held_out=1, steps=4, **settings)
    name = "ltx2" if kind is ltx2 else "wan21"
    one = kind.train(asked, World(), tiny.hands(tiny.workspace(tmp_path), asked, kind=name))
    (tmp_path / "two").mkdir()
    work, two = tiny.workspace(tmp_path / "two"), tiny.shortened(asked, gpus=2)
    with together(2, partial(kind.follow, two)) as world:
        both = kind.train(two, world, tiny.hands(work, two, kind=name))
    # A hundredth of one step at this learning rate: AdamW makes steps of gradients that are rounding alone.
    for part, found in state(tmp_path, one.best)["parameters"].items():
        assert torch.allclose(state(tmp_path / "two", both.best)["parameters"][part], found, atol=1e-4), part
    assert [each.loss for each in both.holdout] == pytest.approx([each.loss for each in one.holdout], rel=1e-4)
    assert both.usage == one.usage
    losses = [[json.loads(line)["loss"] for line in each.log] for each in (one, both)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert multiprocessing.active_children() == []


def broken(world: World) -> None:
    raise ValueError("clip7 cannot be read")


def test_what_another_process_fails_with_is_said():
    with pytest.raises(ValueError, match="clip7 cannot be read"), together(2, broken) as world:
        world.gathered(1)
    assert multiprocessing.active_children() == []


def without_inductor(run, world):
    """`run`, its compiled blocks traced and partitioned as ever but not lowered: minutes of C++ prove nothing here."""
    whole = blocks.COMPILER
    blocks.COMPILER = "aot_eager_decomp_partition"
    try:
        return run(world)
    finally:
        blocks.COMPILER = whole


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # Dynamo's own.
@pytest.mark.parametrize(
    ("make", "kind", "is_sharded_first", "compiled"),
    [(tiny.training, ltx2, True, "off"), (tiny_wan21.training, wan21, False, "on")],
)
def test_two_processes_that_share_the_base_learn_what_one_does_with_checkpoints_of_both(
    make, kind, is_sharded_first, compiled, tmp_path
):
    settings = {"accumulation": 2, "batch_size": 2, "checkpoint_every": 2, "ema": 0.9, "holdout_sigmas": 3}
    asked = make(tmp_path / "data", clips=5, held_out=1, steps=4, **settings)
    name = "ltx2" if kind is ltx2 else "wan21"
    plain = tiny.shortened(asked, speed=Speed(checkpointing="selective"))
    speed = Speed(checkpointing="selective", sharding="on", compile=compiled)
    shared = tiny.shortened(asked, speed=speed, gpus=2)
    one = kind.train(plain, World(), tiny.hands(tiny.workspace(tmp_path), plain, kind=name))
    (tmp_path / "two").mkdir()
    work, sampled = tiny.workspace(tmp_path / "two"), []

    def sample(model, prompt, step):
        """The first process alone asks for it, and all have to help."""
        batch = kind.Objective(asked).question(0, 0.5, generator(1))
        sampled.append((step, float(kind.Objective(asked).losses(model, batch))))
        path = work.scratch / "video.mp4"
        path.write_bytes(b"made")
        return Sampled(step=step, prompt=prompt, text="A spy.", seed=1, video=work.keep(path))

    for steps, is_sharded in ((2, is_sharded_first), (4, not is_sharded_first)):
        going = tiny.shortened(shared if is_sharded else plain, steps=steps)
        given = tiny.hands(work, going, kind=name, prompts=("A spy.",), sample=sample)
        with together(going.config.gpus, partial(without_inductor, partial(kind.follow, going))) as world:
            both = without_inductor(lambda world, going=going, given=given: kind.train(going, world, given), world)
    assert [each["at_step"] for each in told(tmp_path / "two", "resumed")] == [2]
    assert [each.step for each in both.samples] == [step for step, _ in sampled] == [0, 2, 4]
    other = state(tmp_path / "two", both.best)["parameters"]
    off = {n: (other[n] - each).norm() / each.norm() for n, each in state(tmp_path, one.best)["parameters"].items()}
    assert max(off.values()) < 1e-3, off
    loras = []
    for root, trained_ in ((tmp_path, one), (tmp_path / "two", both)):
        (root / "lora.safetensors").write_bytes(weights(root, trained_.best))
        loras.append(export.load(root / "lora.safetensors")[0])
    assert loras[0].keys() == loras[1].keys()
    assert [each.loss for each in both.holdout] == pytest.approx([each.loss for each in one.holdout], rel=1e-4)
    assert multiprocessing.active_children() == []
