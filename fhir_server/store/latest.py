"""The newest observations of each code.  https://hl7.org/fhir/R4/observation-operation-lastn.html"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import select

from fhir_server import wire
from fhir_server.search.query import Query
from fhir_server.store.models import STATE, index_token, resource
from fhir_server.store.repository import Repository, Version, version_of

AT_ONCE = 500
Coding = tuple[str, str]


async def latest(repository: Repository, query: Query, most: int) -> list[Version]:
    """The newest `most` matches of each code, and what is as new as the last of them; newest first.

    Codes that one observation has together are one code, through whatever chain; those that have only a text are
    grouped by it as it is written. Raises Forbidden.
    """
    rows = await _matching(repository, query)
    texts = await _texts(repository, [row_id for row_id, (_, codings) in rows.items() if not codings])
    groups = _Groups()
    for row_id, (_, codings) in rows.items():
        groups.join(codings or [("", texts.get(row_id, ""))])
    kept: dict[Coding, list[int]] = {}
    chosen = []
    for row_id, (moment, codings) in sorted(rows.items(), key=lambda row: (-row[1][0], -row[0])):
        moments = kept.setdefault(groups.of((codings or [("", texts.get(row_id, ""))])[0]), [])
        if len(moments) < most or moments[-1] == moment:
            moments.append(moment)
            chosen.append(row_id)
    return await _versions(repository, chosen)


async def _matching(repository: Repository, query: Query) -> dict[int, tuple[int, list[Coding]]]:
    """Every match with its moment and its codes."""
    statement = select(resource.c.row_id, resource.c.moment).where(*repository.matching(query))
    found: dict[int, tuple[int, list[Coding]]] = {
        row["row_id"]: (row["moment"], []) for row in await repository.source.fetch(statement)
    }
    number = repository.number("Observation", "code")
    for part in _parts(list(found)):
        tokens = select(index_token.c.row_id, index_token.c.system, index_token.c.code).where(
            index_token.c.row_id.in_(part), index_token.c.parameter == number, index_token.c.code != ""
        )
        for row in await repository.source.fetch(tokens):
            found[row["row_id"]][1].append((row["system"], row["code"]))
    return found


def _parts(row_ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (row_ids[start : start + AT_ONCE] for start in range(0, len(row_ids), AT_ONCE))


async def _texts(repository: Repository, row_ids: Sequence[int]) -> dict[int, str]:
    found = {}
    for version in await _versions(repository, row_ids):
        code: dict[str, Any] = wire.loads(version.content or b"{}").get("code", {})
        found[version.row_id] = str(code.get("text", ""))
    return found


async def _versions(repository: Repository, row_ids: Sequence[int]) -> list[Version]:
    """Versions of rows that have been matched, in their order."""
    found: dict[int, Version] = {}
    for part in _parts(row_ids):
        statement = select(*(resource.c[name] for name in STATE)).where(resource.c.row_id.in_(part))
        found |= {row["row_id"]: version_of(row) for row in await repository.source.fetch(statement)}
    return repository.shown([found[row_id] for row_id in row_ids if row_id in found])


class _Groups:
    """Codes that mean the same: sets that are joined (union-find)."""

    def __init__(self) -> None:
        self._above: dict[Coding, Coding] = {}

    def of(self, coding: Coding) -> Coding:
        """The one that stands for its group."""
        while self._above.setdefault(coding, coding) != coding:
            self._above[coding] = self._above[self._above[coding]]
            coding = self._above[coding]
        return coding

    def join(self, codings: Iterable[Coding]) -> None:
        """Make one group of them."""
        first, *others = codings
        for other in others:
            self._above[self.of(other)] = self.of(first)
