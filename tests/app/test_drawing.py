"""The pipeline as a picture: what goes where, and that nothing is told by colour alone."""

import re
import xml.etree.ElementTree as ET

from app import drawing
from app.shared import STATES, Node
from pipeline.control import UnitStatus

DIAMOND = (
    Node("episode", (), is_source=True),
    Node("review", (), is_source=True),
    Node("cut", ("episode",)),
    Node("hear", ("episode", "cut")),
    Node("see", ("cut",)),
    Node("say", ("episode", "cut", "hear", "see")),
    Node("merge", ("say", "review", "cut")),
)


def unit(step, of="e1", state="fresh", why=""):
    return UnitStatus(step, of, state, why, "cpu", None, None)


def test_only_needs_that_no_other_need_brings_are_drawn():
    assert drawing.nearest_needs(DIAMOND)["say"] == ("hear", "see")
    assert drawing.nearest_needs(DIAMOND)["merge"] == ("say", "review")


def test_the_longest_chain_is_one_straight_line():
    places = drawing.places(DIAMOND)
    assert {places[name].lane for name in ("episode", "cut", "hear", "say", "merge")} == {0}
    assert [places[name].column for name in ("episode", "cut", "hear", "say", "merge")] == [0, 1, 2, 3, 4]


def test_a_source_stands_right_before_the_step_that_reads_it():
    assert drawing.places(DIAMOND)["review"].column == 3


def test_no_two_nodes_share_a_place_and_every_line_leads_on():
    places = drawing.places(DIAMOND)
    assert len(set(places.values())) == len(DIAMOND)
    for node in DIAMOND:
        assert all(places[need].column < places[node.name].column for need in node.needs)


def test_the_real_pipeline_fits_a_laptops_width_and_height():
    from pipeline import dag

    nodes = [Node(step.name, tuple(need.producer for need in step.needs.values())) for step in dag.STEPS]
    sources = [Node(source.name, (), is_source=True) for source in dag.SOURCES]
    places = drawing.places([*sources, *nodes])
    assert max(place.lane for place in places.values()) <= 3
    assert len(set(places.values())) == len(places)


def test_the_picture_is_well_formed_and_says_everything_in_words_too():
    svg = ET.fromstring(drawing.picture(DIAMOND, [unit("cut", state="failed", why="a < b & c"), unit("cut", "e2")]))
    assert "cut 1 failed, 1 fresh" in svg.get("aria-label")
    titles = [title.text for title in svg.iter("title")]
    assert any("e1: failed. a < b & c" in title for title in titles)


def test_a_long_season_is_drawn_as_shares():
    units = [unit("cut", f"e{number}", "fresh" if number % 2 else "missing") for number in range(24)]
    colours = [bar.get("fill") for bar in ET.fromstring(drawing.picture(DIAMOND, units)).iter("rect")]
    assert STATES["fresh"].colour in colours
    assert STATES["missing"].colour in colours


def test_every_state_can_be_drawn_and_each_shape_differs():
    shapes = {drawing.mark(0, 0, state).replace(state.colour, "") for state in STATES.values()}
    assert len(shapes) == len(STATES)


def test_no_line_passes_through_a_card():
    """The real pipeline: along its lane, a line meets no card but the two that it joins."""
    from pipeline import dag

    nodes = [Node(source.name, (), is_source=True) for source in dag.SOURCES]
    nodes += [Node(step.name, tuple(need.producer for need in step.needs.values())) for step in dag.STEPS]
    svg = ET.fromstring(drawing.picture(nodes, []))
    cards = [tuple(float(card.get(name)) for name in ("x", "y", "width", "height")) for card in svg.iter("rect")]
    lines = [path.get("d") for path in svg.iter("path") if path.get("stroke-width") == "1.5"]
    assert len(lines) > len(dag.STEPS)
    for line in lines:
        at = (0.0, 0.0)
        for command, numbers in re.findall(r"([MCH])([^MCH]+)", line):
            values = [float(number) for number in numbers.split()]
            to = (values[0], at[1]) if command == "H" else (values[-2], values[-1])
            if command == "H":
                assert [card for card in cards if _crosses(at[0], to[0], at[1], *card)] == [], line
            at = to


def _crosses(left, right, level, x, y, width, height):
    return left < x and x + width < right and y < level < y + height


def test_a_source_shows_its_note():
    assert "17 of 64 answered" in drawing.picture(DIAMOND, [], {"review": "17 of 64 answered"})
