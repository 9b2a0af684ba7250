import pytest

from konsil.assignments import NotAssigned, assigned, table


def test_values_are_json_or_text() -> None:
    texts = ["name=Lab = one", "port=104", "off=true", 'list=["a"]', "none=null", "empty="]
    expected = {"name": "Lab = one", "port": "104", "off": True, "list": ["a"], "none": None, "empty": ""}
    assert assigned(texts) == expected


@pytest.mark.parametrize("text", ["name", "=x", "a b=c", "list=[1", 'x={"a"'])
def test_what_is_no_assignment(text: str) -> None:
    with pytest.raises(NotAssigned):
        assigned([text])


def test_columns_are_as_wide_as_they_need() -> None:
    rows = [{"a": "long", "b": True}, {"a": None, "b": ["x", "y"]}]
    assert table(rows, ("a", "b")) == "a     b\nlong  yes\n      x y"
