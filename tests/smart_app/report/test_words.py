"""Reading ease of the patient's part, and two versions compared."""

from smart_app.report.compare import as_text, compared
from smart_app.report.ease import ease_of

PLAIN = "The spot in your lung is most likely cancer. We think it can be taken out. The next step is one more test."
HARD = (
    "Histopathological examination of the mediastinal lymphadenopathy is indispensable preoperatively, since "
    "unrecognised contralateral involvement would contraindicate anatomical resection irrespective of cardiopulmonary "
    "reserve."
)


def test_plain_words_read_easily_and_long_ones_do_not() -> None:
    easy, hard = ease_of(PLAIN), ease_of(HARD)
    assert easy is not None and not easy.hard and easy.score > 80
    assert hard is not None and hard.hard and "histopathological" in hard.long


def test_a_few_words_say_nothing() -> None:
    assert ease_of("We agree.") is None


def test_only_what_differs_is_shown_and_marked() -> None:
    mine = {"answer": "Resect the lobe.", "recommendations": ["Board"], "concordance": {"diagnosis": "agree"}}
    theirs = {"answer": "Watch the lobe.", "recommendations": ["Board"], "concordance": {"diagnosis": "changed"}}
    rows = compared(mine, theirs)
    assert [row.title for row in rows] == ["Answer", "Diagnosis"]
    assert [piece.text for piece in rows[0].mine if piece.differs] == ["Resect"]
    assert [piece.text for piece in rows[0].theirs if piece.differs] == ["Watch"]
    assert compared(mine, mine) == []


def test_a_draft_as_text_says_everything() -> None:
    text = as_text({"answer": "Yes.", "findings": [{"text": "Mass", "cites": ["a", "b"]}]})
    assert text == "ANSWER\nYes.\n\nFINDINGS\nMass (2 cited)\n"
