"""What an export came to.  https://hl7.org/fhir/uv/bulkdata/STU2/export.html#response---complete-status"""

from collections.abc import Sequence
from typing import Any

from fhir_server.search.dates import instant
from fhir_server.store.exports import Export, File


def address(base: str, key: str) -> str:
    """Where an export's state is asked for."""
    return f"{base}/$export/{key}"


def manifest(base: str, export: Export, files: Sequence[File]) -> dict[str, Any]:
    """The files of a completed export, by the time that they are of."""

    def listed(kind: str) -> list[dict[str, Any]]:
        return [
            {"type": _type(file), "url": f"{address(base, export.key)}/{file.number}.ndjson", "count": file.count}
            for file in files
            if file.kind == kind
        ]

    return {
        "transactionTime": instant(export.created),
        "request": export.request,
        "requiresAccessToken": True,
        "output": listed("output"),
        "deleted": listed("deleted"),
        "error": [],
    }


def progress(export: Export, parts: int) -> str:
    """How far it is, in at most 100 characters."""
    return f"{export.done} resources, {100 * export.item // max(parts, 1)}% of the types"


def _type(file: File) -> str:
    return "Bundle" if file.kind == "deleted" else file.resource_type
