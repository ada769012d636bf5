"""Hidden known answers: which are chosen, what reviewers see, and that answers read as if there were none."""

import copy
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models.quoting import requote
from pipeline.review import answers, checks, interface
from pipeline.review.merge import Machine, merge
from pipeline.review.shown import Check
from pipeline.review.tasks import tasks_of
from pipeline.schemas.captions import Line, ReviewDecision
from pipeline.schemas.story import Candidate, Decision, Doubt
from pipeline.schemas.timeline import Span

KEY, CLIP = "s01e01/s01e01_0000000", "s01e01_0000000"


@pytest.fixture
def settled(segment):
    """A line in which the machine has put `known` where it heard `heard`, and that decision."""

    def make(start: float, text: str, known="Cohen", heard="cone", *, score=0.99, marks=()):
        line = segment(start, text, marks=marks)
        at = next(i for i, word in enumerate(line.words) if known.split()[0] in word.text)
        last = at + len(known.split()) - 1
        chosen = " ".join(word.text for word in line.words[at : last + 1])
        doubt = Doubt(
            id=f"{line.id}/{at}",
            kind="text",
            segment=line.id,
            span=Span(start=line.words[at].span.start, end=line.words[last].span.end),
            first_word=at,
            last_word=last,
            heard=chosen.replace(known, heard),
            context="cone",
            candidates=(Candidate(value=chosen, score=score),),
            evidence=("test",),
        )
        decision = Decision(
            doubt=doubt, original=doubt.heard, chosen=chosen, by="machine", reason="certain", score=score
        )
        return line, decision

    return make


@pytest.fixture
def built(material, bible):
    """The transcript tasks of an episode with these lines, decisions and doubts; every clip that can is a check."""

    def build(segments, decisions=(), doubts=(), share=1, **options):
        made = material(segments, doubts, **options)
        made.transcript.__dict__["decisions"] = tuple(decisions)
        object.__setattr__(made, "check_share", share)
        return tasks_of(made, bible, lambda file: f"/files/{file.digest[:8]}/{file.name}").transcripts

    return build


def annotation(task):
    return {
        "task": 7,
        "result": copy.deepcopy(task.result),
        "was_cancelled": False,
        "updated_at": "2026-01-02T03:04:05.600000Z",
        "lead_time": 4.25,
    }


def read(task, given) -> ReviewDecision:
    meta = {"shown": [{"rev": task.rev, "shown": task.shown.model_dump(mode="json")}]}
    return answers.decision(task.kind, task.data, meta, given, "ann@example.com")


def typed(task, changes):
    """An annotation in which these words were typed in place of others, where they stand."""
    done = annotation(task)
    for item in done["result"]:
        if item["from_name"] == "text":
            (text,) = item["value"]["text"]
            for wrong, right in changes.items():
                text = text.replace(wrong, right)
            item["value"]["text"] = [text]
    return done


# What is shown


def test_a_check_shows_the_words_as_they_were_misheard_and_fits_the_screen(built, settled, segment):
    line, decision = settled(1, "Bring Cohen, quick.")
    task, other = built([line, segment(5, "hello there")], [decision])
    (shown,) = task.shown.lines
    assert shown.text == "Bring cone, quick."
    assert task.shown.check == Check(segment=line.id, misheard="cone", known="Cohen", text="Bring Cohen, quick.")
    assert "Cohen" not in str([item for item in task.result if item["from_name"] == "text"])
    assert other.shown.check is None
    interface.check(task)


def test_nothing_but_the_words_tells_a_check_from_another_task(built, settled):
    line, decision = settled(1, "Bring Cohen, quick.")
    (hidden,), (plain,) = built([line], [decision], clips=1), built([line], [decision], share=0, clips=1)
    hidden_data = {name: value for name, value in hidden.data.items() if name != "rev"}
    assert hidden_data == {name: value for name, value in plain.data.items() if name != "rev"}
    assert hidden.score == plain.score
    differ = [one for one, other in zip(hidden.result, plain.result, strict=True) if one != other]
    assert [item["from_name"] for item in differ] == ["text", "rev"]


def test_without_a_share_every_task_is_as_it_would_be(built, settled):
    line, decision = settled(1, "Bring Cohen, quick.")
    assert built([line], [decision], share=0) == built([line], share=0)


@pytest.mark.parametrize(
    ("text", "options", "why"),
    [
        ("Bring Cohen now.", {"score": 0.85}, "the machine is not certain"),
        ("Bring Cohen a cone.", {}, "the misheard word stands there too"),
        ("Cohen, bring Cohen.", {}, "the name stands there twice"),
        ("Bring cone now.", {"known": "cone", "heard": "Cone"}, "only a capital differs"),
        ("Bring Cohen now.", {"marks": ("hallucination",)}, "perhaps nobody says it"),
    ],
)
def test_what_is_no_fair_check_is_none(built, settled, text, options, why):
    line, decision = settled(1, text, **options)
    assert [task.shown.check for task in built([line], [decision])] == [None], why


def test_a_clip_that_is_asked_about_the_same_words_hides_nothing(built, settled, segment, doubt):
    line, decision = settled(1, "Bring Cohen now.")
    other = segment(2.5, "a corn please")
    for asked in (
        doubt(other, ("Cohen", 0.5), at=1, context="corn"),
        doubt(other, ("corn", 0.5), at=1, context="cone"),
        doubt(line, ("Brink", 0.5), ("Bring Cohen", 0.5), at=0),
    ):
        assert built([line, other], [decision], [asked])[0].shown.check is None
    harmless = doubt(other, ("horn", 0.5), at=1, context="corn")
    assert built([line, other], [decision], [harmless])[0].shown.check is not None


def test_a_task_that_is_asked_again_hides_nothing(settled):
    line, decision = settled(1, "Bring Cohen now.")
    spoken = {CLIP: [line]}
    transcript = type("Transcript", (), {"doubts": (), "decisions": (decision,)})
    assert list(checks.choose("s01e01", spoken, transcript, 1)) == [CLIP]
    assert checks.choose("s01e01", spoken, transcript, 1, never={KEY}) == {}


def test_a_share_of_all_tasks_is_checked_whichever_clips_fit(settled, segment):
    spoken, decisions = {}, []
    for number in range(2000):
        line, decision = settled(number, "Bring Cohen now.")
        # Only one in five could be a check.
        decisions += [decision] if number % 5 == 0 else []
        spoken[f"s01e01_{number}"] = [line]
    transcript = type("Transcript", (), {"doubts": (), "decisions": tuple(decisions)})
    chosen = checks.choose("s01e01", spoken, transcript, 0.03)
    assert 40 <= len(chosen) <= 80
    assert chosen == checks.choose("s01e01", spoken, transcript, 0.03)


# What is read


@pytest.mark.parametrize(
    ("changes", "text", "outcome"),
    [
        ({}, "Bring Cohen, quick.", "missed"),
        ({"cone": "Cohen"}, "Bring Cohen, quick.", "found"),
        ({"cone": "cohen"}, "Bring Cohen, quick.", "found"),
        ({"quick": "quickly"}, "Bring Cohen, quickly.", "missed"),
        ({"cone,": "Cohen", "quick": "fast"}, "Bring Cohen fast.", "found"),
        ({"cone": "Connie"}, "Bring Connie, quick.", "changed"),
        ({"Bring cone, quick.": "Hello."}, "Hello.", "changed"),
        ({"cone": "cone's"}, "Bring Cohen's, quick.", "missed"),
    ],
)
def test_an_answer_reads_as_if_the_task_hid_nothing(built, settled, changes, text, outcome):
    line, decision = settled(1, "Bring Cohen, quick.")
    (task,) = built([line], [decision], clips=1)
    answer = read(task, typed(task, changes)).answer
    assert [each.text for each in answer.seen] == ["Bring Cohen, quick."]
    assert [each.text for each in answer.lines] == [text]
    assert (answer.check.outcome, answer.check.shown, answer.check.known) == (outcome, "cone", "Cohen")


def test_an_inaudible_line_says_nothing_of_its_reviewer(built, settled):
    line, decision = settled(1, "Bring Cohen, quick.")
    (task,) = built([line], [decision], clips=1)
    done = annotation(task)
    flag = {"from_name": "flag", "type": "choices", "value": {"start": 1, "end": 2, "choices": ["inaudible"]}}
    done["result"].append({"id": line.id, **flag})
    answer = read(task, done).answer
    assert (answer.lines[0].text, answer.check.outcome) == ("Bring Cohen, quick.", "changed")


def test_a_line_that_was_split_or_joined_is_still_found(built, settled, segment):
    line, decision = settled(1, "Bring Cohen, quick.")
    (task,) = built([line, segment(2.5, "Yes.")], [decision], clips=1)
    times = {"start": 1.5, "end": 2.0}
    split = typed(task, {"Bring cone, quick.": "Bring"})
    split["result"] += [
        {"id": "x1", "from_name": "speaker", "type": "labels", "value": times | {"labels": ["Reyes"]}},
        {"id": "x1", "from_name": "text", "type": "textarea", "value": times | {"text": ["cone, quick."]}},
    ]
    answer = read(task, split).answer
    assert [(each.text) for each in answer.lines] == ["Bring", "Cohen, quick.", "Yes."]
    joined = typed(task, {"Yes.": "Bring cone, quick. Yes."})
    joined["result"] = [item for item in joined["result"] if item["id"] != line.id]
    again = read(task, joined).answer
    assert [each.text for each in again.lines] == ["Bring Cohen, quick. Yes."]
    assert answer.check.outcome == again.check.outcome == "missed"


def test_a_word_that_the_reviewer_heard_elsewhere_is_theirs():
    check = Check(segment="a", misheard="cone", known="Cohen", text="Bring Cohen.")
    seen = (Line(id="a", span=Span(start=1, end=2), speaker=None, text="Bring cone."),)
    added = Line(id="x", span=Span(start=3, end=4), speaker=None, text="An ice cream cone.")
    found = seen[0].model_copy(update={"text": "Bring Cohen."})
    _, lines, result = checks.taken_out(check, seen, (found, added))
    assert (lines, result.outcome) == ((found, added), "found")


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=400, deadline=None)
def test_what_was_hidden_never_comes_out_whatever_the_reviewer_does(seed):
    chance = random.Random(seed)
    words = [f"w{i}" for i in range(chance.randint(1, 6))]
    at = chance.randrange(len(words))
    true = " ".join([*words[:at], "Dr. Cohen,", *words[at:]])
    check = Check(segment="a", misheard="Doctor Cone", known="Dr. Cohen", text=true)
    span = Span(start=1, end=2)
    shown = (
        Line(id="a", span=span, speaker=None, text=true.replace("Dr. Cohen", "Doctor Cone")),
        Line(id="b", span=span, speaker=None, text="and more of it"),
    )
    lines = {line.id: line.text.split() for line in shown}
    for number in range(chance.randint(0, 5)):
        name = chance.choice([*lines])
        match chance.choice(["split", "join", "type", "delete", "fix"]):
            case "split" if "Cone" not in " ".join(lines[name]) or chance.random() < 0.5:
                # Between two words of the pair, one would be left that nobody has shown.
                cut = chance.choice([i for i in range(len(lines[name]) + 1) if lines[name][i - 1 : i] != ["Doctor"]])
                lines[f"x{number}"], lines[name] = lines[name][cut:], lines[name][:cut]
            case "join":
                other = chance.choice([*lines])
                if other != name:
                    lines[name] += lines.pop(other)
            case "type":
                lines[name].insert(chance.choice([0, len(lines[name])]), "new")
            case "delete" if len(lines) > 1:
                del lines[name]
            case "fix":
                text = " ".join(lines[name]).replace("Doctor Cone", "Dr. Cohen")
                lines[name] = text.split()
    left = tuple(Line(id=name, span=span, speaker=None, text=" ".join(text)) for name, text in lines.items())
    seen, read_back, _ = checks.taken_out(check, shown, left)
    assert [line.text for line in seen] == [true, "and more of it"]
    assert "Cone" not in " ".join(line.text for line in read_back)
    plain = " ".join(" ".join(line.text for line in left).replace("Doctor Cone", "Dr. Cohen").split())
    assert " ".join(" ".join(line.text for line in read_back).split()) == plain


@pytest.mark.parametrize("finds", [True, False])
def test_what_is_reviewed_is_the_same_with_and_without_checks(built, settled, segment, material, bible, finds):
    lines, decisions = zip(*(settled(start, f"Bring Cohen {start}, quick.") for start in (1, 5, 9)), strict=True)
    other = segment(2.5, "Yes, plese.")
    merged = []
    for share in (0, 1):
        tasks = built([*lines, other], decisions, share=share, clips=3)
        assert sum(task.shown.check is not None for task in tasks) == 3 * share
        changes = {"plese": "please", **({"cone": "Cohen"} if finds else {})}
        answered = [read(task, typed(task, changes)) for task in tasks]
        assert all("cone" not in answer.answer.model_dump_json(exclude={"check"}) for answer in answered)
        made = material([*lines, other], clips=3)
        machine = Machine(made.scenes, made.transcript, made.captions)
        merged.append(merge({"s01e01": machine}, bible, answered, requote, "machine-above", 0.5))
    without, with_checks = merged
    assert with_checks.clips == without.clips
    assert with_checks.left_out == without.left_out
    assert with_checks.dialogue["s01e01"].spoken() == without.dialogue["s01e01"].spoken()
    assert with_checks.accounts == without.accounts
    assert "please" in str(with_checks.clips)
