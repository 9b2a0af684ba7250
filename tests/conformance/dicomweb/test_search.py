"""QIDO-RS, clause by clause."""

import httpx
import pytest

from dicom_gateway.gateway import Gateway
from tests.dicom_gateway.web.data import put, slices, stock


def uids(answer: httpx.Response, tag: str = "0020000D") -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item[tag]["Value"][0] for item in answer.json()]


@pytest.mark.spec("PS3.18 10.6.1")
def test_search_answers_dicom_json_with_the_tables_attributes(archive: Gateway, client: httpx.Client) -> None:
    head = put(archive, *slices(3))[0]
    answer = client.get("/studies", params={"PatientName": "okafor*"})
    assert answer.headers["content-type"] == "application/dicom+json"
    (study,) = answer.json()
    assert study["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Okafor^Amara"}]}
    assert study["00080061"]["Value"] == ["CT"]
    assert (study["00201206"]["Value"], study["00201208"]["Value"]) == ([1], [3])
    assert study["00081190"]["Value"][0].endswith(f"/dicom-web/studies/{head.StudyInstanceUID}")
    (series,) = client.get(f"/studies/{head.StudyInstanceUID}/series").json()
    assert (series["00080060"]["Value"], series["00201209"]["Value"]) == (["CT"], [3])
    found = client.get(f"/studies/{head.StudyInstanceUID}/series/{head.SeriesInstanceUID}/instances").json()
    assert [item["00200013"]["Value"][0] for item in found] == [1, 2, 3]


@pytest.mark.spec("PS3.18 10.6.3.1")
def test_nothing_found_is_204(archive: Gateway, client: httpx.Client) -> None:
    put(archive, *slices(1))
    answer = client.get("/studies", params={"PatientID": "nobody"})
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.spec("PS3.18 8.3.4.1")
@pytest.mark.parametrize(
    ("name", "value", "hits"),
    [
        ("PatientID", "A-17", 1),
        ("00100020", "A-17", 1),
        ("PatientID", "A-1?", 1),
        ("PatientID", "a-17", 0),
        ("StudyDate", "20250101-20250131", 1),
        ("StudyDate", "20250102", 1),
        ("StudyDate", "-20241231", 0),
        ("ModalitiesInStudy", "CT", 1),
        ("ModalitiesInStudy", "MR", 0),
        ("StudyInstanceUID", "1.2.3,{study}", 1),
        ("StudyInstanceUID", "1.2.3\\{study}", 1),
        ("AccessionNumber", "ACC1", 1),
    ],
)
def test_matching(archive: Gateway, client: httpx.Client, name: str, value: str, hits: int) -> None:
    head = put(archive, *slices(1))[0]
    answer = client.get("/studies", params={name: value.format(study=head.StudyInstanceUID)})
    assert len(answer.json() if answer.status_code == 200 else []) == hits


@pytest.mark.spec("PS3.18 8.3.4.3")
def test_includefield_adds_attributes_and_all_gives_everything(archive: Gateway, client: httpx.Client) -> None:
    head = put(archive, *slices(1, ReferringPhysicianName="Ito^Ken", InstitutionName="St. Anna"))[0]
    path = f"/studies/{head.StudyInstanceUID}/series"
    plain = client.get(path).json()[0]
    assert "00080080" not in plain
    assert client.get(path, params={"includefield": "InstitutionName"}).json()[0]["00080080"]["Value"] == ["St. Anna"]
    assert "00080080" in client.get(path, params={"includefield": "00080050,00080080"}).json()[0]
    assert "00080080" in client.get(path, params={"includefield": "all"}).json()[0]
    assert client.get(path, params={"includefield": "NoSuchAttribute"}).status_code == 400


@pytest.mark.spec("PS3.18 8.3.4.4")
def test_pages_neither_repeat_nor_miss(archive: Gateway, client: httpx.Client) -> None:
    files = [file for number in range(7) for file in slices(1, PatientID=f"P{number}")]
    put(archive, *files)
    whole = uids(client.get("/studies"))
    paged = [uid for start in (0, 3, 6) for uid in uids(client.get("/studies", params={"limit": 3, "offset": start}))]
    assert len(set(whole)) == 7 and paged == whole
    assert client.get("/studies", params={"limit": 0}).status_code == 204
    assert client.get("/studies", params={"limit": "-1"}).status_code == 400


@pytest.mark.spec("PS3.18 8.3.4.2")
def test_fuzzy_matching_is_declined_with_a_warning(archive: Gateway, client: httpx.Client) -> None:
    put(archive, *slices(1))
    answer = client.get("/studies", params={"PatientName": "Okafor^Amara", "fuzzymatching": "true"})
    assert answer.status_code == 200
    assert answer.headers["warning"].startswith("299 ") and "fuzzymatching" in answer.headers["warning"]


@pytest.mark.spec("PS3.18 8.7.8")
def test_unacceptable_media_type_is_406(archive: Gateway, client: httpx.Client) -> None:
    put(archive, *slices(1))
    assert client.get("/studies", headers={"Accept": "application/dicom+xml"}).status_code == 406
    query = client.get("/studies", params={"accept": "application/dicom+json"}, headers={"Accept": "text/html"})
    assert query.status_code == 200, "the query parameter comes before the header"


@pytest.mark.spec("PS3.18 F.2.2")
def test_names_keep_their_component_groups(archive: Gateway, client: httpx.Client) -> None:
    put(archive, *slices(1, SpecificCharacterSet="ISO_IR 192", PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう"))
    (study,) = client.get("/studies", params={"PatientName": "*=山田*"}).json()
    groups = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
    assert study["00100010"]["Value"] == [groups]
    assert study["00080005"]["Value"] == ["ISO_IR 192"]


@pytest.mark.spec("PS3.18 10.6.1.2")
def test_search_across_studies(archive: Gateway, client: httpx.Client) -> None:
    heads = put(archive, *slices(2), stock("MR_small.dcm"))
    assert len(client.get("/instances").json()) == 3
    assert uids(client.get("/series", params={"Modality": "MR"})) == [heads[2].StudyInstanceUID]


def test_door_is_closed_without_the_token(archive: Gateway, client: httpx.Client) -> None:
    put(archive, *slices(1))
    assert client.get("/studies", headers={"Authorization": ""}).status_code == 401
    assert client.get("/studies", headers={"Authorization": "Bearer wrong"}).status_code == 401
