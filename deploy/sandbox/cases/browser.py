"""As much of a browser as signing in and posting forms needs: cookies, redirects, the Origin of a form."""

import re
from html import unescape
from urllib.parse import urlsplit

import httpx

HIDDEN = re.compile(r'<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"')
ACTION = re.compile(r'<form[^>]*action="([^"]*)"')
MOST_REDIRECTS = 12
Form = dict[str, str | list[str]]


class PageError(Exception):
    """A page did not answer as it does to a person; names the address without its query, and the status."""


class Browser:
    """One person's browser.  Secure cookies go to loopback, as in real ones."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._cookies: dict[str, dict[str, str]] = {}

    async def get(self, url: str, until: str = "") -> httpx.Response:
        """GET, redirects followed; with `until`, up to the redirect to an address that begins so."""
        return await self._follow(await self._request("GET", url), until)

    async def post(self, url: str, form: Form, until: str = "", **headers: str) -> httpx.Response:
        """POST a form as its own page would send it."""
        return await self._follow(await self._request("POST", url, data=form, headers=headers), until)

    async def _follow(self, answer: httpx.Response, until: str) -> httpx.Response:
        for _ in range(MOST_REDIRECTS):
            if answer.status_code not in (301, 302, 303, 307):
                return self._ok(answer)
            target = str(answer.url.join(answer.headers["location"]))
            if until and target.startswith(until):
                return answer
            answer = await self._request("GET", target)
        raise PageError(f"{place(answer)}: too many redirects")

    def _ok(self, answer: httpx.Response) -> httpx.Response:
        if answer.status_code >= 400:
            raise PageError(f"{place(answer)} answered {answer.status_code}")
        return answer

    async def _request(self, method: str, url: str, **options: object) -> httpx.Response:
        parts = urlsplit(url)
        cookies = self._cookies.setdefault(parts.hostname or "", {})
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
        if method == "POST":
            headers["Origin"] = f"{parts.scheme}://{parts.netloc}"
        given = options.pop("headers", None)
        headers |= {name.replace("_", "-"): value for name, value in given.items()} if isinstance(given, dict) else {}
        answer = await self._http.request(method, url, headers=headers, **options)  # type: ignore[arg-type]
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            cookies[name] = value
        return answer


def place(answer: httpx.Response) -> str:
    """An address without its query, which may hold codes."""
    return str(answer.url.copy_with(query=None))


def hidden_fields(page: str) -> Form:
    """The hidden fields of a page's forms."""
    return {name: unescape(value) for name, value in HIDDEN.findall(page)}


def form_action(page: httpx.Response) -> str:
    """Where the page's first form goes."""
    found = ACTION.search(page.text)
    return str(page.url.join(unescape(found.group(1)))) if found and found.group(1) else str(page.url)


def redirect_query(answer: httpx.Response) -> dict[str, str]:
    """The parameters of the address that an answer redirects to."""
    return dict(answer.url.join(answer.headers["location"]).params)
