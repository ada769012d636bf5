"""The lead's desk as pages use it: the same functions, done outside of the panel's process where the show is large."""

from pipeline import desk, search
from pipeline.elsewhere import asked, figures, suggestions, waiting, warm

__all__ = ["figures", "suggestions", "waiting", "warm"]

accept = asked(desk.accept)
answered = asked(desk.answered)
change_speaker = asked(desk.change_speaker)
edits_made = asked(desk.edits_made)
found = asked(search.page)
flagged = asked(desk.flagged)
glossary = asked(desk.glossary)
preview_replace = asked(desk.preview_replace)
preview_speaker = asked(desk.preview_speaker)
refuse = asked(desk.refuse)
replace = asked(desk.replace)
send_back = asked(desk.send_back)
speakers = asked(desk.speakers)
undo = asked(desk.undo)
write_glossary = asked(desk.write_glossary)
