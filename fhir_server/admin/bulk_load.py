"""Bulk load: files cut into pieces, loaded by several processes, each piece in one transaction.

Killed at any moment, the next run goes on with the pieces that are not in the database yet.
"""

import asyncio
import json
import multiprocessing
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.util import Finalize
from pathlib import Path
from time import time_ns
from typing import ClassVar, TextIO, TypeVar

from fhir_server.admin.piece_loading import Done, load_piece
from fhir_server.admin.sources import Piece, files_of, pieces_of
from fhir_server.app import open_node, prepare_schema
from fhir_server.auth.records import registrar
from fhir_server.context import Context
from fhir_server.settings import Settings
from fhir_server.store.database import Database, connect
from fhir_server.store.load_marks import forget_marks, gather_statistics, marks
from konsil.collector import expect_large_requests

# Nobody waits for an answer.
UNLIMITED = {"search_seconds": 0.0}
# Bytes done, bytes altogether.
Progress = Callable[[int, int], None]
Result = TypeVar("Result")


@dataclass(slots=True)
class Loaded:
    """What came of a load; `resumed` pieces had been loaded by a run that was stopped."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0
    resumed: int = 0


@dataclass(frozen=True, slots=True)
class Load:
    """What to load: files and folders, for the resources without a patient's organization this one."""

    places: Sequence[Path]
    organization: str | None = None
    processes: int = os.cpu_count() or 1


def bulk_load(settings: Settings, load: Load, errors: TextIO, progress: Progress) -> Loaded:
    """Load everything; what cannot be loaded goes to `errors`, a JSON object a line. Raises Contention."""
    pieces = pieces_of(files_of(load.places))
    prepare_schema(settings)
    before = asyncio.run(_with(settings, marks))
    loaded = Loaded(resumed=sum(piece.mark in before for piece in pieces))
    total = sum(piece.size for piece in pieces)
    position = sum(piece.size for piece in pieces if piece.mark in before)
    progress(position, total)
    todo = [piece for piece in pieces if piece.mark not in before]
    with _pool(settings, load, len(todo)) as pool:
        for done in _by_wave(pool, todo):
            position += done.piece.size
            _add(loaded, done, errors)
            progress(position, total)
    asyncio.run(_with(settings, lambda database: forget_marks(database, [piece.mark for piece in pieces])))
    asyncio.run(_with(settings, gather_statistics))
    return loaded


@contextmanager
def _pool(settings: Settings, load: Load, pieces: int) -> Iterator[Executor]:
    """Processes with a node each; for one, or for little, none but this."""
    setup = (settings, load.organization)
    if min(load.processes, pieces) > 1:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(load.processes, pieces), spawn, _start_process, setup) as pool:
            yield pool
    else:
        with ThreadPoolExecutor(1, "bulk-load", _start, setup) as pool:
            try:
                yield pool
            finally:
                pool.submit(_stop).result()


def _by_wave(pool: Executor, pieces: Sequence[Piece]) -> Iterator[Done]:
    for wave in sorted({piece.wave for piece in pieces}):
        waiting: list[Future[Done]] = [pool.submit(_load, piece) for piece in pieces if piece.wave == wave]
        try:
            for future in as_completed(waiting):
                yield future.result()
        finally:
            for future in waiting:
                future.cancel()


def _add(loaded: Loaded, done: Done, errors: TextIO) -> None:
    loaded.created += done.created
    loaded.updated += done.updated
    loaded.unchanged += done.unchanged
    loaded.refused += len(done.problems)
    loaded.resumed += done.again
    for file, line, expression, diagnostics in done.problems:
        problem = {"file": file, "line": line, "expression": expression, "diagnostics": diagnostics}
        errors.write(json.dumps(problem) + "\n")
    errors.flush()


async def _with(settings: Settings, work: Callable[[Database], Awaitable[Result]]) -> Result:
    database = await connect(settings.database_url, 1)
    try:
        return await work(database)
    finally:
        await database.close()


class _Worker:
    """Who loads in one process, with a node of its own."""

    here: ClassVar["_Worker"]

    def __init__(self, settings: Settings, organization: str | None) -> None:
        self.caller = registrar(organization)
        self.runner = asyncio.Runner()
        self.open = AsyncExitStack()
        self.node = self.runner.run(self.open.enter_async_context(open_node(settings.model_copy(update=UNLIMITED))))

    def load(self, piece: Piece) -> Done:
        ctx = Context.of(self.node, self.caller, time_ns() // 1000)
        return self.runner.run(load_piece(ctx, piece))

    def close(self) -> None:
        self.runner.run(self.open.aclose())
        self.runner.close()


def _start(settings: Settings, organization: str | None) -> None:
    _Worker.here = _Worker(settings, organization)


def _start_process(settings: Settings, organization: str | None) -> None:
    expect_large_requests()
    _start(settings, organization)
    Finalize(None, _stop, exitpriority=10)


def _stop() -> None:
    _Worker.here.close()


def _load(piece: Piece) -> Done:
    return _Worker.here.load(piece)
