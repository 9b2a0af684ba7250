"""A launch that nobody uses ends after the time of the person's role; the page says the way back."""

import time

import pytest

from smart_app.services import Services
from tests.smart_app.platform import Platform, launch_id


@pytest.fixture
def services(hospital: Platform, monkeypatch: pytest.MonkeyPatch) -> Services:
    """The app's, with other times for coordinators, whose clock a test sets."""
    found: Services = hospital.app.state.services
    settings = found.settings.model_copy(update={"session_idle_minutes_by_role": {"coordinator": 15, "him": 60}})
    monkeypatch.setattr(found, "settings", settings)
    return found


def test_unused_launches_end_by_role(hospital: Platform, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = time.time()
    coordinator, him = hospital.browser(), hospital.browser()
    board = f"/l/{launch_id(coordinator.sign_in('castillo'))}/"
    inbox = f"/l/{launch_id(him.sign_in('harper'))}/inbox"
    ping = f"{board}here"

    def at(minutes: float) -> None:
        monkeypatch.setattr(services, "clock", lambda: begun + 60 * minutes)

    at(14)
    assert coordinator.get(board).status_code == 200
    at(28)
    assert coordinator.get(ping, headers={"HX-Request": "true"}).status_code == 204
    at(30)
    ended = coordinator.get(ping, headers={"HX-Request": "true"})
    assert ended.status_code == 401
    assert "nothing was done here for a while" in ended.text
    shown = coordinator.get(board)
    assert shown.status_code == 401
    assert "/sign-in" in shown.text
    assert him.get(inbox).status_code == 200
    at(91)
    assert him.get(inbox).status_code == 401
