"""dicom_gateway as a person may use it: always with that person's own token."""

from dataclasses import dataclass
from typing import Any

import httpx

from smart_app.errors import AppError, NotFound, Unavailable
from smart_app.visit import Visit

WHO = "The imaging gateway"


@dataclass(frozen=True, slots=True)
class GatewayClient:
    """The gateway's own API and its DICOMweb door.  Raises NotFound, Unavailable and AppError."""

    http: httpx.AsyncClient
    base: str
    token: str

    async def priors(self, patient: str) -> Any:
        """Studies of a patient in the outside archives, and how each archive answered: up to a minute."""
        return (await self._send("POST", "/api/priors", json={"patient": patient}, timeout=60)).json()

    async def reconciliation(self, task_id: str) -> Any:
        """What HIM staff compare: outside and local values, what would change in the images."""
        return (await self._get(f"/api/reconciliations/{task_id}")).json()

    async def thumbnail(self, task_id: str, number: int) -> bytes:
        """One preview of quarantined images, PNG."""
        return (await self._get(f"/api/reconciliations/{task_id}/thumbnails/{number}")).content

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

    async def _get(self, path: str) -> httpx.Response:
        return await self._send("GET", path)

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {**options.pop("headers", {}), "Authorization": f"Bearer {self.token}"}
        try:
            answer = await self.http.request(method, f"{self.base}{path}", headers=headers, **options)
        except httpx.HTTPError as error:
            raise Unavailable(f"{WHO} does not answer.", "Nothing was lost. Try again in a moment.") from error
        if answer.status_code == 404:
            raise NotFound(f"{WHO} has no such images, or they are not yours to see.")
        if answer.status_code >= 400:
            raise AppError(f"{WHO} answered {answer.status_code}.", "Try again in a moment.")
        return answer


async def gateway_of(visit: Visit) -> GatewayClient:
    """The gateway for this visit's person."""
    base = visit.services.settings.gateway_url.rstrip("/")
    return GatewayClient(visit.services.clients.for_origins([base]), base, await visit.own_token())
