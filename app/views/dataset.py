"""Dataset: what the trainers will see, what was left out and why, and what looks wrong with it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from app import downloads, marks, media, shared, sheet, shell
from app.components import drawing
from app.dataset import pictures, sample
from app.shared import STATES
from pipeline import control, datasets, timelines
from pipeline.control import Show
from pipeline.datasets import DATASETS, Finding, Kind, Row, Standing
from pipeline.schemas.datasets import Account

TITLES: dict[Kind, str] = {"ltx2": "LTX-2", "wan21": "Wan2.1"}
SPLITS = {"": "All", "train": "Trained on", "holdout": "Held out"}
PAGE = 24
WATCH_SECONDS = 5.0  # between two looks for a dataset that is not there yet
KEY = "samples"
MOST = 36  # small stills at once, of those that were left out


def page() -> None:
    show = shell.show()
    if show is None:
        return
    shell.heading("Dataset", marks.plain(show.file.name))
    shell.tell()
    try:
        content(show)
    except control.MENDABLE as error:
        shell.problem("This cannot be shown yet.", str(error))
    except (OSError, KeyError) as error:  # An object that is gone: the store names it, and can be mended.
        shell.problem(
            "The store lacks a part of this dataset.", str(error), "`dailies store verify --repair` mends it."
        )


def content(show: Show) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        kind = st.segmented_control(
            "Which dataset", list(TITLES), default="ltx2", required=True, key="dataset", bind="query-params",
            format_func=lambda each: TITLES[each], label_visibility="collapsed",
        )  # fmt: skip
        found = datasets.look(show, kind)
        jobs = control.latest_jobs(show)
        if found is None:
            shell.start(show, "run", "Run the show", ":material/play_arrow:", jobs, primary=True)
        else:
            download(found)
    if found is None:
        step = DATASETS[kind]
        shell.nothing(
            f"No {TITLES[kind]} dataset yet",
            f"`dailies run {step}` makes it of what is reviewed. Pull first, if reviewers have answered.",
            ":material/dataset:",
        )
        st.fragment(appear, run_every=WATCH_SECONDS)(kind)
        return
    names = {each.id: each.short for each in timelines.bible(show).characters}
    summary(found)
    if not found.dataset.rows:
        shell.nothing("It has no samples", "Every clip was left out; below is why.", ":material/dataset:")
    else:
        histograms(found.dataset.rows, names)
        browse(show, found, names)
    left_out(show, found)


def appear(kind: Kind) -> None:
    """Until the dataset is made: it may be at this moment."""
    show = shell.show()
    if show is not None and datasets.look(show, kind) is not None:
        st.rerun()


def download(of: Standing) -> None:
    """The dataset as it stands, the way its trainers take it."""
    if of.dataset.package is not None:
        st.link_button("Zip for a hosted trainer", media.url(of.dataset.package), icon=":material/download:")
    st.link_button(
        "Whole folder", downloads.url(of.step), icon=":material/folder_zip:", help="Zipped while it is sent."
    )


def summary(of: Standing) -> None:
    """Its size in one line of figures, and whether it is up to date."""
    rows = of.dataset.rows
    held = [row for row in rows if row.split == "holdout"]
    state = STATES["stale" if of.behind else "fresh"]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge("behind" if of.behind else "made", icon=state.icon, color=state.palette)
        behind = f"{of.behind[:1].upper()}{of.behind[1:]}: `dailies run {of.step}`. " if of.behind else ""
        trigger = f"trigger `{of.dataset.trigger}`" if of.dataset.trigger else "no trigger"
        st.caption(f"{behind}Made {of.at:%d %b %H:%M} · {trigger} · `{of.run.name}`")
    figures = [
        ("Trained on", f"{len(rows) - len(held):,}", "Samples of the training split"),
        ("Held out", f"{len(held):,}", "Never trained on; they tell whether it learns or copies"),
        ("Film", shared.duration(sum(row.seconds for row in rows)), "All samples together"),
        ("Left out", f"{len(of.dataset.left_out):,}", "Clips that gave no sample; each with its reason, below"),
    ]
    for column, (name, value, hint) in zip(st.columns(4), figures, strict=True):
        column.metric(name, value, help=hint)


def histograms(rows: Sequence[Row], names: Mapping[str, str]) -> None:
    """Lengths, words, characters and shapes; trained on and held out in two colours, with the key below."""
    cast_: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    shapes: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        for each in row.characters or ("",):
            cast_[names.get(each, each) or "nobody named"][row.split] += 1
        shapes[row.shape][row.split] += 1
    drawn = [
        pictures.upright("Length", pictures.lengths(rows)),
        pictures.upright("Words of a caption", pictures.words(rows)),
        pictures.lying("Who is in it", pictures.by_name(cast_, 7)),
        pictures.lying("Pixels and frames", pictures.by_name(shapes, 7)),
    ]
    key = "".join(
        f'<span><i style="background:{colour}"></i>{name}</span>'
        for name, colour in (("trained on", pictures.TRAIN), ("held out", pictures.HELD))
    )
    with st.container(border=True):
        for number, (column, picture) in enumerate(zip(st.columns(4, gap="medium"), drawn, strict=True)):
            with column:
                drawing(picture, f"histogram-{number}")
                if not number:  # Below the lowest of them, so that the row is no taller for it.
                    drawing(f'<div class="key">{key}</div>', "histogram-key")


@st.fragment
def browse(show: Show, of: Standing, names: Mapping[str, str]) -> None:
    """What looks wrong, the samples as a contact sheet, and the one that is chosen."""
    found = datasets.findings(of.dataset, of.kind, names)
    about = concerns(found)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        split = st.segmented_control(
            "Split", list(SPLITS), default="", required=True, key="split", bind="query-params",
            format_func=lambda each: SPLITS[each], label_visibility="collapsed",
        )  # fmt: skip
        cast_ = ["", *(each for each in names if any(each in row.characters for row in of.dataset.rows))]
        who = st.selectbox(
            "Who is in it", cast_, key="character", bind="query-params", label_visibility="collapsed", width=220,
            format_func=lambda each: names[each] if each else "Anybody",
        )  # fmt: skip
        words = st.text_input(
            "Words", key="words", bind="query-params", placeholder="words of the caption", max_chars=200,
            label_visibility="collapsed",
        )  # fmt: skip
    rows = [row for row in of.dataset.rows if fits(row, str(split or ""), who, words, about)]
    chosen = of.dataset.row(st.query_params.get("sample", "")) or (rows[0] if rows else None)
    if st.query_params.get("sample", "") and chosen and chosen.stem != st.query_params["sample"]:
        st.caption(f":material/info: There is no sample {marks.plain(st.query_params['sample'][:80])} any more.")
    if chosen:
        with st.container(border=True):
            stepping(rows, chosen)
            sample.part(of, chosen, names)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{marks.count(len(rows), 'sample')}**", width="content")
        at = st.pagination(-(-len(rows) // PAGE), key="samples-page") if len(rows) > PAGE else 1
    if not rows:
        shell.nothing("No sample fits", "Fewer words, or another choice above.")
        return
    shown = rows[(at - 1) * PAGE : at * PAGE]
    stills = _stills(show, shown)
    hits = [_hit(of.kind, row, stills.get(row.clip, ""), row == chosen, names) for row in shown]
    sheet.sheet(hits, KEY, _opened)


def concerns(found: Sequence[Finding]) -> frozenset[str] | None:
    """What looks wrong, each with a button that shows just its samples; the stems of the one that is chosen."""
    with st.container(gap="xxsmall"):
        for number, each in enumerate(found):
            icon = ":orange[:material/warning:]" if each.level == "warning" else ":gray[:material/info:]"
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(f"{icon} **{marks.plain(each.what)}** :gray[{marks.told(each.remedy)}]", width="content")
                if each.stems:
                    st.button("Show", key=f"finding-{number}", type="tertiary", on_click=_about, args=(each.what,))
    about = next((each for each in found if each.what == st.session_state.get("about")), None)
    if about is None:
        return None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(f"only: {about.what}", icon=":material/filter_alt:", color="orange")
        st.button("Show all", key="all", type="tertiary", on_click=_about, args=("",))
    return frozenset(about.stems)


def fits(row: Row, split: str, who: str, words: str, about: frozenset[str] | None) -> bool:
    """Whether a sample is one of those that are looked for; of words, every one must stand in its caption."""
    text = row.caption.casefold()
    return (
        split in ("", row.split)
        and (not who or who in row.characters)
        and all(word in text for word in words.casefold().split())
        and (about is None or row.stem in about)
    )


def stepping(rows: Sequence[Row], chosen: Row) -> None:
    before, after = datasets.neighbours(rows, chosen.stem)
    with st.container(horizontal=True):
        st.button(
            "Before",
            icon=":material/chevron_left:",
            type="tertiary",
            disabled=not before,
            on_click=_choose,
            args=(before,),
        )
        st.button(
            "Next",
            icon=":material/chevron_right:",
            type="tertiary",
            disabled=not after,
            on_click=_choose,
            args=(after,),
        )


def left_out(show: Show, of: Standing) -> None:
    """Why clips gave no sample, by reason; and what is to be known of those that did."""
    for title, accounts in (("Left out", of.dataset.left_out), ("To know of those kept", of.dataset.remarks)):
        if not accounts:
            continue
        st.subheader(f"{title}: {marks.count(len(accounts), 'clip')}", anchor=False)
        for reason, group in datasets.reasons(accounts):
            key = f"{title}-{reason}"
            said = f"**{len(group):,}** · {marks.plain(reason)}"
            with st.expander(said, key=key, on_change="rerun") as fold:  # Closed, it reads nothing.
                if fold.open:
                    _clips(show, group, key)


def _clips(show: Show, accounts: Sequence[Account], key: str) -> None:
    page_ = st.pagination(-(-len(accounts) // MOST), key=f"{key}-page") if len(accounts) > MOST else 1
    shown = accounts[(page_ - 1) * MOST : page_ * MOST]
    sheet.clips(show, [(each.episode, each.clip, each.reason) for each in shown], f"{key}-clips")


def _stills(show: Show, rows: Sequence[Row]) -> dict[str, str]:
    """A picture for each clip, by its id, of the episodes that are shown."""
    found = timelines.timelines(show, list(dict.fromkeys(row.episode for row in rows)))
    return {clip.id: media.url(clip.still) for each in found for clip in each.clips if clip.still}


def _hit(kind: Kind, row: Row, still: str, is_chosen: bool, names: Mapping[str, str]) -> dict[str, Any]:
    held = " · held out" if row.split == "holdout" else ""
    return {
        "url": f"/dataset?{urlencode({'dataset': kind, 'sample': row.stem})}",
        "open": {"sample": row.stem},
        "still": still,
        "where": f"{row.stem} · {row.num_frames} frames{held}",
        "lead": ", ".join(names.get(each, each) for each in row.characters),
        "text": row.caption,
        "chosen": is_chosen,
    }


def _opened() -> None:
    if wish := sheet.opened(KEY):
        _choose(str(wish["sample"]))


def _choose(stem: str) -> None:
    st.query_params["sample"] = stem


def _about(what: str) -> None:
    st.session_state["about"] = what


page()
