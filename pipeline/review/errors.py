"""What goes wrong between Dailies and Label Studio."""


class LabelStudioError(RuntimeError):
    """Something outside Dailies' hands is wrong with Label Studio; the message says what and what to do."""
