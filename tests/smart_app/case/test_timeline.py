"""The activity of a case in an order in which things can have happened."""

from smart_app.case.timeline import Event, in_step, newest_first


def event(text: str, moment: str, kept: str) -> Event:
    return Event(f"2026-11-{moment}:00Z", text, "circle", kept=f"2026-11-{kept}:00Z")


def test_images_stand_before_the_step_that_followed_from_them() -> None:
    """Steps are dated as they were taken, images as they came: later than steps that were written down afterwards."""
    asked = event("asked", "10T09:00", "22T08:00")
    arrived = event("arrived", "22T08:01", "22T08:01")
    offered = event("offered", "12T14:00", "22T08:02")
    signed = event("signed", "15T11:00", "22T08:03")
    shown = newest_first(in_step([asked, offered, signed, arrived]))
    assert [each.text for each in shown] == ["signed", "offered", "arrived", "asked"]
    assert [each.moment[8:16] for each in shown] == ["15T11:00", "12T14:00", "12T14:00", "10T09:00"]


def test_what_was_dated_as_it_happened_keeps_its_moment() -> None:
    asked, arrived = event("asked", "10T09:00", "10T09:00"), event("arrived", "10T09:05", "10T09:05")
    late = event("one more arrived", "12T07:00", "12T07:00")
    shown = newest_first(in_step([asked, event("offered", "10T09:30", "10T09:30"), arrived, late]))
    assert [each.text for each in shown] == ["one more arrived", "offered", "arrived", "asked"]
    assert [each.moment for each in shown] == [each.kept for each in shown]
