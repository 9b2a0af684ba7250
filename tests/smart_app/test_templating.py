"""Templates are ready before anybody asks for a page."""

from smart_app.settings import Settings
from smart_app.templating import compile_all, environment


def test_every_template_is_compiled_once() -> None:
    made = environment(Settings())
    compile_all(made)
    assert made.cache is not None
    assert len(made.cache) == len(made.list_templates()) > 50
