"""One run: its lights, its jobs, and of a training the course, the samples, the checkpoints and the words."""

from html import escape

import streamlit as st

from app import marks, media, shell, ways
from app.runs import acting, charts, drawn, pictures, samples
from pipeline import foretold, runs, runs_alike, runs_lights
from pipeline.control import Show
from pipeline.runs import Run
from pipeline.runs_told import Job, Training
from pipeline.schemas.training import Lora

PARTS = COURSE, SAMPLES, CHECKPOINTS, WORDS = "Course", "Samples", "Checkpoints", "Words"


def part(show: Show, run: Run) -> None:
    """All of it, as it stands now."""
    job = runs_lights.main_job(run)
    head(show, run, job)
    acting.resuming(show, run)
    drawn.drawn(pictures.lights(runs_lights.lights(show, run)), "lights")
    if run.words and run.state in ("died", "failed"):
        died = run.state == "died"
        said = " It said last:" if died else ""
        remedy = f"What was finished is kept; run it again to go on.{said}"
        shell.problem("It died without telling why." if died else "It failed.", run.words, remedy)
    if len(run.told.jobs) == 1 and job is not None:
        drawn.drawn(pictures.single(run, job), "jobs")
    else:
        with st.container(border=True):
            drawn.drawn(pictures.jobs(run) if run.told.jobs else "Nothing has begun yet.", "jobs")
    if run.told.unread:
        st.caption(f"{marks.count(run.told.unread, 'line')} of its events could not be read and were left out.")
    trainings = run.trainings
    if not trainings:
        words(show, run, job)
        return
    shown = trainings[-1]
    if len(trainings) > 1:
        names = [each.step for each in trainings]
        wanted = st.segmented_control("Training", names, default=names[-1], required=True, key="training")
        shown = trainings[names.index(wanted)]
    opened(show, run, shown)


def head(show: Show, run: Run, job: Job | None) -> None:
    """What this run is, and what may be done with it."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        drawn.drawn(pictures.head(run), "head")
        acting.buttons(show, run, job)


def opened(show: Show, run: Run, job: Job) -> None:
    """A training, with what earlier runs did for it."""
    training = runs.whole(show, run, job)
    before = runs.earlier(show, run, job)
    asked = COURSE
    if "part" not in st.query_params:  # What is asked for there stays in it: the default would be taken out.
        asked = SAMPLES if "sample" in st.query_params else CHECKPOINTS if "checkpoint" in st.query_params else COURSE
    with st.container(horizontal=True, vertical_alignment="center"):
        look = st.segmented_control(
            "Part of the training", PARTS, default=asked, required=True, key="part", bind="query-params",
            label_visibility="collapsed", width="content",
        )  # fmt: skip
        if before:
            st.caption("goes on from " + ", ".join(
                f"[step {step:,} of the run of {pictures.when(each.at)}]({pictures.address(run=each.id)})"
                for (each, _), step in zip(before, _taken_over(job, before), strict=False)
            ))  # fmt: skip
        elif training.planned:
            st.caption(marks.plain(planned(training)))
    match look:
        case "Course":
            course(training)
        case "Samples":
            seen(show, run, job, training)
        case "Checkpoints":
            checkpoints(show, run, job, training)
        case _:
            words(show, run, job)


def _taken_over(job: Job, before: list[tuple[Run, Training]]) -> list[int]:
    """The step at which each run took over from the one before it."""
    assert job.training is not None
    return [step for step in (job.training.resumed, *(each.resumed for _, each in before)) if step]


def planned(training: Training) -> str:
    assert training.planned is not None
    plan = training.planned
    room = f" of {plan.card_bytes / 2**30:.1f}" if plan.card_bytes else ""
    return f"{plan.setting} · {plan.card}, estimated {plan.estimated_bytes / 2**30:.1f}{room} GiB"


def course(training: Training) -> None:
    found = charts.of_training(training)
    if not found:
        shell.nothing(
            "No step is done yet", "Models load and compile first; that may take minutes.", ":material/show_chart:"
        )
        return
    charts.charts(found, "course")


def seen(show: Show, run: Run, job: Job, training: Training) -> None:
    """The samples, and of the one that was clicked the clips that taught it."""
    if not training.samples:
        shell.nothing(
            "No samples yet", "They are made at chosen steps; “Sample now” makes them after this step.",
            ":material/movie:",
        )  # fmt: skip
        return
    chosen = st.query_params.get("sample", "")
    samples.samples(samples.data(training, run.id, chosen))
    known = {f"{each.step}.{each.prompt}": each for each in training.samples}
    if chosen not in known:
        st.caption("Click a sample for the training clips most like it; the address is then a link to it.")
        return
    sample = known[chosen]
    found = runs_alike.teachers(show, job.step, sample.text)
    st.markdown(f"**What taught it**: the training clips whose captions are most like “{marks.plain(sample.text)}”")
    if not found:
        st.caption("The dataset that it was trained on does not stand any more.")
        return
    drawn.drawn(_clips(found), "teachers")


def _clips(found: list[runs_alike.Teacher]) -> str:
    cells = []
    for each in found:
        where = escape(ways.moment(each.sample.episode, each.sample.window.start))
        cells.append(
            f'<figure><video src="{escape(media.url(each.sample.video))}" controls loop preload="metadata"></video>'
            f'<figcaption><a href="{where}" target="_blank"><b>{escape(each.sample.clip)}</b></a>'
            f' <span class="muted">{each.likeness:.0f} % alike</span>'
            f'<p title="{escape(each.sample.caption)}">{escape(each.sample.caption)}</p></figcaption></figure>'
        )
    return f'<div class="clips">{"".join(cells)}</div>'


def checkpoints(show: Show, run: Run, job: Job, training: Training) -> None:
    """Every checkpoint with its hold-out loss and its weights to take; the LoRA first, once it is made."""
    lora(show, job)
    if not training.checkpoints:
        shell.nothing("No checkpoint yet", "“Save now” keeps one after this step.", ":material/save:")
        return
    losses, best = {each.step: each.loss for each in training.holdout}, training.best
    here = st.query_params.get("checkpoint", "")
    rows = []
    for kept in sorted(training.checkpoints, key=lambda each: -each.checkpoint.step):
        step, weights, state = kept.checkpoint.step, kept.checkpoint.weights, kept.checkpoint.state
        there = show.store.has(weights) and show.store.has(state)
        loss = f"{losses[step]:.4f}" if step in losses else "–"
        is_best = best is not None and best.step == step
        take = f'<a href="{escape(media.url(weights))}" download>{escape(weights.name.rpartition("/")[2])}</a>'
        rows.append(
            f'<tr{" class=here" if here == str(step) else ""}><td class="number"><a data-here '
            f'href="{escape(pictures.address(run=run.id, part=CHECKPOINTS, checkpoint=str(step)))}">{step:,}</a></td>'
            f'<td class="number">{loss}</td><td class="best">{"★ best" if is_best else ""}</td>'
            f"<td>{pictures.ago(kept.at)}</td>"
            f'<td class="number">{foretold.size(weights.size_bytes)}</td>'
            f"<td>{take if there else 'gone from the store'}</td>"
            f"<td>{foretold.size(state.size_bytes) + ', with optimizer' if there else '–'}</td></tr>"
        )
    head_ = (
        '<tr><th class="number">Step</th><th class="number">Held out</th><th></th><th>Kept</th>'
        '<th class="number">Size</th><th>Weights, for ComfyUI and diffusers</th><th>To go on from</th></tr>'
    )
    drawn.drawn(f"<table>{head_}{''.join(rows)}</table>", "checkpoints")


def lora(show: Show, job: Job) -> None:
    """What the training was for."""
    made = show.store.find_run(job.name) if job.name else None
    if made is None:
        return
    found = show.store.get(made.output, Lora)
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="medium"):
        with st.container(gap=None):
            st.markdown(f"**The LoRA** :gray[step {found.best_step:,} of {found.steps:,}, rank {found.rank}]")
            st.caption(
                f"{marks.plain(found.base)} · trigger `{found.trigger}` · {foretold.size(found.weights.size_bytes)}"
            )
        links = [("Download", found.weights), ("Model card", found.card), ("Log", found.log)]
        html = "".join(f'<a href="{escape(media.url(file))}" download>{name}</a>' for name, file in links)
        drawn.drawn(f'<div class="take">{html}</div>', "lora")


def words(show: Show, run: Run, job: Job | None) -> None:
    """What the job told, and the end of what it printed."""
    if job is None:
        started = run.started.lines if run.started else ()
        st.code("\n".join(started[-20:]) or "…", language=None, wrap_lines=True)
        return
    nothing = "Nothing yet." if run.state == "running" else "Nothing."
    told = "".join(
        f'<tr><td style="white-space:nowrap" class="muted">{pictures.clock(at)}</td><td>{escape(line)}</td></tr>'
        for at, line in reversed(job.lines)
    )
    asked = "".join(
        f'<tr><td class="muted">{pictures.clock(each["t"])}</td><td>{escape(str(each.get("by", "")))} asked to '
        f"{escape(str(each.get('ask', '')))}</td></tr>"
        for each in reversed(runs.requests(show, run.id))
    )
    left, right = st.columns([2, 3], gap="medium")
    with left:
        st.markdown("**Told**")
        drawn.drawn(f"<table>{asked}{told}</table>" if asked or told else nothing, "told")
    with right:
        st.markdown("**Printed**")
        printed = escape("\n".join(runs.log_tail(show, run.id, job)))
        drawn.drawn(f'<pre class="log">{printed or nothing}</pre>', "printed")
