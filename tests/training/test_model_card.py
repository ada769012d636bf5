import pytest

from pipeline.schemas.training import HoldoutLoss, Planned, Usage
from pipeline.training.export import About
from pipeline.training.model_card import card

USAGE = [Usage(sample="a", times=3), Usage(sample="b", times=4), Usage(sample="c", times=0)]
HOLDOUT = [HoldoutLoss(step=step, loss=loss) for step, loss in ((0, 1.0), (250, 0.5), (500, 0.625))]


def about(kind="ltx2", **changed):
    config = {"rank": 32, "targets": ["to_q", "to_k"], "alpha": None, "speed": {"base": "bf16"}}
    return About(
        kind=kind, base="Lightricks/LTX-2", revision="abc", trigger='sp"ies', dataset="d1", step=250, config=config
    ).model_copy(update=changed)


def test_a_card_says_what_the_lora_is_of_what_it_learnt_from_and_how_well():
    planned = Planned(setting="bf16, selective", estimated_bytes=1, card="H100", card_bytes=2)
    text = card(about(), file="spies.safetensors", rank=32, steps=500, usage=USAGE, holdout=HOLDOUT, planned=planned)
    assert "| base model | `Lightricks/LTX-2` at `abc` |" in text
    assert "| steps | 250 of 500; the best of the checkpoints by the clips held out |" in text
    assert "| learnt from | 2 clips of 3, each used 3 to 4 times |" in text
    assert "| 0 (the base model) | 1.0000 |\n| 250 **this one** | 0.5000 |\n| 500 | 0.6250 |" in text
    assert "| speed.base | `bf16` |" in text
    assert "| targets | `to_q, to_k` |" in text
    assert "alpha |" not in text
    assert "| trained on | H100: bf16, selective |" in text
    assert "10 million USD" in text


@pytest.mark.parametrize("kind", ["ltx2", "wan21"])
def test_the_example_is_python_that_names_the_file_and_what_diffusers_has(kind):

    text = card(about(kind), file="it.safetensors", rank=4, steps=9, usage=USAGE)
    code = text.partition("```python\n")[2].partition("```")[0]
    names = {}
    exec(compile("\n".join(line for line in code.splitlines() if "import" in line), "card", "exec"), names)
    compile(code, "card", "exec")
    assert 'weight_name="it.safetensors"' in code
    assert '"sp\\"ies ..."' in code


@pytest.mark.parametrize(("kind", "licence"), [("ltx2", "other"), ("wan21", "apache-2.0")])
def test_the_hub_reads_base_model_trigger_and_licence(kind, licence):
    import yaml

    text = card(about(kind, base="./weights/mine"), file="it.safetensors", rank=4, steps=9, usage=USAGE)
    front = yaml.safe_load(text.split("---")[1])
    assert front["license"] == licence
    assert front["base_model"] in ("Lightricks/LTX-2", "Wan-AI/Wan2.1-T2V-1.3B-Diffusers")
    assert front["instance_prompt"] == 'sp"ies'


def test_without_clips_held_out_the_card_says_so_and_has_no_curve():
    text = card(about(trigger=""), file="it.safetensors", rank=4, steps=500, usage=USAGE)
    assert "no clip was held out to choose by" in text
    assert "How well" not in text
    assert "instance_prompt" not in text
