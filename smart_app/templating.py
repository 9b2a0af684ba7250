"""Jinja2 as the pages use it: always escaped, undefined names are errors, words for dates and names as filters."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from smart_app import words
from smart_app.case.material import study_title
from smart_app.report.form import image_of
from smart_app.settings import Settings

TEMPLATES = Path(__file__).parent / "templates"


def environment(settings: Settings) -> Environment:
    """The template environment; times are shown in the settings' zone."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    clock = words.Clock(settings.time_zone)
    made.filters.update(
        day=clock.day,
        dicom_value=lambda value, tag: (
            clock.day(words.dicom_date(value)) if tag == "(0010,0030)" else words.dicom_value(value, tag)
        ),
        study_title=lambda study: study_title(study["modalities"], study["description"]),
        dicom_day=lambda value: clock.day(words.dicom_date(value)),
        moment=clock.moment,
        full_moment=clock.full,
        ago=clock.ago,
        age=words.age,
        script_language=words.script_language,
        person=words.person_name,
        cited_image=image_of,
        concept=words.concept,
        sentence_list=words.sentence_list,
    )
    return made


def compile_all(made: Environment) -> None:
    """Compile every template now: at a page's first request it would take up to a third of a second."""
    for name in made.list_templates():
        made.get_template(name)
