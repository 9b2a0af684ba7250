"""Headless Chromium as a hospital's workstation has it: third-party cookies blocked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import BrowserContext, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)
BLOCK_THIRD_PARTY_COOKIES = {"profile": {"cookie_controls_mode": 1, "block_third_party_cookies": True}}

# The picture that the viewer drew: how many grey values it has, sampled.
GREYS = """() => {
  const canvas = [...document.querySelectorAll('canvas')].find(each => each.width > 200);
  if (!canvas) return 0;
  const copy = document.createElement('canvas');
  [copy.width, copy.height] = [canvas.width, canvas.height];
  copy.getContext('2d').drawImage(canvas, 0, 0);
  const data = copy.getContext('2d').getImageData(0, 0, copy.width, copy.height).data;
  const seen = new Set();
  for (let at = 0; at < data.length; at += 4 * 53) seen.add(data[at]);
  return seen.size;
}"""


@contextmanager
def workstation(profile: Path, width: int = 1440, height: int = 900) -> Iterator[BrowserContext]:
    """One person's browser with a profile of its own.  Ends with everything it opened."""
    (profile / "Default").mkdir(parents=True, exist_ok=True)
    (profile / "Default" / "Preferences").write_text(json.dumps(BLOCK_THIRD_PARTY_COOKIES))
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            headless=True,
            args=list(FLAGS),
            viewport={"width": width, "height": height},
            timezone_id="America/Chicago",
        )
        try:
            yield context
        finally:
            context.close()
