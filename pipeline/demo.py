"""`dailies demo`: the bundled show from video files to a browser full of tasks, or all the way to trained LoRAs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from pipeline import control, ports
from pipeline.control import UnitStatus
from pipeline.engine.plan import SHOW
from pipeline.engine.records import Record
from pipeline.engine.run import Report
from pipeline.ports import PortTakenError
from pipeline.review import scripted
from pipeline.schemas.captions import Reviewed
from pipeline.schemas.datasets import Ltx2Dataset, Wan21Package
from pipeline.schemas.training import Lora
from pipeline.serve import Running, up
from pipeline.settings import PROJECT
from pipeline.show import Show, open_show

SPIES = PROJECT / "examples" / "spies"

MACHINE = control.SHOWN

_TRIES = 5
"""How often other programs may be quicker at a port."""

# What the scripted reviewer knows better than the machine: a name in the words, the name of a speaker, and that the
# first clip shows a title.
PICKS = {"that price": "that, Pryce", "Over here, both of you": "Margaux"}
DROP = {"s01e01_0000000": "titles or text"}

Run = Callable[[Show, str | None], Report]
"""Brings a step (None: every step) up to date, with whatever the caller shows meanwhile."""

Say = Callable[[str], None]

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Once:
    """What `demo --once` did: every unit as it stands, how many of them ran now, and what is not as it should be."""

    units: list[UnitStatus]
    ran: frozenset[tuple[str, str]]
    wrong: tuple[str, ...]


def open_demo(folder: Path = SPIES) -> Show:
    """The bundled show. Raises ValueError where it is not there."""
    if not (folder / "show.toml").exists():
        raise ValueError(f"the bundled show is not at {folder}: run the demo from a clone of the repository")
    return open_show(folder)


@contextmanager
def serving(show: Show) -> Iterator[tuple[Show, Running]]:
    """Both servers for the length of a `with`, and the show that knows on which ports.

    They are the show's own, or the next above them that are free; another program may take one before we listen there,
    as a second demo does that was started beside this one, and then it is tried again.
    """
    with ExitStack() as stack:
        for left in reversed(range(_TRIES)):
            there = _on_free_ports(show)
            try:
                running = stack.enter_context(up(there))
                break
            except PortTakenError:
                if not left:
                    raise
        yield there, running


def _on_free_ports(show: Show) -> Show:
    settings = show.settings
    label_studio = ports.free(settings.host, settings.label_studio_port)
    panel = ports.free(settings.host, settings.panel_port, but=label_studio)
    free = {"label_studio_port": label_studio, "panel_port": panel}
    return replace(show, settings=settings.model_copy(update=free))


@contextmanager
def staying(show: Show, run: Run, say: Say) -> Iterator[Running]:
    """The show with its tasks in a running Label Studio, and the panel beside it, for the length of a `with`."""
    _succeed(run(show, MACHINE))
    say("starting Label Studio and the panel")
    with serving(show) as (there, running):
        control.push(there, log=say)
        yield running


def once(show: Show, run: Run, say: Say) -> Once:
    """All of it without staying. Raises ValueError where a step fails, so that nothing half done looks like success."""
    reports = [_succeed(run(show, MACHINE))]
    say("starting Label Studio and the panel")
    with serving(show) as (there, _):
        pushed = control.push(there, log=say)
        say(f"{sum(each.created for each in pushed)} tasks pushed; the scripted reviewer answers what is open")
        with control.label_studio(there) as client:
            answered = scripted.review(client, show.file.name, picks=PICKS, drop=DROP)
        say(f"{answered.tasks} tasks answered, {answered.accepted} of them as they were")
        again = control.push(there, log=say)  # Before the pull: what the machines learn from answers may be told anew.
        pulled, _ = control.pull(there)
    reports.append(_succeed(run(show, None)))
    wrong = [f"unreadable answer: {line}" for line in pulled.unreadable]
    wrong += [f"a second push wrote {each.writes} {each.kind}" for each in again if each.writes]
    wrong += _expectations(show)
    ran = frozenset(node for report in reports for node, _, _ in report.ran)
    return Once(units=control.status(show), ran=ran, wrong=tuple(wrong))


def _expectations(show: Show) -> Iterator[str]:
    """What the reviewer did must be in the results; a sentence for each thing that is not."""
    reviewed = _result(show, "step2-reviewed", Reviewed)
    lines = [segment for clip in reviewed.clips for segment in clip.lines]
    if not any("that, Pryce," in line.text for line in lines):
        yield "the name that the reviewer corrected is not in the reviewed transcript"
    if not any(line.speaker == "margaux" and line.text.startswith("Over here") for line in lines):
        yield "the speaker that the reviewer named is not in the reviewed transcript"
    for clip in DROP:
        if clip not in {each.clip for each in reviewed.left_out}:
            yield f"the dropped clip {clip} is not left out"
    if not _result(show, "step3-ltx2-data", Ltx2Dataset).samples:
        yield "the LTX-2 dataset has no samples"
    if not _result(show, "step3-wan21-package", Wan21Package).samples:
        yield "the Wan2.1 package has no samples"
    for step in ("step5-ltx2-train", "step5-wan21-train"):
        yield from _learnt(step, _result(show, step, Lora))
    stale = [unit for unit in control.status(show) if unit.state != "fresh"]
    for unit in stale:
        yield f"{unit.step} {unit.unit} is {unit.state}: {unit.why}"


def _learnt(step: str, lora: Lora) -> Iterator[str]:
    """The weights are small and random, but what they learn is real: of the clips held out too."""
    losses = {each.step: each.loss for each in lora.holdout}
    if lora.best_step == 0 or not losses.get(lora.best_step, 1) < losses.get(0, 0):
        yield f"{step} learnt nothing: the hold-out losses by step are {losses}"
    if not {0, lora.steps} <= {each.step for each in lora.samples}:
        yield f"{step} shows no videos of its base model and of its last step"


def _result(show: Show, step: str, kind: type[R]) -> R:
    run = show.store.head(step, SHOW)
    assert run is not None, f"{step} has no result"
    return show.store.get(run.output, kind)


def _succeed(report: Report) -> Report:
    if report.failed:
        (step, unit), message = report.failed[0]
        raise ValueError(f"{step} of {unit} failed: {message}")
    return report
