"""A small FHIR R4 client: plain resources in and out, a person's or a system's token, pages followed only at home.

https://hl7.org/fhir/R4/http.html
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import orjson

from smart_app.errors import FhirFailure, NotFound, Unavailable, Unreadable
from smart_app.outcome import failure_of, retry_after
from smart_app.settings import origin_of

Resource = dict[str, Any]
Parameters = Mapping[str, str | Sequence[str]]
TokenSource = Callable[[], Awaitable[str]]
TokenRenewal = Callable[[str], Awaitable[str]]

JSON = "application/fhir+json"
RETRIED = frozenset({429, 500, 502, 503, 504})
TRIES, PATIENCE_SECONDS, FIRST_PAUSE_SECONDS = 3, 8.0, 0.4


@dataclass(slots=True)
class Found:
    """What a search gave: matches, what came along by _include, whether there is more than was asked for, and what the
    server says that it withholds.
    """

    matches: list[Resource] = field(default_factory=list)
    included: list[Resource] = field(default_factory=list)
    cut: bool = False
    withheld: str = ""


EXPORT = {"X-Konsil-Export": "file"}
"""Says that what is read leaves as a file; another server passes it over."""


class FhirClient:
    """One FHIR server for one person.

    Raises FhirFailure (with the server's sentences), Protected, NotFound, Unavailable, Unreadable.
    Reading is repeated: twice at most, after the pause that a busy server asks for unless that is over eight seconds.
    Writing is not: nobody knows how far it came.  `renew` gives another token for one that the server refused.
    """

    def __init__(
        self, http: httpx.AsyncClient, base: str, token: TokenSource, renew: TokenRenewal | None = None
    ) -> None:
        self._http = http
        self.base = base.rstrip("/")
        self._token = token
        self._renew = renew

    async def read(self, reference: str) -> Resource:
        """Read a resource by its relative reference.  http.html#read"""
        return await self._json("GET", reference)

    async def find(self, reference: str | None, *, taken: bool = False) -> Resource | None:
        """Read a resource that may be gone, or not ours to see: None then.  `taken`: to be taken as a file."""
        if not reference:
            return None
        try:
            return await self._json("GET", reference, headers=EXPORT if taken else {})
        except NotFound:
            return None
        except FhirFailure as failure:
            if failure.status in (403, 410):
                return None
            raise

    async def search(self, resource_type: str, parameters: Parameters, most: int = 200) -> Found:
        """Search one type, at most `most` matches over as many pages as that takes.  http.html#search"""
        found = Found()
        bundle = await self._json("GET", resource_type, params=_pairs({"_count": str(min(most, 100)), **parameters}))
        while True:
            _sort_into(found, bundle)
            following = self._next(bundle)
            if following is None or len(found.matches) >= most:
                return Found(found.matches[:most], found.included, following is not None, found.withheld)
            bundle = await self._json("GET", following)

    async def page(
        self, resource_type: str, parameters: Parameters, *, taken: bool = False
    ) -> tuple[list[Resource], str | None]:
        """One page of a search: its matches, and what `_cursor` gives the next one (None: this is the last).

        `taken`: as a file.
        """
        found = Found()
        headers = EXPORT if taken else {}
        bundle = await self._json("GET", resource_type, params=_pairs(parameters), headers=headers)
        _sort_into(found, bundle)
        following = parse_qs(urlsplit(self._next(bundle) or "").query).get("_cursor")
        return found.matches, following[0] if following else None

    async def history(self, reference: str) -> list[Resource]:
        """All versions of a resource, newest first.  http.html#history"""
        return await self._versions(f"{reference}/_history", {})

    async def type_history(self, resource_type: str, since: str | None) -> list[Resource]:
        """All versions of all resources of a type, from a moment on.  http.html#history"""
        return await self._versions(f"{resource_type}/_history", {"_since": since} if since else {})

    async def _versions(self, path: str, parameters: Parameters) -> list[Resource]:
        versions: list[Resource] = []
        bundle = await self._json("GET", path, params=_pairs({"_count": "100", **parameters}))
        while True:
            versions.extend(entry["resource"] for entry in bundle.get("entry", []) if "resource" in entry)
            following = self._next(bundle)
            if following is None:
                return versions
            bundle = await self._json("GET", following)

    async def create(self, resource: Resource, if_none_exist: str | None = None) -> Resource:
        """Create, conditionally if criteria are given.  http.html#ccreate"""
        headers = {"If-None-Exist": if_none_exist} if if_none_exist else {}
        return await self._json("POST", resource["resourceType"], resource=resource, headers=headers)

    async def update(self, resource: Resource) -> Resource:
        """Update the version that was read: If-Match from `meta.versionId`.  http.html#concurrency"""
        version = resource.get("meta", {}).get("versionId")
        headers = {"If-Match": f'W/"{version}"'} if version else {}
        path = f"{resource['resourceType']}/{resource['id']}"
        return await self._json("PUT", path, resource=resource, headers=headers)

    async def conditional_update(self, resource: Resource, criteria: str) -> Resource:
        """Update what the criteria find.  http.html#cond-update"""
        return await self._json("PUT", f"{resource['resourceType']}?{criteria}", resource=resource)

    async def transaction(self, bundle: Resource) -> Resource:
        """Send a transaction: all or nothing.  http.html#transaction"""
        return await self._json("POST", "", resource=bundle, timeout=60)

    async def operate(self, path: str, said: Mapping[str, str | int]) -> Resource:
        """Call an operation that answers with a resource; what is said goes in the body.  operations.html#executing"""
        kinds = {str: "valueString", int: "valueInteger"}
        parameters = [{"name": name, kinds[type(value)]: value} for name, value in said.items()]
        body = {"resourceType": "Parameters"} | ({"parameter": parameters} if parameters else {})
        return await self._json("POST", path, resource=body)

    async def attachment(self, found: Resource) -> tuple[bytes, str]:
        """An Attachment's bytes: inline, or from this server.  An address elsewhere is never followed."""
        content_type = str(found.get("contentType", "application/octet-stream")).split(";")[0]
        if "data" in found:
            return base64.b64decode(found["data"]), content_type
        if "url" in found:
            content, _ = await self.binary(found["url"])
            return content, content_type
        raise NotFound("The attachment is empty.")

    async def binary(self, url: str) -> tuple[bytes, str]:
        """Fetch the bytes of an attachment; only from this server's origin, since the token goes along."""
        answer = await self._send("GET", url, headers={"Accept": f"*/*, {JSON};q=0.5"})  # Oracle wants JSON named
        content_type = answer.headers.get("content-type", "application/octet-stream")
        if "fhir+json" not in content_type:
            return answer.content, content_type
        wrapped = _resource(answer.content)  # a server that gives Binary only as a resource.  binary.html#rest
        return base64.b64decode(wrapped.get("data", "")), wrapped.get("contentType", content_type)

    def _next(self, bundle: Resource) -> str | None:
        return next((link["url"] for link in bundle.get("link", []) if link.get("relation") == "next"), None)

    def _address(self, path: str) -> str:
        address = urljoin(f"{self.base}/", path)
        if origin_of(address) != origin_of(self.base):
            raise FhirFailure(502, ["The server pointed to an address elsewhere; it was not followed."])
        return address if path else self.base

    async def _json(self, method: str, path: str, *, resource: Resource | None = None, **options: Any) -> Resource:
        headers = {"Accept": JSON, "Prefer": "return=representation", **options.pop("headers", {})}
        if resource is not None:
            headers["Content-Type"] = JSON
            options["content"] = orjson.dumps(resource)
        answer = await self._send(method, path, headers=headers, **options)
        return _resource(answer.content) if answer.content else {}

    async def _send(self, method: str, path: str, *, headers: dict[str, str], **options: Any) -> httpx.Response:
        address, token = self._address(path), await self._token()
        answer = await self._once(method, address, {**headers, "Authorization": f"Bearer {token}"}, options)
        if answer.status_code == 401 and self._renew is not None:
            token = await self._renew(token)
            answer = await self._once(method, address, {**headers, "Authorization": f"Bearer {token}"}, options)
        for tried in range(1, TRIES):
            if (pause := _pause(method, answer, tried)) is None:
                break
            await asyncio.sleep(pause)
            answer = await self._once(method, address, {**headers, "Authorization": f"Bearer {token}"}, options)
        if answer.status_code == 404:
            raise NotFound("The record does not exist, or is not yours to see.")
        if answer.status_code >= 400:
            raise failure_of(answer)
        return answer

    async def _once(
        self, method: str, address: str, headers: dict[str, str], options: Mapping[str, Any]
    ) -> httpx.Response:
        try:
            return await self._http.request(method, address, headers=headers, **options)
        except httpx.HTTPError as error:
            raise Unavailable(
                "The record server does not answer.", "Nothing was lost. Try again in a moment."
            ) from error


def _pause(method: str, answer: httpx.Response, tried: int) -> float | None:
    """How long to wait before a failed reading is repeated; None: it is not."""
    if method != "GET" or answer.status_code not in RETRIED:
        return None
    asked = retry_after(answer)
    pause = FIRST_PAUSE_SECONDS * tried if asked is None else asked
    return pause if pause <= PATIENCE_SECONDS else None


def _resource(content: bytes) -> Resource:
    """The resource in an answer.  Raises Unreadable."""
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Unreadable("The record server's answer cannot be read.", "Nothing was lost. Try again later.") from error
    if not isinstance(found, dict) or "resourceType" not in found:
        raise Unreadable("The record server answered with something that is no FHIR.", "Nothing was lost.")
    return found


def _pairs(parameters: Parameters) -> list[tuple[str, str]]:
    """Query pairs; a list of values becomes the same parameter several times (AND)."""
    pairs: list[tuple[str, str]] = []
    for name, value in parameters.items():
        pairs.extend((name, each) for each in ([value] if isinstance(value, str) else value))
    return pairs


def _sort_into(found: Found, bundle: Resource) -> None:
    for entry in bundle.get("entry", []):
        resource, mode = entry.get("resource"), entry.get("search", {}).get("mode", "match")
        if resource is not None and resource["resourceType"] == "OperationOutcome":
            found.withheld = _withheld(resource) or found.withheld
        if resource is None or resource["resourceType"] == "OperationOutcome":
            continue
        known = found.matches if mode == "match" else found.included
        if not any(_same(resource, other) for other in known):  # Oracle Health repeats ids over pages
            known.append(resource)


def _withheld(outcome: Resource) -> str:
    """What an OperationOutcome says of withheld things.  http://hl7.org/fhir/issue-type#suppressed"""
    found = (str(each.get("diagnostics", "")) for each in outcome.get("issue", []) if each.get("code") == "suppressed")
    return " ".join(found)


def _same(one: Resource, other: Resource) -> bool:
    return one.get("id") == other.get("id") and one["resourceType"] == other["resourceType"]
