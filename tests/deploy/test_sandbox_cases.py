"""The stories of the demo's cases: what they name exists, and they read as they should."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.sandbox import charts, directory, people
from deploy.sandbox.cases.asking import UIDS
from deploy.sandbox.cases.calendar import clocks
from deploy.sandbox.cases.opinions import CITED
from deploy.sandbox.cases.progress import Progress
from deploy.sandbox.cases.stories import STORIES
from deploy.sandbox.cases.story import Opinion, Story
from deploy.sandbox.hospitals import HOSPITALS
from deploy.sandbox.imaging.catalogue import CONTENT, STUDIES
from deploy.sandbox.plan import Plan
from deploy.sandbox.programs import programs
from smart_app.case.codes import PRODUCTS, REASONS, URGENCIES
from smart_app.case.material import study_title, title_of
from smart_app.report.opinion import QUESTIONS

CHARTS = {
    each.key: {f"{one['resourceType']}/{one['id']}": one for one in charts.resources(each.key)} for each in HOSPITALS
}
HOME = {each.username: key for key, those in people.REQUESTERS.items() for each in those}
each_story = pytest.mark.parametrize("story", STORIES, ids=lambda story: story.key)


def opinions(story: Story) -> list[Opinion]:
    return [each for each in (story.opinion, story.amendment) if each]


def test_no_two_stories_share_a_key_or_a_number() -> None:
    assert len({each.key for each in STORIES}) == len({each.number for each in STORIES}) == len(STORIES)
    assert all(re.fullmatch(r"K-[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}", each.number) for each in STORIES)


@each_story
def test_everything_that_a_story_names_exists(story: Story) -> None:
    chart = CHARTS[HOME[story.requester]]
    assert f"Patient/{story.patient}" in chart
    assert f"Condition/{story.patient}-problem-{story.diagnosis}" in chart
    assert story.service in directory.SERVICE_LINES
    assert story.reason in REASONS and story.product in PRODUCTS and story.urgency in URGENCIES
    assert {each.key for each in story.studies} <= set(UIDS)
    assert not story.consultant or story.consultant == directory.SERVICE_LINES[story.service][2]


@each_story
def test_a_story_has_what_its_stage_needs(story: Story) -> None:
    assert bool(story.consultant) == ("offered" in story.road)
    assert bool(story.because) == (story.stage == "declined")
    assert bool(story.amendment and story.amended) == (story.stage == "report-amended")
    signed = "report-signed" in story.road
    for opinion in opinions(story) if signed else []:
        legal = zip(opinion.concordance, QUESTIONS.values(), strict=True)
        assert all(value in values for value, (_, values) in legal)
        assert opinion.answer and opinion.findings and opinion.recommendations and opinion.patient_version
    assert signed <= bool(story.opinion)
    assert all(each.question for each in story.exchanges)


@each_story
def test_what_is_cited_goes_along(story: Story) -> None:
    studies = {study.key: study for study in STUDIES}
    titles = [title_of(each) for each in CHARTS[HOME[story.requester]].values() if about(each, story.patient)]
    titles += [
        study_title([CONTENT[studies[one.key]][0]], studies[one.key].description)
        for one in story.studies
        if one.decided and not one.rejected
    ]
    for opinion in opinions(story):
        cited = [words for line in opinion.findings for words in CITED.findall(line)]
        for words in [*cited, *opinion.reviewed]:
            assert any(words.lower() in title.lower() for title in titles), words


def about(resource: dict[str, object], patient: str) -> bool:
    subject = resource.get("subject") or resource.get("patient")
    return isinstance(subject, dict) and subject.get("reference") == f"Patient/{patient}"


@each_story
def test_a_story_is_written_as_people_write(story: Story) -> None:
    texts = [story.question, story.story, story.because, story.amended]
    texts += [text for each in story.exchanges for text in (each.question, each.answer)]
    for opinion in opinions(story):
        texts += [opinion.answer, *opinion.findings, *opinion.recommendations, opinion.patient_version]
    assert not [text for text in texts if text != text.strip() or "  " in text or "\u2014" in text]
    assert len(story.question) >= 10
    assert story.stage == "draft" or story.question.endswith("?")


@pytest.mark.parametrize("days", [0, 1, 5.5, 12])
@pytest.mark.parametrize("steps", [0, 1, 6])
def test_steps_follow_each_other_in_working_hours_and_are_over(days: float, steps: int) -> None:
    present = datetime.now(UTC)
    moments = [each.now() for each in clocks(days, min(days, 0.5), steps, "America/Chicago", 3)]
    assert len(moments) == steps + 1
    assert moments == sorted(moments)
    assert moments[-1] <= present
    assert moments[0] >= present - timedelta(days=days + 3)
    assert days < 1 or moments[0].weekday() < 5


def test_progress_goes_on_where_it_stopped(tmp_path: Path) -> None:
    progress = Progress.read(tmp_path / "cases.json", ["a", "b"])
    progress.tell(state="making")
    progress.add("a")
    again = Progress.read(tmp_path / "cases.json", ["a", "b"])
    assert (again.made, again.of) == (["a"], 2)
    assert not list(tmp_path.glob("*.new"))


def test_tests_get_no_cases_and_the_demo_gets_them_last(tmp_path: Path) -> None:
    assert "cases" not in [each["name"] for each in programs(Plan(tmp_path), "key")]
    maker = programs(Plan(tmp_path, cases=True), "key")[-1]
    assert maker["name"] == "cases" and maker["once"]
    assert {"ehr", "smart_app", "dicom_gateway", "outside_pacs"} <= set(maker["depends"])
