"""dicom_gateway as a person may use it: always with that person's own token."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from smart_app.errors import AppError, Forbidden, NotFound, Unavailable
from smart_app.visit import Visit

WHO = "The imaging gateway"


@dataclass(frozen=True, slots=True)
class GatewayClient:
    """The gateway's own API and its DICOMweb door.  Raises NotFound, Unavailable and AppError."""

    http: httpx.AsyncClient
    base: str
    token: str

    async def priors(self, patient: str, criteria: Mapping[str, str] | None = None) -> AsyncGenerator[Any]:
        """Studies of a patient in the outside archives: what each archive says, when it is asked and when it answers.

        Whoever stops listening stops the search.
        """
        body, headers = (
            {"patient": patient, "criteria": dict(criteria or {})},
            {"Authorization": f"Bearer {self.token}"},
        )
        url = f"{self.base}/api/priors"
        try:
            async with self.http.stream("POST", url, json=body, headers=headers, timeout=75) as answer:
                _check(answer)
                async for line in answer.aiter_lines():
                    yield orjson.loads(line)
        except httpx.HTTPError as error:
            raise Unavailable(f"{WHO} does not answer.", "Nothing was lost. Try again in a moment.") from error

    async def reconciliation(self, task_id: str) -> Any:
        """What HIM staff compare: outside and local values, what would change in the images."""
        return (await self._get(f"/api/reconciliations/{task_id}")).json()

    async def thumbnail(self, task_id: str, number: int) -> bytes:
        """One preview of quarantined images, PNG."""
        return (await self._get(f"/api/reconciliations/{task_id}/thumbnails/{number}")).content

    async def image(self, task_id: str, number: int) -> bytes:
        """One of the same images, large, PNG."""
        return (await self._get(f"/api/reconciliations/{task_id}/images/{number}")).content

    async def arrivals(self) -> Any:
        """Everything that waits for a decision, compared in short, by the id of its Task."""
        return (await self._get("/api/reconciliations")).json()

    async def peers(self) -> Any:
        """The outside archives and destinations, with what is known of them."""
        return (await self._get("/api/peers")).json()["peers"]

    async def echo(self, name: str) -> Any:
        """Ask one of them whether it is there, now; it as it stands then."""
        return (await self._send("POST", f"/api/peers/{quote(name, safe='')}/echo", timeout=75)).json()

    async def transfers(self) -> Any:
        """Retrievals and forwardings, newest first."""
        return (await self._get("/api/transfers")).json()

    async def overview(self) -> Any:
        """What waits in quarantine, what could not be read, and the room that is taken and left."""
        return (await self._get("/api/overview")).json()

    async def operations(self) -> Any:
        """What waits, by kind of work, and what was given up."""
        return (await self._get("/api/operations")).json()

    async def retry(self, job: int) -> None:
        """Try once more what was given up."""
        await self._send("POST", f"/api/operations/dead/{job}/retry")

    async def resend(self, forwarding: int) -> None:
        """Send a study on once more."""
        await self._send("POST", f"/api/forwardings/{forwarding}/resend")

    async def workstations(self, studies: list[str]) -> Any:
        """This reader's own workstations, and how these studies stand with them."""
        return (await self._send("GET", "/api/workstations", params={"study": studies})).json()

    async def send_to(self, workstation: str, case: str, studies: list[str]) -> None:
        """Send studies of a case to a workstation; once more if they were sent before."""
        body = {"case": case, "workstation": workstation, "studies": studies}
        await self._send("POST", "/api/forwardings", json=body)

    async def cancel_sending(self, forwarding: int) -> None:
        """Do not send the rest."""
        await self._send("POST", f"/api/forwardings/{forwarding}/cancel")

    async def study_thumbnail(self, study_instance_uid: str) -> bytes:
        """A small picture of a study that this person may see, JPEG.  PS3.18 10.4.1.1.6"""
        return (await self._get(f"/dicom-web/studies/{study_instance_uid}/thumbnail")).content

    async def viewer_code(self, studies: list[str], case: str) -> Any:
        """A single-use code (30 s) that opens the viewer on these studies: `code`, `viewer_url`."""
        return (await self._send("POST", "/api/viewer-codes", json={"studies": studies, "case": case})).json()

    async def instances(self, study_instance_uid: str) -> list[str]:
        """SOP Instance UIDs of a study that this person can see now.  QIDO-RS, PS3.18 10.6"""
        answer = await self._send(
            "GET",
            f"/dicom-web/studies/{study_instance_uid}/instances",
            headers={"Accept": "application/dicom+json"},
            params={"limit": "20000"},
        )
        found = answer.json() if answer.status_code == 200 else []
        return [each["00080018"]["Value"][0] for each in found]

    async def media(self, method: str, path: str, **options: Any) -> httpx.Response:
        """An upload's own answer, also where it refuses: its page reads what is to be done.  Raises Unavailable."""
        headers = {**options.pop("headers", {}), "Authorization": f"Bearer {self.token}"}
        try:
            return await self.http.request(method, f"{self.base}/api/imports{path}", headers=headers, **options)
        except httpx.HTTPError as error:
            raise Unavailable(f"{WHO} does not answer.", "Nothing was lost. Try again in a moment.") from error

    async def _get(self, path: str) -> httpx.Response:
        return await self._send("GET", path)

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {**options.pop("headers", {}), "Authorization": f"Bearer {self.token}"}
        try:
            answer = await self.http.request(method, f"{self.base}{path}", headers=headers, **options)
        except httpx.HTTPError as error:
            raise Unavailable(f"{WHO} does not answer.", "Nothing was lost. Try again in a moment.") from error
        _check(answer)
        return answer


def _check(answer: httpx.Response) -> None:
    if answer.status_code == 403:
        raise Forbidden("This page belongs to another role.", "Sign in with the account that has it.")
    if answer.status_code == 404:
        raise NotFound(f"{WHO} has no such images, or they are not yours to see.")
    if answer.status_code >= 400:
        raise AppError(f"{WHO} answered {answer.status_code}.", "Try again in a moment.")


async def gateway_of(visit: Visit) -> GatewayClient:
    """The gateway for this visit's person."""
    base = visit.services.settings.gateway_url.rstrip("/")
    return GatewayClient(visit.services.clients.for_origins([base]), base, await visit.own_token())
