"""Opening a model behind an OpenAI-compatible server: vLLM, SGLang, llama.cpp, `transformers serve`.

What the server can do is found out by asking it, once, with tiny requests: whether it has the model, keeps to a schema,
gives probabilities, takes pictures and sound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from pipeline.engine import fingerprint
from pipeline.engine.work import Services
from pipeline.models import vlm_messages, vlm_parsing
from pipeline.models.vlm import SOUND_HZ, Part, Picture, Request, Sound, Text
from pipeline.models.vlm_served import SAMPLES_WITHOUT_LOGPROBS, ServedVlm, response_format, tokens_of
from pipeline.models.vlm_server import URL_SETTING, RefusedError, Server, ServerError
from pipeline.schemas.weights import Choice

PATIENCE = 300.0
"""Seconds for which a server that is busy or restarting is asked again before its step fails."""

_BARE = {"temperature": 0.0, "stream": False}
_PROBE = {
    "type": "object",
    "properties": {"ok": {"type": "string", "enum": ["yes"]}},
    "required": ["ok"],
    "additionalProperties": False,
}


@contextmanager
def served(choice: Choice, services: Services, patience: float = PATIENCE) -> Iterator[ServedVlm]:
    """Open `choice` on the model server of `services`. Raises ServerError where it cannot answer."""
    if not services.model_server_url:
        raise ServerError(f"no model server is set: set {URL_SETTING} to one that serves {choice.model}")
    server = Server(services.model_server_url, services.model_server_key, patience=patience)
    try:
        yield _opened(choice, server)
    finally:
        server.close()


def _opened(choice: Choice, server: Server) -> ServedVlm:
    listed = server.models()
    known = {str(each.get("id")): each for each in listed}
    vlm = ServedVlm(server, choice.model, choice.revision or "", video=choice.video)
    missing = f"the model server at {server.url} has no model {choice.model!r}"
    remedy = f"it serves {', '.join(known)}: name one of them" if known else "start it with that model"
    body = {
        **_BARE,
        "model": choice.model,
        "messages": [{"role": "user", "content": 'Answer {"ok": "yes"}'}],
        "max_tokens": 16,
        "seed": 0,
        "logprobs": True,
        "response_format": response_format(_PROBE),
    }
    try:
        found = vlm.chat(body)
    except RefusedError as error:
        if error.status == 404 or "model" in error.message.lower():
            raise ServerError(f"{missing} ({error.message}); {remedy}") from error
        raise
    # Some servers answer with the model that they have, whatever they are asked for.
    if known and choice.model not in known and str(found.get("model", "")).partition("@")[0] != choice.model:
        raise ServerError(f"{missing}; {remedy}")
    answer = found["choices"][0]
    if not tokens_of(answer):
        vlm.leave_out("logprobs", f"it gives none, so {SAMPLES_WITHOUT_LOGPROBS} answers are compared instead")
    if vlm_parsing.parse((answer.get("message") or {}).get("content") or "", _PROBE).data is None:
        vlm.note("the model server does not hold answers to their schema: they are checked, and asked for again")
    vlm.sees = _takes(vlm, choice.sees, "pictures")
    vlm.hears = _takes(vlm, choice.hears, "sound")
    vlm.revision = choice.revision or _revision(choice, known.get(choice.model, {}))
    return vlm


def _takes(vlm: ServedVlm, said: bool | None, what: Literal["pictures", "sound"]) -> bool:
    """Whether it takes pictures or sound, as was said, or as it answers when it is given some."""
    import numpy as np

    if said is not None:
        return said
    grey, silence = np.full((64, 64, 3), 128, np.uint8), np.zeros(SOUND_HZ, np.float32)
    part = Picture(grey) if what == "pictures" else Sound(silence)
    try:
        with_it, without = _read(vlm, part, Text("Answer yes.")), _read(vlm, Text("Answer yes."))
    except ServerError as error:
        vlm.note(f"{vlm.name} takes no {what} ({error})")
        return False
    if 0 < with_it <= without:
        # Some servers drop what they cannot use without a word; the prompt's length tells.
        vlm.note(f"{vlm.name} takes no {what}: the model server leaves it out of the prompt")
        return False
    return True


def _read(vlm: ServedVlm, *parts: Part) -> int:
    """Tokens of a prompt, as the server counts them; 0 where it does not."""
    messages = vlm_messages.messages(Request("", parts, {}), "frames")
    found = vlm.chat({**_BARE, "model": vlm.name, "messages": messages, "max_tokens": 1})
    return (found.get("usage") or {}).get("prompt_tokens") or 0


def _revision(choice: Choice, listed: Mapping[str, Any]) -> str:
    """Which weights the server says it has: what it tells of their origin and size, as a digest.

    No server tells a commit, so weights that are replaced under the same name are only noticed where these facts
    change; `revision` in the settings says it for certain.
    """
    # vLLM tells where the weights came from, llama.cpp how many parameters and bytes; times of start are no facts.
    facts = {name: listed[name] for name in ("id", "root", "parent", "meta", "owned_by") if listed.get(name)}
    return f"served:{fingerprint.of_value('served', [choice.model, facts])[:16]}"
