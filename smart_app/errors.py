"""Everything that can go wrong in front of a person: a sentence, what to do about it, and an HTTP status."""

from collections.abc import Sequence


class AppError(Exception):
    """Root of the app's errors; `sentence` and `remedy` are shown to the person as they are."""

    status = 500
    title = "Something went wrong"

    def __init__(self, sentence: str, remedy: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy


class Invalid(AppError):
    """What was sent cannot be used."""

    status = 400
    title = "This cannot be used"


class LaunchRefused(AppError):
    """A launch or sign-in that did not pass a check."""

    status = 400
    title = "The sign-in did not work"


class TooLarge(AppError):
    """More bytes than a person may attach."""

    status = 413
    title = "This file is too large"


class SignedOut(AppError):
    """No session, an ended one, or one whose tokens can no longer be renewed."""

    status = 401
    title = "You are signed out"


class Forbidden(AppError):
    """The person may not do or see this."""

    status = 403
    title = "This is not yours to open"


class NotFound(AppError):
    """Nothing here, or nothing that the person may know of."""

    status = 404
    title = "There is nothing here"


class Changed(AppError):
    """Somebody else changed it in the meantime."""

    status = 409
    title = "This changed in the meantime"


class Unavailable(AppError):
    """Another program does not answer."""

    status = 503
    title = "Part of the system does not answer"


class Unreadable(Unavailable):
    """Another program answered with something that cannot be understood."""

    title = "Part of the system gives an answer that cannot be read"


class FhirFailure(AppError):
    """A FHIR server said no; `sentences` are the diagnostics of its OperationOutcome.

    `after_seconds` is how long it asked to be left alone, when it did.
    """

    title = "The record server said no"

    def __init__(
        self, status: int, sentences: Sequence[str], remedy: str = "", after_seconds: float | None = None
    ) -> None:
        super().__init__(" ".join(sentences) or f"The server answered {status}.", remedy)
        self.status = status
        self.sentences = list(sentences)
        self.after_seconds = after_seconds


class Protected(FhirFailure):
    """The hospital guards this chart: the physician has to say why in the hospital's own record (break the glass)."""

    title = "The hospital protects this chart"


class Duplicate(FhirFailure):
    """What was to be created is there already (Epic's 59141); whoever creates looks for it again."""

    title = "The hospital's record holds this already"
