"""What state every node is in, and why, in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.engine import plan
from pipeline.engine.fingerprint import Digest
from pipeline.engine.plan import Cause, Node, Plan, Recipe
from pipeline.engine.run import read_failure
from pipeline.engine.store import Run

State = Literal["fresh", "stale", "missing", "failed", "running"]
_SHOWN = 60
"""Letters of a value that a sentence has room for."""


@dataclass(frozen=True, slots=True)
class UnitStatus:
    """One step of one episode (or of the show). `why` is one sentence, empty where it is fresh.

    `store_path` and `seconds` are those of the result that stands, fresh or not.
    """

    step: str
    unit: str
    state: State
    why: str
    device: str
    store_path: str | None
    seconds: float | None


def survey(what: Plan) -> list[UnitStatus]:
    """The state of every node, from the digests alone; `what.outputs` then holds all that is fresh."""
    found: dict[Node, UnitStatus] = {}
    what.given_up = set()
    for node in what.nodes():
        head = what.store.head(*node)
        recipe = what.recipe(node)
        state, why = _state(what, node, recipe, head, found)
        if state == "fresh" and recipe is not None:
            head = what.store.find_run(plan.run_name(what.show, node, recipe))
            assert head is not None
            what.outputs[node] = head.output
        elif state in ("failed", "missing"):
            what.given_up.add(node)
        found[node] = UnitStatus(
            step=node[0],
            unit=node[1],
            state=state,
            why=why,
            device=what.device(node[0]),
            store_path=str(what.store.run_path(head.name)) if head else None,
            seconds=head.seconds if head else None,
        )
    return list(found.values())


def _state(
    what: Plan, node: Node, recipe: Recipe | None, head: Run | None, found: dict[Node, UnitStatus]
) -> tuple[State, str]:
    absent: State = "stale" if head else "missing"
    if recipe is None:
        # Only root causes: what waits for a stale step would say the same once more.
        needs = what.could_need(node) if what.lacks_all_episodes(node[0]) else what.needs(node)
        above = [found[need] for need in needs if need in found and found[need].state != "fresh"]
        names = sorted({each.step for each in above})
        return absent, f"waits for {', '.join(names)}"
    name = plan.run_name(what.show, node, recipe)
    if what.store.find_run(name):
        return "fresh", ""
    if what.store.is_locked(f"run-{name}"):
        return "running", "a process is making it now"
    failure = read_failure(what, node)
    if failure and failure["key"] == plan.key(recipe):
        return "failed", failure["message"]
    if head is None:
        return "missing", "it was never made"
    return "stale", "; ".join(sentences(what, node, head.recipe, recipe))


def sentences(what: Plan, node: Node, before: Recipe, after: Recipe) -> list[str]:
    """What changed, each with its old and new value."""
    return [_sentence(what, node, cause) for cause in plan.causes(before, after)]


def _sentence(what: Plan, node: Node, cause: Cause) -> str:
    kind, _, rest = cause.part.partition(".")
    if kind == "version":
        return f"the step's version went from {cause.was} to {cause.now}"
    if kind == "code":
        verb = "is new" if cause.was is None else "is gone" if cause.now is None else "changed"
        return f"code: {rest} {verb}" + (f" ({cause.was[:8]} → {cause.now[:8]})" if verb == "changed" else "")
    if kind == "config":
        return f"setting {rest}: {_shown(cause.was)} → {_shown(cause.now)}"
    return _input_sentence(what, node, rest, cause)


def _input_sentence(what: Plan, node: Node, path: str, cause: Cause) -> str:
    producer, _, episode = path.partition(".")
    name = f"input {producer}" + (f" of {episode}" if episode else "")
    if cause.was is None or cause.now is None:
        return f"{name} is {'new' if cause.was is None else 'gone'}"
    if isinstance(cause.was, str) and isinstance(cause.now, str):
        need = next(each for each in what.steps[node[0]].needs.values() if each.producer == producer)
        old, new = (what.store.object_path(Digest(digest)) for digest in (cause.was, cause.now))
        if old.exists() and new.exists():
            kind = plan.record_type(need)
            records = [kind.model_validate_json(path.read_bytes()).model_dump(mode="json") for path in (old, new)]
            fields = plan.differences(*records)
            if fields:
                first = fields[0]
                more = f" and {len(fields) - 1} more" if len(fields) > 1 else ""
                return f"{name}: {first.part.lstrip('.')} {_changed(first)}{more}"
    return f"{name} changed ({_shown(cause.was)[:10]} → {_shown(cause.now)[:10]})"


def _changed(cause: Cause) -> str:
    """One leaf in words: an object that came or went is not written out, nor are lists that are too long to compare."""
    if isinstance(cause.was or cause.now, Mapping) and not (cause.was and cause.now):
        return "is new" if cause.now else "is gone"
    is_long = max(len(repr(cause.was)), len(repr(cause.now))) > _SHOWN
    if is_long and isinstance(cause.was, list) and isinstance(cause.now, list) and len(cause.was) != len(cause.now):
        return f"has {len(cause.now)} entries, had {len(cause.was)}"
    return f"{_shown(cause.was)} → {_shown(cause.now)}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
