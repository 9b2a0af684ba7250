"""What was changed of something that administrators look after: kept in words, never a secret."""

from collections.abc import Collection, Mapping
from typing import Any

LONGEST_TEXT = 1000
NOTHING, REPLACED = "nothing", "another one"


def differences(
    before: Mapping[str, Any] | None, after: Mapping[str, Any], secret: Collection[str] = ()
) -> list[tuple[str, str]]:
    """Members that differ, each as `from → to`; of a member in `secret` only that it is another one."""
    old = before or {}
    changed = [name for name in after if old.get(name) != after[name]]
    return [(name, _told(name in secret, before is None, old.get(name), after[name])) for name in changed]


def in_words(value: Any) -> str:
    """A value as a text of bounded length."""
    if isinstance(value, Mapping):
        value = [f"{name}={in_words(each)}" for name, each in value.items()]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | set | frozenset):
        value = " ".join(sorted(map(str, value)) if isinstance(value, set | frozenset) else map(str, value))
    return NOTHING if value in (None, "") else str(value)[:LONGEST_TEXT]


def _told(secret: bool, new: bool, old: Any, value: Any) -> str:
    if secret:
        return NOTHING if value is None else REPLACED
    return in_words(value) if new else f"{in_words(old)} → {in_words(value)}"
