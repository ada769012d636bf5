"""The lead's desk as pages use it: the same functions, done outside of the panel's process where the show is large."""

from pipeline import desk, quality, search
from pipeline.elsewhere import asked, warm

__all__ = ["warm"]

accept = asked(desk.accept)
answered = asked(desk.answered)
change_speaker = asked(desk.change_speaker)
edits_made = asked(desk.edits_made)
found = asked(search.page)
figures = asked(quality.figures)
flagged = asked(desk.flagged)
glossary = asked(desk.glossary)
preview_replace = asked(desk.preview_replace)
preview_speaker = asked(desk.preview_speaker)
refuse = asked(desk.refuse)
replace = asked(desk.replace)
send_back = asked(desk.send_back)
speakers = asked(desk.speakers)
suggestions = asked(desk.suggestions)
undo = asked(desk.undo)
waiting = asked(desk.waiting)
write_glossary = asked(desk.write_glossary)
