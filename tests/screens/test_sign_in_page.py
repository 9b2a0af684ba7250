"""The sign-in page with hospitals' buttons, and what follows it, in Chromium: axe, widths, keyboard, pictures."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from konsil.secrets import new_master_key
from tests.conftest import unused_port
from tests.end_to_end.browser import workstation
from tests.end_to_end.federation import ours
from tests.screens.look import Looker


def entry(name: str, title: str, issuer: str) -> dict[str, Any]:
    rules = {"roles": [{"role": "requester"}], "organization": "Organization/anna"}
    return {"name": name, "title": title, "issuer": issuer, "client_id": "konsil", "secret": "s3cret"} | rules


@pytest.mark.peer
def test_people_of_hospitals_find_their_button(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KONSIL_MASTER_KEY", new_master_key())
    looker = Looker("nowhere")
    with ours(tmp_path, "screens") as server, workstation(tmp_path / "profile") as browser:
        nobody = f"http://127.0.0.1:{unused_port()}"
        long = "Klinik und Poliklinik für Donaudampfschifffahrtsmedizin <b>am See</b>"
        server.provision(
            identity_providers=[entry("anna", "St. Anna Hospital", nobody), entry("see", long, f"{nobody}/see")]
        )
        page = browser.pages[0]
        page.goto(f"{server.url}/login")
        buttons = page.get_by_role("link", name="Sign in with")
        expect(buttons).to_have_text(["Sign in with St. Anna Hospital", f"Sign in with {long}"])
        expect(page.get_by_label("Password")).to_be_visible()
        looker.look(page, "sign-in-with-hospitals")
        page.keyboard.press("Tab")
        expect(buttons.first).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("St. Anna Hospital does not answer at the moment.")
        looker.look(page, "hospital-does-not-answer")
        page.get_by_role("link", name="Sign in another way").click()
        expect(page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()
    assert not looker.problems, "\n".join(looker.problems)
