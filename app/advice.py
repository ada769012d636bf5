"""What a person should do next with a show: one sentence, its reason, and what does it. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from app.shared import REVIEW, STATES, State, named, worst
from pipeline import control
from pipeline.control import Desk, Link, UnitStatus

Verb = Literal["run", "prepare", "push", "pull", "label-studio"]

MOST_REASONS = 3


@dataclass(frozen=True, slots=True)
class Advice:
    """What a person should do now: one sentence, its reason, and the job or the link that does it."""

    state: State
    headline: str
    detail: str
    verb: Verb | None = None
    link: Link | None = None

    @property
    def command(self) -> str:
        """What does it in a terminal; empty where people do it."""
        if self.verb is None:
            return ""
        return {"prepare": f"dailies run {control.SHOWN}", "label-studio": "dailies up"}.get(
            self.verb, f"dailies {self.verb}"
        )


def advice(
    units: Sequence[UnitStatus], desk: Desk, reviewed: Collection[str] = (), *, pulled: bool = False, goes: bool = False
) -> Advice:
    """The one next thing to do, by urgency: failures, what is running, what can run, what people must answer.

    `reviewed` are the steps that build on reviewers' answers: before any were `pulled` they have nothing to build on,
    and what reviewers are shown is made alone. While a run `goes` on, no other is offered.
    """
    begun = pulled or any(u.step in reviewed and u.state != "missing" for u in units)
    run: Verb = "run" if begun or not reviewed else "prepare"
    by_state = {name: [unit for unit in units if unit.state == name] for name in STATES}
    if failed := by_state["failed"]:
        headline = f"{named(failed[0])} failed" + (f", and {len(failed) - 1} more" if len(failed) > 1 else "")
        return Advice(STATES["failed"], headline, failed[0].why, None if goes else run)
    running = by_state["running"]
    if running or goes:
        headline = "Running: " + ", ".join(named(unit) for unit in running[:3]) if running else "A run goes on"
        rest = len(by_state["missing"]) + len(by_state["stale"])
        return Advice(STATES["running"], headline, f"{rest:,} more to go after that. This page follows along.")
    todo = [unit for unit in units if unit.state in {"stale", "missing"}]
    waits = [unit for unit in todo if run == "prepare" and unit.step in reviewed]
    if len(waits) < len(todo):
        headline = f"{len(todo):,} of {len(units):,} results to make"
        return Advice(worst(todo), headline, f"First {named(todo[0])}: {_in_short(todo[0].why)}", run)
    return _advice_of_review(desk, has_answers=begun or not reviewed)


def _in_short(why: str) -> str:
    """The first reasons of many; the result itself has them all."""
    reasons = why.split("; ")
    more = len(reasons) - MOST_REASONS
    return "; ".join(reasons[:MOST_REASONS]) + (f"; and {more} more" if more > 0 else "")


_MADE = "Everything that needs no people is made"
_UP_TO_DATE = "Everything is up to date"


def _advice_of_review(desk: Desk, *, has_answers: bool) -> Advice:
    """What to do where there is nothing to make."""
    done = Advice(STATES["fresh"], _UP_TO_DATE, "") if has_answers else Advice(REVIEW, _MADE, "")
    if desk.state == "asked":
        return replace(done, detail="Label Studio is being asked how far the review is.")
    if desk.state in ("down", "never started"):
        unknown = "whether answers wait there is not known" if has_answers else "it gets the tasks next"
        detail = f"Label Studio does not run: {unknown}." if desk.ours else f"{desk.problem}: {unknown}."
        return replace(done, detail=detail, verb="label-studio" if desk.ours else None)
    if desk.state == "empty":
        return Advice(REVIEW, _MADE, "Send it to the reviewers in Label Studio.", "push")
    return _advice_of_answers(desk) if has_answers else _advice_of_first_answers(desk)


def _advice_of_first_answers(desk: Desk) -> Advice:
    """Before any were fetched."""
    if link := _open(desk):
        return Advice(REVIEW, _how_far(link), "Then fetch the answers and build on them.", "pull", link)
    return Advice(REVIEW, "All tasks are answered", "Fetch the answers; the datasets are made of them.", "pull")


def _advice_of_answers(desk: Desk) -> Advice:
    """Where what stands is built on answers: whether there are more of them."""
    fetch: Verb | None = "pull" if desk.new != 0 else None
    if link := _open(desk):
        return Advice(REVIEW, _how_far(link), new(desk), fetch, link)
    if desk.new:
        headline = f"{desk.new:,} answered task{'s wait' if desk.new > 1 else ' waits'} to be fetched"
        return Advice(REVIEW, headline, "Newer than the last pull; what builds on answers is made after it.", fetch)
    return Advice(STATES["fresh"], _UP_TO_DATE, f"Nothing has changed since the last run. {new(desk)}", fetch)


def _open(desk: Desk) -> Link | None:
    return next((link for link in desk.links if link.done < link.total), None)


def _how_far(link: Link) -> str:
    return f"Review {link.title}: {link.done:,} of {link.total:,} answered"


def new(desk: Desk) -> str:
    """Whether answers wait to be fetched, as a sentence."""
    if desk.new is None:
        return "Answers that came since the last pull come with the next."
    if not desk.new:
        return "No answer is newer than the last pull."
    return f"Label Studio has {desk.new:,} answered task{'s' * (desk.new != 1)} newer than the last pull."
