"""A launch that nobody uses ends: after a time that depends on the person's role.

Pages that are loaded and forms that are sent are use; what an open page asks by itself (HTMX's GET, event streams) is
not, or a forgotten page would keep its session alive.
"""

from anyio.to_thread import run_sync
from starlette.requests import Request

from smart_app.errors import SignedOut
from smart_app.launches import Launch
from smart_app.services import Services
from smart_app.settings import Settings
from smart_app.tokens import give_back

TOUCH_SECONDS = 30


async def check(services: Services, launch: Launch, request: Request) -> None:
    """Note the use; a launch that was unused for too long ends, its tokens are given back.  Raises SignedOut."""
    now = services.clock()
    unused = now - await run_sync(services.sessions.used_at, launch.id)
    if unused > idle_seconds(services.settings, launch):
        await give_back(services, await run_sync(services.sessions.end_launch, launch.id))
        way = (
            "Open the app again from the patient's chart." if launch.tenant else "Sign in again; your drafts are kept."
        )
        raise SignedOut("You were signed out because nothing was done here for a while.", way)
    if unused > TOUCH_SECONDS and is_use(request):
        await run_sync(services.sessions.use, launch.id, now)


def idle_seconds(settings: Settings, launch: Launch) -> float:
    """How long a launch may be unused: the shortest time of the person's roles."""
    by_role = settings.session_idle_minutes_by_role
    return 60 * min([settings.session_idle_minutes, *(by_role[role] for role in launch.roles if role in by_role)])


def is_use(request: Request) -> bool:
    """Whether a person did something."""
    by_itself = request.headers.get("HX-Request") == "true" or "event-stream" in request.headers.get("accept", "")
    return request.method == "POST" or not by_itself
