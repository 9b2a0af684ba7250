"""QIDO-RS, clause by clause."""

from uuid import uuid4

import pytest
from pydicom.dataset import Dataset

from tests.conformance.dicomweb.client import Server, values
from tests.dicom_gateway.web.data import slices

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"


def patient(server: Server, count: int = 1, **attributes: object) -> tuple[str, Dataset]:
    """A CT series of a patient that no other test has."""
    unique = uuid4().hex[:12].upper()
    return unique, server.store(*slices(count, PatientID=unique, **attributes))[0]


@pytest.mark.spec("PS3.18 10.6.3.3")
def test_answers_are_dicom_json_with_the_attributes_of_the_table(server: Server) -> None:
    unique, head = patient(server, 3)
    answer = server.get("/studies", "application/dicom+json", PatientID=unique)
    assert answer.headers["content-type"].startswith("application/dicom+json")
    (study,) = answer.json()
    assert study["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Okafor^Amara"}]}
    assert study["00080061"]["Value"] == ["CT"]
    assert (study["00201206"]["Value"], study["00201208"]["Value"]) == ([1], [3])
    assert {"00080020", "00080030", "00080050", "00100020", "00100030", "00100040", "00200010"} <= set(study)


@pytest.mark.spec("PS3.18 Table 10.6.3-3")
def test_retrieve_url_of_an_answer_can_be_retrieved(server: Server) -> None:
    unique, head = patient(server, 2)
    url = values(server.found("/studies", PatientID=unique), "00081190")[0]
    assert str(url).endswith(f"/studies/{head.StudyInstanceUID}")
    assert len(server.found(f"{url}/metadata")) == 2


@pytest.mark.spec("PS3.18 Table 10.6.1-2")
def test_all_six_resources_can_be_searched(server: Server) -> None:
    unique, head = patient(server, 2)
    study = f"/studies/{head.StudyInstanceUID}"
    series = f"{study}/series/{head.SeriesInstanceUID}"
    assert values(server.found("/studies", PatientID=unique), STUDY) == [head.StudyInstanceUID]
    assert values(server.found("/series", PatientID=unique), SERIES) == [head.SeriesInstanceUID]
    assert values(server.found(f"{study}/series"), SERIES) == [head.SeriesInstanceUID]
    for path in (f"{study}/instances", f"{series}/instances"):
        assert sorted(map(int, map(str, values(server.found(path), "00200013")))) == [1, 2]
    assert len(server.found("/instances", PatientID=unique)) == 2


@pytest.mark.spec("PS3.18 Table 10.6.3-4")
def test_series_has_its_counts_and_modality(server: Server) -> None:
    _, head = patient(server, 3)
    (series,) = server.found(f"/studies/{head.StudyInstanceUID}/series")
    assert (series["00080060"]["Value"], series["00201209"]["Value"]) == (["CT"], [3])


@pytest.mark.spec("PS3.18 10.6.3.1")
def test_nothing_found_is_204_without_a_body(server: Server) -> None:
    answer = server.get("/studies", "application/dicom+json", PatientID=uuid4().hex)
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.spec("PS3.18 8.3.4.1, PS3.4 C.2.2.2")
@pytest.mark.parametrize(
    ("name", "value", "hits"),
    [
        ("PatientID", "{id}", 1),
        ("00100020", "{id}", 1),
        ("PatientID", "{half}*", 1),
        ("PatientID", "{short}?", 1),
        ("PatientID", "{lower}x", 0),
        ("PatientName", "Okafor^*", 1),
        ("StudyDate", "20250101-20250131", 1),
        ("StudyDate", "20250102", 1),
        ("StudyDate", "20250102-", 1),
        ("StudyDate", "-20250102", 1),
        ("StudyDate", "-20241231", 0),
        ("StudyTime", "100000-110000", 1),
        ("StudyTime", "110000-120000", 0),
        ("ModalitiesInStudy", "CT", 1),
        ("ModalitiesInStudy", "MR", 0),
        ("StudyInstanceUID", "1.2.3,{study}", 1),
        ("StudyInstanceUID", "1.2.3\\{study}", 1),
        ("AccessionNumber", "ACC1", 1),
        ("AccessionNumber", "", 1),
        ("AccessionNumber", "ACC2", 0),
    ],
)
def test_matching(server: Server, name: str, value: str, hits: int) -> None:
    unique, head = patient(server)
    known = {"id": unique, "half": unique[:10], "short": unique[:-1], "lower": unique.lower()}
    match = {"PatientID": unique, name: value.format(study=head.StudyInstanceUID, **known)}
    if name == "00100020":
        del match["PatientID"]
    assert len(server.found("/studies", **match)) == hits


@pytest.mark.spec("PS3.18 8.3.4.3")
@pytest.mark.parametrize("field", ["InstitutionName", "00080080", "00080050,00080080", "all"])
def test_includefield_adds_attributes(server: Server, field: str) -> None:
    _, head = patient(server, InstitutionName="St. Anna")
    path = f"/studies/{head.StudyInstanceUID}/series"
    assert "00080080" not in server.found(path)[0]
    assert server.found(path, includefield=field)[0]["00080080"]["Value"] == ["St. Anna"]


@pytest.mark.spec("PS3.18 10.6.3.1")
@pytest.mark.parametrize("query", ["includefield=NoSuchAttribute", "NoSuchAttribute=1", "limit=-1", "offset=many"])
def test_wrong_query_is_400(server: Server, query: str) -> None:
    assert server.get(f"/studies?{query}", "application/dicom+json").status_code == 400


@pytest.mark.spec("PS3.18 8.3.4.4")
def test_pages_neither_repeat_nor_miss(server: Server) -> None:
    accession = uuid4().hex[:12]
    server.store(*[file for number in range(7) for file in slices(1, PatientID=uuid4().hex, AccessionNumber=accession)])
    whole = values(server.found("/studies", AccessionNumber=accession), STUDY)
    pages = [server.found("/studies", AccessionNumber=accession, limit=3, offset=start) for start in (0, 3, 6)]
    assert [len(page) for page in pages] == [3, 3, 1]
    assert len(set(whole)) == 7 and [uid for page in pages for uid in values(page, STUDY)] == whole


@pytest.mark.spec("PS3.18 8.3.4.4")
def test_offset_behind_the_end_is_204(server: Server) -> None:
    unique, _ = patient(server)
    answer = server.get("/studies", "application/dicom+json", PatientID=unique, offset=5)
    assert answer.status_code == 204


@pytest.mark.spec("PS3.18 8.3.4.2")
def test_fuzzy_matching_is_done_or_warned_of(server: Server) -> None:
    unique, _ = patient(server)
    answer = server.get("/studies", "application/dicom+json", PatientID=unique, fuzzymatching="true")
    assert answer.status_code == 200
    name = server.get("/studies", "application/dicom+json", PatientName="Amara Okafor", fuzzymatching="true")
    assert name.headers.get("warning", "").startswith("299 ") or unique in name.text


@pytest.mark.spec("PS3.18 F.2.2")
def test_names_keep_their_component_groups(server: Server) -> None:
    unique, _ = patient(server, SpecificCharacterSet="ISO_IR 192", PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう")
    (study,) = server.found("/studies", PatientID=unique)
    groups = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
    assert study["00100010"]["Value"] == [groups]


@pytest.mark.spec("PS3.18 8.3.4.1")
def test_search_by_a_name_in_another_script(server: Server) -> None:
    family = f"山田{uuid4().hex[:6]}"
    unique, _ = patient(server, SpecificCharacterSet="ISO_IR 192", PatientName=f"Yamada^Tarou={family}^太郎")
    assert values(server.found("/studies", PatientName=f"*{family}*"), "00100020") == [unique]


@pytest.mark.spec("PS3.18 8.7.3.2")
def test_answers_as_native_dicom_xml(server: Server) -> None:
    unique, head = patient(server)
    answer = server.get("/studies", 'multipart/related; type="application/dicom+xml"', PatientID=unique)
    assert answer.status_code == 200 and "application/dicom+xml" in answer.headers["content-type"]
    assert head.StudyInstanceUID in answer.text and 'keyword="StudyInstanceUID"' in answer.text
