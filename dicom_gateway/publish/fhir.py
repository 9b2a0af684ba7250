"""A FHIR R4 REST client, as small as the gateway needs.  https://hl7.org/fhir/R4/http.html

Each call names its authorization: the caller's own token, or the gateway's. Links are followed only inside the
configured base, so a token never travels to another origin.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
import orjson

Resource = dict[str, Any]
JSON = "application/fhir+json"
ATTEMPTS = 6


class FhirError(Exception):
    """The server refused; `status` is its HTTP status, the text the first diagnostics of its OperationOutcome."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail


class Authorization(Protocol):
    """Who speaks: gives the Authorization header of a request."""

    def header(self) -> dict[str, str]:
        """The header to send."""
        ...


@dataclass(frozen=True, slots=True)
class Bearer:
    """A caller's own token."""

    token: str

    def header(self) -> dict[str, str]:
        """The header to send."""
        return {"Authorization": f"Bearer {self.token}"}


@dataclass(frozen=True, slots=True)
class Sent:
    """What goes out with a request: a resource or a form, and further headers."""

    body: Resource | None = None
    form: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FhirClient:
    """REST against one base.  Raises FhirError for any answer from 400 on, httpx.HTTPError when there is none."""

    client: httpx.Client
    base_url: str

    def read(self, authorization: Authorization, reference: str) -> Resource:
        """Read `Type/id`.  http.html#read"""
        return self._call("GET", f"{self.base_url}/{reference}", authorization)

    def search(self, authorization: Authorization, resource_type: str, parameters: Mapping[str, str]) -> list[Resource]:
        """All matches of a search, every page of it.  http.html#search"""
        return list(self.matches(authorization, f"{resource_type}/_search", parameters))

    def matches(self, authorization: Authorization, path: str, parameters: Mapping[str, str]) -> Iterator[Resource]:
        """Matches page by page; the criteria travel in the body, where no log keeps them."""
        bundle = self._call("POST", f"{self.base_url}/{path}", authorization, Sent(form=parameters))
        while True:
            for entry in bundle.get("entry", []):
                if entry.get("search", {}).get("mode", "match") == "match" and "resource" in entry:
                    yield entry["resource"]
            following = self.next_link(bundle)
            if following is None:
                return
            bundle = self._call("GET", following, authorization)

    def history(self, authorization: Authorization, path: str, parameters: Mapping[str, str]) -> Iterator[Resource]:
        """Versions of a history, newest first as the server gives them; deletions are left out.  http.html#history"""
        bundle = self._call("GET", f"{self.base_url}/{path}?{httpx.QueryParams(dict(parameters))}", authorization)
        while True:
            yield from (entry["resource"] for entry in bundle.get("entry", []) if "resource" in entry)
            following = self.next_link(bundle)
            if following is None:
                return
            bundle = self._call("GET", following, authorization)

    def next_link(self, bundle: Resource) -> str | None:
        """The next page, if it lies under our base.  Raises FhirError when it does not."""
        for link in bundle.get("link", []):
            if link.get("relation") == "next":
                url = str(link["url"])
                if not url.startswith(f"{self.base_url}/") and not url.startswith(f"{self.base_url}?"):
                    raise FhirError(502, "The server's next link leads to another origin.")
                return url
        return None

    def create(self, authorization: Authorization, resource: Resource) -> Resource:
        """Create.  http.html#create"""
        return self._call("POST", f"{self.base_url}/{resource['resourceType']}", authorization, Sent(body=resource))

    def update(self, authorization: Authorization, resource: Resource) -> Resource:
        """Update with If-Match on the version in `meta`.  http.html#concurrency"""
        url = f"{self.base_url}/{resource['resourceType']}/{resource['id']}"
        match = {"If-Match": f'W/"{resource["meta"]["versionId"]}"'}
        return self._call("PUT", url, authorization, Sent(body=resource, headers=match))

    def put_new(self, authorization: Authorization, resource: Resource) -> None:
        """Create a resource under an id that we chose.  http.html#upsert"""
        url = f"{self.base_url}/{resource['resourceType']}/{resource['id']}"
        self._call("PUT", url, authorization, Sent(body=resource))

    def amend(
        self, authorization: Authorization, reference: str, change: Callable[[Resource], Resource | None]
    ) -> Resource:
        """Read, change and write until nobody wrote in between; `change` gives None when there is nothing to do."""
        for attempt in range(ATTEMPTS):
            resource = self.read(authorization, reference)
            changed = change(resource)
            if changed is None:
                return resource
            try:
                return self.update(authorization, changed)
            except FhirError as error:
                if error.status not in {409, 412} or attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    def transaction(self, authorization: Authorization, entries: list[Resource]) -> list[Resource]:
        """All or nothing; gives the entries of the answer, in order.  http.html#transaction"""
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        return list(self._call("POST", self.base_url, authorization, Sent(body=bundle)).get("entry", []))

    def _call(self, method: str, url: str, authorization: Authorization, sent: Sent | None = None) -> Resource:
        sent = sent or Sent()
        headers = {"Accept": JSON, **authorization.header(), **sent.headers}
        content = None if sent.body is None else orjson.dumps(sent.body)
        if content is not None:
            headers["Content-Type"] = JSON
        answer = self.client.request(method, url, headers=headers, content=content, data=sent.form)
        if answer.status_code >= 400:
            raise FhirError(answer.status_code, first_diagnostics(answer))
        parsed = orjson.loads(answer.content) if answer.content else {}
        return parsed if isinstance(parsed, dict) else {}


def first_diagnostics(answer: httpx.Response) -> str:
    """What the server says went wrong, else its reason phrase."""
    try:
        issues = orjson.loads(answer.content).get("issue", [])
    except (orjson.JSONDecodeError, AttributeError):
        return answer.reason_phrase
    texts = [issue.get("diagnostics") or issue.get("details", {}).get("text") for issue in issues]
    return next((text for text in texts if text), answer.reason_phrase)
