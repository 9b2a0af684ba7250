"""The viewer's pages and its session: OHIF from the root of the gateway's own origin.

The app posts a single-use code by a form into the frame; the answer sets a cookie that only this frame under this
top-level site sends back (`Partitioned`), and that no script reads.
"""

import base64
import hashlib
import mimetypes
import re
from functools import lru_cache, partial
from pathlib import Path
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from dicom_gateway.audit.happened import ACCESSED
from dicom_gateway.viewer import config
from dicom_gateway.viewer.install import opens_with
from dicom_gateway.web.doors import Doors, looker, viewer_session
from dicom_gateway.web.errors import NotFound, WebError
from dicom_gateway.web.sessions import COOKIE

INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
HASHED_NAME = re.compile(r"\.[0-9a-f]{16}\.|^[0-9a-f]{16}\.")
# OHIF's own tokens in our accent; links that lead out of the hospital's network are not shown.
STYLE = ":root,.dark{--primary:183 52% 44%;--highlight:183 52% 62%;--ring:183 52% 44%}a[href^='http']{display:none}"
ENDED = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Open the images again</title>
<body style="font:14px system-ui;margin:4rem auto;max-width:32rem">
<h1 style="font-size:1.2rem">This viewer session
has ended</h1> <p>Open the images again from the case. Nothing that was signed or saved there is
lost.</p></body></html>"""


async def open_session(doors: Doors, request: Request) -> Response:
    """Turn a code into a session cookie and show its studies.

    A session of the same browser that stood before is replaced. A code that is unknown, used or older than 30 s is
    answered 400, with a page for the person in front. Raises WebError 403 for a page that is not ours.
    """
    check_origin(doors, request)
    form = await request.form()
    code = form.get("code")
    redeemed = await run_in_threadpool(doors.sessions.redeem, code) if isinstance(code, str) else None
    if redeemed is None:
        return HTMLResponse(ENDED, 400, headers={"Cache-Control": "no-store"})
    value, session = redeemed
    opened = partial(doors.looking.at, looker(request, session.token), ACCESSED, dict.fromkeys(session.studies))
    await run_in_threadpool(opened, case=session.case)
    query = urlencode({"StudyInstanceUIDs": ",".join(session.studies)}, safe=",")
    cookie = f"{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=None; Partitioned"
    return RedirectResponse(f"/viewer?{query}", 303, headers={"Set-Cookie": cookie, "Cache-Control": "no-store"})


def check_origin(doors: Doors, request: Request) -> None:
    """Codes are taken only from pages of the configured origins, or from our own.  Raises WebError 403."""
    origin = request.headers.get("origin")
    own = doors.settings.base_url.rstrip("/")
    if origin is None or origin.rstrip("/") not in {
        own,
        *(item.rstrip("/") for item in doors.settings.frame_ancestors),
    }:
        raise WebError(403, "Viewer codes are taken only from the pages of the app.")


def page(doors: Doors, request: Request) -> Response:
    """OHIF's page, for a live session; else a word on how to get one."""
    headers = {"Content-Security-Policy": policy(doors), "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    if viewer_session(doors, request) is None:
        return HTMLResponse(ENDED, 401, headers=headers)
    return HTMLResponse(index_page(doors.settings.viewer_dir), headers=headers)


@lru_cache(maxsize=4)
def index_page(folder: Path) -> bytes:
    """OHIF's only page, with a word on what it will ask for next.  Raises WebError 503 while it is not installed."""
    path = folder / "index.html"
    if not path.is_file():
        raise WebError(503, "The viewer is not installed: run `konsil dicom viewer install`.")
    ahead = "".join(f'<link rel="preload" as="{kind}" href="/{name}">' for name, kind in opens_with(folder))
    return path.read_bytes().replace(b"</head>", f"<style>{STYLE}</style>{ahead}</head>".encode())


def policy(doors: Doors) -> str:
    """Content-Security-Policy: scripts are ours by origin or hash; only the configured origins may frame the viewer."""
    hashes = " ".join(inline_hashes(index_page(doors.settings.viewer_dir)))
    ancestors = " ".join(["'self'", *doors.settings.frame_ancestors])
    return "; ".join(
        [
            "default-src 'self'",
            f"script-src 'self' 'wasm-unsafe-eval' blob: {hashes}",
            "worker-src 'self' blob:",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self' data: blob:",
            "object-src 'self' blob:",
            "frame-src 'self' blob:",
            "base-uri 'none'",
            "form-action 'none'",
            f"frame-ancestors {ancestors}",
        ]
    )


@lru_cache(maxsize=4)
def inline_hashes(html: bytes) -> tuple[str, ...]:
    """Hashes of the page's inline scripts.  CSP Level 3, 8.4"""
    digests = (hashlib.sha256(body).digest() for body in INLINE_SCRIPT.findall(html))
    return tuple(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def app_config(doors: Doors, request: Request) -> Response:
    """OHIF's configuration for this gateway."""
    content = config.script(doors.settings.viewer_banner)
    return Response(content, media_type="text/javascript", headers={"Cache-Control": "no-cache"})


def no_service_worker(doors: Doors, request: Request) -> Response:
    """Instead of OHIF's script that unregisters service workers: there were none, and in a frame it fails."""
    return Response("", media_type="text/javascript", headers={"Cache-Control": "public, max-age=3600"})


def asset(doors: Doors, request: Request) -> Response:
    """A file of the viewer, compressed when the client takes it; names with a hash are kept for good.  Raises
    NotFound.
    """
    return asset_file(doors.settings.viewer_dir, request)


def asset_file(folder: Path, request: Request) -> Response:
    """A file below a folder that holds the viewer.  Raises NotFound."""
    root = folder.resolve()
    path = (root / request.path_params["path"]).resolve()
    if not path.is_relative_to(root) or not path.is_file() or path.suffix == ".html":
        raise NotFound
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    lasting = HASHED_NAME.search(path.name) is not None
    headers = {"Cache-Control": "public, max-age=31536000, immutable" if lasting else "public, max-age=3600"}
    headers |= {"X-Content-Type-Options": "nosniff", "Vary": "Accept-Encoding"}
    squeezed = path.with_name(path.name + ".gz")
    if "gzip" in request.headers.get("accept-encoding", "") and squeezed.is_file():
        return FileResponse(squeezed, media_type=kind, headers={**headers, "Content-Encoding": "gzip"})
    return FileResponse(path, media_type=kind, headers=headers)


def routes(doors: Doors) -> list[Route]:
    """The viewer's routes; `asset` takes what no other route has taken."""
    return [
        Route("/viewer-session", doors.bind_async(open_session), methods=["POST"]),
        Route("/viewer", doors.bind(page), methods=["GET"]),
        Route("/app-config.js", doors.bind(app_config), methods=["GET"]),
        Route("/init-service-worker.js", doors.bind(no_service_worker), methods=["GET"]),
        Route("/{path:path}", doors.bind(asset), methods=["GET"]),
    ]
