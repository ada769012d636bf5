"""How far a transcript is from what was said: words compared by their letters, not by case and punctuation."""

import re

_SAME = {
    "9": "nine", "10": "ten", "50": "fifty", "60": "sixty", "doctor": "dr", "mister": "mr", "alright": "all right",
    "okay": "ok",
}  # fmt: skip
"""Spellings of one word, of which a recogniser may choose any."""


def plain(text: str) -> str:
    """`text` in lower case, without punctuation, with one spelling for words that have several."""
    letters = re.sub(r"[^\w' ]", " ", text.lower().replace("’", "'"))
    words = (word.strip("'") for word in letters.split())
    return " ".join(_SAME.get(word, word) for word in words if word)


def error_rate(reference: str, text: str) -> float:
    """Word error rate of `text`, both as `plain` gives them."""
    import jiwer

    return float(jiwer.wer(reference, text))


def wrong_words(reference: str, text: str) -> list[str]:
    """The reference's words that `text` lacks or has otherwise, and those that it adds where nothing was said."""
    import jiwer

    said, heard = reference.split(), text.split()
    wrong: list[str] = []
    for chunk in jiwer.process_words(reference, text).alignments[0]:
        if chunk.type == "insert":
            # A name that is heard as two words is one error, not two.
            beside = said[max(chunk.ref_start_idx - 1, 0) : chunk.ref_start_idx + 1]
            if not any(word in wrong for word in beside):
                wrong += heard[chunk.hyp_start_idx : chunk.hyp_end_idx]
        elif chunk.type != "equal":
            wrong += said[chunk.ref_start_idx : chunk.ref_end_idx]
    return wrong
