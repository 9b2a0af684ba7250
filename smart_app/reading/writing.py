"""Writing a report in more than one window: one version is kept, the other is put aside and never lost."""

import json
from dataclasses import dataclass
from typing import Any

from anyio.to_thread import run_sync

from smart_app.report.form import is_empty
from smart_app.store.drafts import Draft, DraftStore

ASIDE = "aside"
Content = dict[str, Any]


@dataclass(frozen=True)
class Aside:
    """A version that another one took the place of, and when it was written (a FHIR instant, or empty)."""

    content: Content
    at: str


async def keep(drafts: DraftStore, draft: Draft, content: Content, *opened: str) -> bool:
    """Whether the content could be kept: not when another window has written since this one was opened.

    A window may always write after itself: `window` names it.  `opened` are versions that the writer has seen: the
    draft's when the page was loaded, and the one that the person chose to write over.  A window whose words are still
    being kept when it signs has written in between: it is looked at again, as often as it takes.
    """
    known: Draft | None = draft
    while known and known.state == "open":
        if known.content.get("window") != content["window"] and str(known.version) not in opened:
            return False
        if await run_sync(drafts.save, known, content):
            return True
        known = await run_sync(drafts.find, draft.id, draft.owner)
    return False


async def put_aside(drafts: DraftStore, draft: Draft, content: Content, at: str) -> None:
    """Keep a version beside the draft; an empty one is not worth it, and takes no other's place."""
    if not is_empty(content):
        words = json.dumps({"content": content, "at": at}).encode()
        await run_sync(drafts.put_part, draft.id, ASIDE, words)


async def aside(drafts: DraftStore, draft: Draft) -> Aside | None:
    """The version that was put aside."""
    found = await run_sync(drafts.part, draft.id, ASIDE)
    return Aside(**json.loads(found)) if found else None


async def swap(drafts: DraftStore, draft: Draft, at: str) -> bool:
    """Take the version put aside, and put the present one aside.  False when there is none, or somebody was faster."""
    other = await aside(drafts, draft)
    if other is None or not await run_sync(drafts.save, draft, {**other.content, "window": ""}):
        return False
    await run_sync(drafts.remove_part, draft.id, ASIDE)
    await put_aside(drafts, draft, draft.content, at)
    return True
