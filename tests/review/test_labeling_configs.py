"""Rules that the two screens must keep; each was measured to break something when broken."""

from xml.etree import ElementTree

import pytest

from pipeline.review import interface, lines, verdicts
from pipeline.review.questions import MOST_OPTIONS, OPTION_KEYS
from pipeline.review.shown import SLOTS

KINDS = ("transcripts", "captions")
OWN_KEYS_OF_LABEL_STUDIO = {"u"}  # region:unselect; all its other keys have Ctrl, Alt or a name


def elements(kind):
    return list(ElementTree.fromstring(interface.config(kind)).iter())


def keys(kind):
    fixed = [element.get("hotkey") for element in elements(kind) if element.get("hotkey")]
    digits = list("0123456789")
    return fixed + digits + ([key for row in OPTION_KEYS.values() for key in row] if kind == "transcripts" else [])


@pytest.mark.parametrize("kind", KINDS)
def test_no_key_does_two_things(kind):
    found = keys(kind)
    assert sorted(found) == sorted(set(found))
    assert not set(found) & OWN_KEYS_OF_LABEL_STUDIO


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_repeated(kind):
    """Hotkeys of a Repeater's copies all fire at once, and its answers freeze the config."""
    assert not [element for element in elements(kind) if element.tag == "Repeater"]


def test_no_prefilled_box_takes_the_focus():
    (caption,) = [e for e in elements("captions") if e.get("name") == "caption"]
    assert caption.get("transcription") is None


def test_every_slot_is_a_field_that_label_studio_sees_as_dynamic():
    """It takes `$[A-Za-z_]+` for a field of the task, so no digits."""
    assert all(slot.replace("_", "").isalpha() for slot in SLOTS)
    named = {element.get("name"): element for element in elements("transcripts")}
    assert [named[slot].get("value") for slot in SLOTS] == [f"${slot}_options" for slot in SLOTS]
    assert set(OPTION_KEYS) == set(SLOTS)
    assert max(len(row) for row in OPTION_KEYS.values()) == MOST_OPTIONS


@pytest.mark.parametrize("kind", KINDS)
def test_the_revision_travels_hidden_in_every_answer(kind):
    (parent,) = [e for e in elements(kind) if any(child.get("name") == "rev" for child in e)]
    assert parent.get("className") == "mark"
    assert ".mark{display:none}" in interface.config(kind)


def test_what_the_merge_acts_on_can_be_chosen():
    flags = {element.get("value") for element in elements("transcripts") if element.tag == "Choice"}
    assert {lines.NOT_SPEECH, lines.INAUDIBLE, lines.OVERLAP} <= flags
    assert {verdicts.SECOND_LOOK, verdicts.UNUSABLE_AUDIO, verdicts.MISSING_LINE} <= flags


@pytest.mark.parametrize("kind", KINDS)
def test_the_instructions_name_every_key(kind):
    text = interface.instruction(kind)
    for element in elements(kind):
        if element.tag == "Choice":
            assert f" {element.get('hotkey')} " in text.replace("<", " ").replace(">", " ").replace(")", " "), (
                element.attrib
            )


@pytest.mark.parametrize("kind", KINDS)
def test_the_dangerous_keys_are_named_as_label_studio_names_them(kind):
    """Its page reads `section:` of these sections, and drops the rest of what the API stores."""
    sections = ("annotation", "timeseries", "audio", "regions", "video", "image_gallery", "tools")
    assert all(name.partition(":")[0] in sections for name in interface.DISARMED)
    assert set(interface.DISARMED.values()) == {"ctrl+backspace", "backspace", "delete"}
