"""From small pictures of all frames to shots: false cuts taken out, fades and dissolves put in, scenes told by colour.

All of it works on thumbnails, (frames, 27, 48, 3) uint8 RGB, and on frame indexes: `cut` c means that frame c is the
first of a new shot. Times come later, from the frames' own stamps. The constants were set on the measurements beside
them; margins between right and wrong are wide there (docs/measured.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Thumbnails: TypeAlias = NDArray[np.uint8]
    Floats: TypeAlias = NDArray[np.float32]

THUMBNAIL = (48, 27)
"""(width, height): what TransNetV2 was trained on, and enough to tell pictures apart."""

FLASH_SECONDS = 0.34
"""Lightning, a muzzle flash or a lamp swept past lasts no longer; a shot of that length would be taken for one."""

SAME_PICTURE = 0.08
"""1 - correlation of two frames, light taken out. Across false cuts 0.00 to 0.07, across true ones 0.12 and more, but
for cuts between speakers before one backdrop (0.05): those differ more than the frames within each side do."""

BLANK = 8
"""Standard deviation of a frame's 8-bit levels below which there is no picture: black, white, a card of one colour."""

DISSOLVE_SECONDS = (0.33, 0.5, 1.0)
"""Half-lengths looked for."""

MIXED_APART = 20
"""Root mean square difference of 8-bit levels between the pictures that a dissolve joins, at least."""

BLOCK = 1024
"""Frames looked at together."""

MIXTURE_RESIDUE = 0.05
"""How much of a dissolve's middle, as a share of squared difference, may be neither picture: 0.002 in a dissolve of
still pictures, above 0.1 in a whip pan."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A cut that a detector saw and that is none."""

    cut: int
    reason: str


def settle(
    thumbnails: Thumbnails, candidates: Sequence[int], rate: float
) -> tuple[tuple[int, ...], tuple[Rejected, ...]]:
    """The true cuts, ascending, among the `candidates` and the soft changes found here; and those that are none.

    A fade at either end of the episode is no cut; one through black is one, at the middle of the black. A dissolve is
    one, at its middle. A candidate with the same picture on both sides is light, not a cut.
    """
    soft = [(span, span.middle, "dissolve") for span in dissolves(thumbnails, rate)]
    soft += [(span, span.middle, "fade") for span in fades(spreads(thumbnails))]
    cuts = {middle for _, middle, _ in soft if middle is not None}
    rejected = []
    window = max(2, round(FLASH_SECONDS * rate))
    for cut in sorted({c for c in candidates if 0 < c < len(thumbnails)}):
        within = next((reason for span, _, reason in soft if span.start <= cut <= span.end), None)
        if within is not None:
            rejected.append(Rejected(cut, within))
        elif _same_picture(thumbnails[max(0, cut - window) : cut + window], min(cut, window)):
            rejected.append(Rejected(cut, "same picture on both sides: a flash or a change of light"))
        else:
            cuts.add(cut)
    return tuple(sorted(cuts)), tuple(rejected)


@dataclass(frozen=True, slots=True)
class Change:
    """A soft change from frame `start` to frame `end`; the shots meet at `middle`, None where none meet."""

    start: int
    end: int
    middle: int | None


def fades(levels: Floats) -> list[Change]:
    """Fades to and from a blank picture. `levels`: (frames,) standard deviation of each frame's levels.

    A hard cut to black is no fade and is left to the detectors.
    """
    found = []
    for first, after in _runs(levels < BLANK):
        start, end = first, after
        while start > 0 and levels[start - 1] > levels[start] + 0.2:
            start -= 1
        while end < len(levels) and levels[end] > levels[end - 1] + 0.2:
            end += 1
        # One frame more or less on each side comes from compression; a fade takes several.
        if max(first - start, end - after) <= 3:
            continue
        inside = start > 0 and end < len(levels) and first > 0 and after < len(levels)
        found.append(Change(start, end, (first + after) // 2 if inside else None))
    return found


def dissolves(thumbnails: Thumbnails, rate: float) -> list[Change]:
    """Stretches in which each frame is a mixture of the picture before and the picture after, in falling shares."""
    import numpy as np

    frames = thumbnails.reshape(len(thumbnails), -1)
    mixed = np.zeros(len(frames), dtype=np.float32)
    for half in sorted({max(2, round(seconds * rate)) for seconds in DISSOLVE_SECONDS}):
        for begin in range(half, len(frames) - half, BLOCK):
            middles = np.arange(begin, min(begin + BLOCK, len(frames) - half))
            mixed[middles] = np.maximum(mixed[middles], _mixture(frames, middles, half))
    found = []
    for first, after in _runs(mixed > 0):
        # The pictures on both sides are furthest apart where the window lies evenly over the dissolve.
        strongest = np.flatnonzero(mixed[first:after] >= 0.98 * mixed[first:after].max())
        middle = first + int(strongest[len(strongest) // 2])
        found.append(Change(max(0, first - 2), min(len(frames), after + 2), middle))
    return found


def _runs(flags: Any) -> list[tuple[int, int]]:
    """(first, one after the last) of each stretch of true values."""
    import numpy as np

    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def _mixture(frames: Thumbnails, middles: Any, half: int) -> Floats:
    """(middles,): how far apart the two pictures are of which each middle is a mixture; 0 where it is none."""
    import numpy as np

    strength = np.zeros(len(middles), dtype=np.float32)
    apart = frames[middles - half].astype(np.float32) - frames[middles + half]
    power = (apart**2).mean(axis=1)
    (kept,) = np.nonzero(power > MIXED_APART**2)
    if not len(kept):
        return strength
    middles, apart, power = middles[kept], apart[kept], power[kept]
    before, after = frames[middles - half].astype(np.float32), frames[middles + half].astype(np.float32)
    shares, residue = [], np.zeros(len(kept), dtype=np.float32)
    for offset in (-half // 2, 0, half // 2):
        rest = frames[middles + offset] - after
        shares.append((rest * apart).mean(axis=1) / power)
        rest -= shares[-1][:, None] * apart
        residue = np.maximum(residue, (rest**2).mean(axis=1) / power)
    falling = (shares[0] > shares[1] + 0.1) & (shares[1] > shares[2] + 0.1) & (np.abs(shares[1] - 0.5) < 0.25)
    lit = (before.std(axis=1) >= 2 * BLANK) & (after.std(axis=1) >= 2 * BLANK)
    different = 1 - (_without_light(before) * _without_light(after)).mean(axis=1) >= 0.25
    good = falling & lit & different & (residue < MIXTURE_RESIDUE)
    strength[kept[good]] = np.sqrt(power[good])
    return strength


def _same_picture(around: Thumbnails, cut: int) -> bool:
    """Whether some frame before index `cut` of these few frames shows what some frame after it shows."""
    pictures = _without_light(around.mean(axis=3, dtype="float32").reshape(len(around), -1))
    before, after = pictures[:cut], pictures[cut:]
    size = pictures.shape[1]
    across = float(1 - (before @ after.T).max() / size)
    moving = max(float(1 - (side @ side.T).min() / size) for side in (before, after))
    return across < SAME_PICTURE and across <= moving


def _without_light(rows: Floats) -> Floats:
    """Each row with mean 0 and variance 1, so that a brighter and a darker picture of one thing look the same."""
    import numpy as np

    rows = rows - rows.mean(axis=1, keepdims=True)
    # Below a spread of 6 levels there is only noise; it must not be blown up into a picture.
    level: Floats = rows / np.maximum(rows.std(axis=1, keepdims=True), 6)
    return level


def spreads(thumbnails: Thumbnails) -> Floats:
    """(frames,): standard deviation of each frame's levels, in blocks, as an hour of floats would not fit in memory."""
    import numpy as np

    frames = thumbnails.reshape(len(thumbnails), -1)
    blocks = [frames[at : at + BLOCK].std(axis=1, dtype=np.float32) for at in range(0, len(frames), BLOCK)]
    return np.concatenate(blocks)
