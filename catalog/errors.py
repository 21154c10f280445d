"""The project's one error type. Every refusal a user can meet is a named subclass.

An error carries a ``code`` for programs, a ``text`` naming the cause and a ``cure``; both are
marked for translation here and translated where they are shown, so the core stays free of Django.
"""

from __future__ import annotations


def gettext_noop(text: str) -> str:
    """Mark ``text`` for ``makemessages`` without importing Django."""
    return text


class LookalikeError(Exception):
    """Base of every error the project raises on purpose.

    ``text`` and ``cure`` are %-templates filled from the keyword arguments; ``status`` is the HTTP
    status an API answers with.
    """

    code = "error"
    text = gettext_noop("Something went wrong.")
    cure = ""
    status = 400

    def __init__(self, **params: object) -> None:
        self.params = params
        super().__init__(self.render(str))

    def render(self, translate: type[str] | object = str) -> str:
        """Cause and cure in one line; ``translate`` maps a template to the reader's language."""
        say = translate if callable(translate) else str
        parts = [say(part) % self.params for part in (self.text, self.cure) if part]
        return " ".join(str(part) for part in parts)


class NotFound(LookalikeError):
    code = "not_found"
    text = gettext_noop("%(what)s was not found.")
    status = 404


class JobCancelled(LookalikeError):
    code = "cancelled"
    text = gettext_noop("The job was cancelled.")
    cure = gettext_noop("Start it again to go on from where it stopped.")
