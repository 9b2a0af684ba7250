"""What a web door answers when it cannot do what was asked, mapped to HTTP in one place (`web/http.py`)."""


class WebError(Exception):
    """An answer other than success: an HTTP status and one sentence without patient data."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


class NotFound(WebError):
    """404: absent, or not shown to this caller; the two look alike."""

    def __init__(self, detail: str = "No such object.") -> None:
        super().__init__(404, detail)


class Forbidden(WebError):
    """403: the caller is known, and this belongs to another role."""

    def __init__(self, detail: str) -> None:
        super().__init__(403, detail)


class NotAcceptable(WebError):
    """406: none of the acceptable media types can be made.  PS3.18 8.7.8"""

    def __init__(self, detail: str) -> None:
        super().__init__(406, detail)


class Unauthenticated(WebError):
    """401: neither a bearer token nor a live viewer session."""

    def __init__(self) -> None:
        super().__init__(401, "A bearer token or a viewer session is needed.", {"WWW-Authenticate": "Bearer"})
