"""The floor: what the web framework, the driver and the database cost for a read, without a FHIR server.

A bare Starlette route sends the stored bytes that one prepared query gives.
"""

import sqlite3
from typing import Any

FIND = "SELECT content FROM resource WHERE resource_type = {} AND resource_id = {}"


def serve(database_url: str, port: int) -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    find = _sqlite(database_url) if database_url.startswith("sqlite") else _postgresql(database_url)

    async def read(request: Request) -> Response:
        content = await find(request.path_params["type"], request.path_params["id"])
        return Response(content, media_type="application/fhir+json")

    app = Starlette(routes=[Route("/fhir/{type}/{id}", read)])
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", log_config=None, access_log=False)


def _sqlite(url: str) -> Any:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))

    async def find(resource_type: str, resource_id: str) -> bytes:
        return connection.execute(FIND.format("?", "?"), (resource_type, resource_id)).fetchone()[0]

    return find


def _postgresql(url: str) -> Any:
    import asyncpg

    pool: Any = None

    async def nothing(connection: Any) -> None:
        pass

    async def find(resource_type: str, resource_id: str) -> bytes:
        nonlocal pool
        pool = pool or await asyncpg.create_pool(url, min_size=8, max_size=8, reset=nothing)
        async with pool.acquire() as connection:
            return await connection.fetchval(FIND.format("$1", "$2"), resource_type, resource_id)

    return find
