"""The pretend EHR: sign-in, every page of every chart, launch, and each tenant's habits."""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from starlette.applications import Starlette

from deploy.sandbox import charts, people, provision
from deploy.sandbox.demo import who
from deploy.sandbox.ehr import front
from deploy.sandbox.ehr.app import create_app
from deploy.sandbox.ehr.pages import TABS
from deploy.sandbox.ehr.tenant import Tenant
from deploy.sandbox.hospitals import HOSPITALS
from deploy.sandbox.keys import load_or_make
from deploy.sandbox.plan import Plan
from deploy.sandbox.settings import Settings
from fhir_server.auth.provision import Document
from fhir_server.auth.provision import provision as put
from konsil.oauth_client import ClientKey, client_assertion

EHR = "https://ehr.test"
PATIENTS = [("epic", "lefevre"), ("epic", "wang"), ("oracle", "oneill")]


class Ehr:
    """A browser's view of the EHR, in this process."""

    def __init__(self, app: Starlette, portal: BlockingPortal) -> None:
        self.app, self.portal = app, portal
        self.tenants: dict[str, Tenant] = app.state.tenants
        self.demo_file: Path = app.state.settings.demo_file
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=EHR)

    def get(self, url: str, **rest: Any) -> httpx.Response:
        return self.portal.call(partial(self.client.get, url, **rest))

    def post(self, url: str, **rest: Any) -> httpx.Response:
        return self.portal.call(partial(self.client.post, url, **rest))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return load_or_make(tmp_path_factory.mktemp("keys") / "keys.json")


@pytest.fixture(scope="module")
def ehr(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, Any]) -> Iterator[Ehr]:
    folder = tmp_path_factory.mktemp("ehr")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KONSIL_MASTER_KEY", keys["master"])
        settings = Settings(
            base_url=EHR,
            demo_file=folder / "demo.json",
            tenants={
                hospital.key: {
                    "KONSIL_FHIR_DATABASE_URL": f"sqlite:///{folder / hospital.key}.db",
                    "KONSIL_FHIR_BASE_URL": f"{EHR}/{hospital.key}",
                    "KONSIL_FHIR_COOKIE_NAME": f"ehr-{hospital.key}",
                }
                for hospital in HOSPITALS
            },
        )
        app = create_app(settings)
        with start_blocking_portal() as portal:
            lifespan = portal.wrap_async_context_manager(app.router.lifespan_context(app))
            with lifespan:
                for hospital in HOSPITALS:
                    content = provision.tenant(Plan(folder), hospital, keys)
                    document = content | {"resources": charts.resources(hospital.key)}
                    node = app.state.tenants[hospital.key].node
                    portal.call(put, node, Document.model_validate(document))
                yield Ehr(app, portal)


@pytest.fixture(autouse=True)
def nobody_signed_in(ehr: Ehr) -> None:
    ehr.client.cookies.clear()


def sign_in(ehr: Ehr, tenant: str, password: str = people.PASSWORD) -> httpx.Response:
    sent = {"user": people.PHYSICIANS[tenant].username, "password": password}
    return ehr.post(f"/{tenant}/sign-in", data=sent, headers={"origin": EHR})


@pytest.fixture
def demo(ehr: Ehr) -> Iterator[None]:
    """The tenants let anybody in by name; set past the check that Settings makes, as the address is no loopback."""
    nodes = {key: tenant.node for key, tenant in ehr.tenants.items()}
    for key, node in nodes.items():
        settings = node.settings.model_copy(update={"demo_sign_in": True})
        ehr.tenants[key].server.state.node = replace(node, settings=settings)
    yield
    for key, node in nodes.items():
        ehr.tenants[key].server.state.node = node


def test_nobody_is_let_in_by_name_outside_a_demo(ehr: Ehr) -> None:
    answer = ehr.get("/epic/become/nunez")
    assert answer.status_code == 404
    assert "set-cookie" not in answer.headers


@pytest.mark.usefixtures("demo")
def test_in_a_demo_a_click_becomes_the_physician(ehr: Ehr) -> None:
    answer = ehr.get("/oracle/become/meyer")
    assert (answer.status_code, answer.headers["location"]) == (303, "/oracle/")
    assert "Paul Meyer" in ehr.get("/oracle/").text
    assert ehr.get("/oracle/become/nunez").status_code == 404


def test_pages_lead_to_sign_in(ehr: Ehr) -> None:
    answer = ehr.get("/epic/patients/lefevre")
    assert (answer.status_code, answer.headers["location"]) == (303, "/epic/sign-in")


def test_wrong_password_is_refused(ehr: Ehr) -> None:
    assert sign_in(ehr, "oracle", "wrong").status_code == 401


def test_form_from_elsewhere_is_refused(ehr: Ehr) -> None:
    assert ehr.post("/epic/sign-in", headers={"origin": "https://evil.test"}).status_code == 403


def test_session_cookie_works_in_a_cross_site_frame_only_over_a_safe_channel(ehr: Ehr) -> None:
    cookie = sign_in(ehr, "epic").headers["set-cookie"]
    assert cookie.startswith("__Host-")
    assert {"Secure", "HttpOnly", "SameSite=None"} <= set(cookie.split("; "))


def test_patient_list_shows_both_scripts(ehr: Ehr) -> None:
    sign_in(ehr, "epic")
    text = ehr.get("/epic/").text
    assert "Lefèvre-Muñoz, Renée" in text
    assert "王秀英" in text


@pytest.mark.parametrize(("tenant", "patient"), PATIENTS)
@pytest.mark.parametrize("tab", [tab for tab in TABS])
def test_every_tab_of_every_chart_renders(ehr: Ehr, tenant: str, patient: str, tab: str) -> None:
    sign_in(ehr, tenant)
    answer = ehr.get(f"/{tenant}/patients/{patient}/{tab}")
    assert answer.status_code == 200
    assert "<script" not in answer.text
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(("tenant", "patient"), PATIENTS)
def test_every_document_opens(ehr: Ehr, tenant: str, patient: str) -> None:
    sign_in(ehr, tenant)
    page = ehr.get(f"/{tenant}/patients/{patient}/notes").text
    shown = re.findall(rf'href="(/{tenant}/patients/{patient}/notes\?show=[^"]+)"', page)
    links = [re.search(r'<iframe src="([^"]+)"', ehr.get(each).text) for each in shown]
    answers = [ehr.get(link.group(1)) for link in links if link]
    assert len(answers) == len(set(shown)) >= 2
    assert {each.status_code for each in answers} == {200}
    kinds = {each.headers["content-type"].partition(";")[0] for each in answers}
    assert kinds == {"application/pdf", "text/plain", "text/html"}


def test_other_tenants_session_does_not_count(ehr: Ehr) -> None:
    sign_in(ehr, "oracle")
    assert ehr.get("/epic/patients/lefevre").status_code == 303


def test_unknown_patient_and_tenant_are_not_found(ehr: Ehr) -> None:
    sign_in(ehr, "epic")
    assert ehr.get("/epic/patients/nobody").status_code == 404
    assert ehr.get("/nowhere/sign-in").status_code == 404


def test_launch_reaches_the_app_and_comes_back_with_a_code(ehr: Ehr) -> None:
    sign_in(ehr, "epic")
    page = ehr.get("/epic/patients/wang/second-opinion").text
    address = re.search(r'class="app" src="([^"]+)"', page)
    assert address is not None
    asked = parse_qs(urlsplit(address.group(1).replace("&amp;", "&")).query)
    assert asked["iss"] == [f"{EHR}/epic/fhir"]
    answer = ehr.get(
        "/epic/oauth/authorize",
        params={
            "response_type": "code",
            "client_id": "konsil",
            "redirect_uri": "http://127.0.0.1:8402/callback",
            "scope": "launch openid fhirUser patient/*.rs",
            "state": "s" * 32,
            "aud": asked["iss"][0],
            "launch": asked["launch"][0],
            "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            "code_challenge_method": "S256",
        },
    )
    assert answer.status_code in {302, 303}
    assert "code" in parse_qs(urlsplit(answer.headers["location"]).query)


def token(ehr: Ehr, keys: dict[str, Any], tenant: str) -> str:
    url = f"{EHR}/{tenant}/oauth/token"
    key = ClientKey("konsil-backend", keys[f"{tenant}-backend"], url)
    form = {
        "grant_type": "client_credentials",
        "scope": "system/DocumentReference.cruds system/Patient.rs",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": client_assertion(key),
    }
    return str(ehr.post(url, data=form).json()["access_token"])


def document(patient: str) -> dict[str, Any]:
    data = base64.b64encode(b"%PDF-1.7").decode()
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "docStatus": "final",
        "type": {"coding": [{"system": "http://loinc.org", "code": "11488-4"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "author": [{"display": "Dr. Kenji Ito"}],
        "content": [{"attachment": {"contentType": "application/pdf", "data": data}}],
        "context": {"period": {"end": "2026-11-20T10:00:00Z"}},
    }


@pytest.fixture(scope="module")
def oracle(ehr: Ehr, keys: dict[str, Any]) -> dict[str, str]:
    return {"authorization": f"Bearer {token(ehr, keys, 'oracle')}", "accept": "application/fhir+json"}


def test_oracle_wants_fhir_json_accepted(ehr: Ehr, oracle: dict[str, str]) -> None:
    answer = ehr.get("/oracle/fhir/Patient/oneill", headers=oracle | {"accept": "application/json"})
    assert (answer.status_code, answer.content) == (406, b"")


def test_oracle_has_no_task(ehr: Ehr, oracle: dict[str, str]) -> None:
    assert ehr.get("/oracle/fhir/Task", headers=oracle).status_code == 404


@pytest.mark.parametrize("missing", ["docStatus", "author", "context", "type"])
def test_oracle_checks_documents(ehr: Ehr, oracle: dict[str, str], missing: str) -> None:
    content = {name: value for name, value in document("oneill").items() if name != missing}
    answer = ehr.post("/oracle/fhir/DocumentReference", json=content, headers=oracle)
    assert answer.status_code == 422
    assert missing in answer.json()["issue"][0]["diagnostics"]


def test_oracle_takes_a_right_document_and_shows_it(ehr: Ehr, oracle: dict[str, str]) -> None:
    system = "https://konsil.example/fhir/identifier/writeback"
    content = document("oneill") | {"identifier": [{"system": system, "value": "1"}]}
    headers = oracle | {"content-type": "application/fhir+json"}
    answer = ehr.post("/oracle/fhir/DocumentReference", json=content, headers=headers)
    assert answer.status_code == 201, answer.text
    sign_in(ehr, "oracle")
    assert "second opinion</span>" in ehr.get("/oracle/patients/oneill/notes").text


def test_epic_creates_no_task_and_looks_at_no_condition(ehr: Ehr, keys: dict[str, Any]) -> None:
    headers = {"authorization": f"Bearer {token(ehr, keys, 'epic')}", "content-type": "application/fhir+json"}
    assert ehr.post("/epic/fhir/Task", json={"resourceType": "Task"}, headers=headers).status_code == 405
    content = document("wang") | {"identifier": [{"system": "https://a.example", "value": "1"}]}
    made = [
        ehr.post(
            "/epic/fhir/DocumentReference",
            json=content,
            headers=headers | {"if-none-exist": "identifier=https://a.example|1"},
        )
        for _ in range(2)
    ]
    assert [each.status_code for each in made] == [201, 400]
    (issue,) = made[1].json()["issue"]
    assert issue["code"] == "duplicate" and issue["details"]["coding"][0]["code"] == "59141"
    other = content | {"identifier": [{"system": "https://a.example", "value": "2"}]}
    assert ehr.post("/epic/fhir/DocumentReference", json=other, headers=headers).status_code == 201


def test_epic_does_not_look_at_the_query_of_a_posted_search(ehr: Ehr, keys: dict[str, Any]) -> None:
    headers = {"authorization": f"Bearer {token(ehr, keys, 'epic')}"}
    form = headers | {"content-type": "application/x-www-form-urlencoded"}
    asked = ehr.post("/epic/fhir/Patient/_search?_id=nobody", content=b"_id=wang", headers=form).json()
    assert [each["resource"]["id"] for each in asked["entry"]] == ["wang"]
    assert ehr.get("/epic/fhir/Patient?_id=nobody", headers=headers).json().get("entry", []) == []


def test_only_the_newest_of_an_amended_opinion_is_to_be_read(ehr: Ehr, oracle: dict[str, str]) -> None:
    """Both versions stay in the in basket; the one that was replaced is named so and asks for nothing."""
    system = "https://konsil.example/fhir/identifier/writeback"
    headers = oracle | {"content-type": "application/fhir+json"}
    first = document("johnson") | {"identifier": [{"system": system, "value": "r/1"}], "date": "2026-11-20T10:00:00Z"}
    filed = ehr.post("/oracle/fhir/DocumentReference", json=first, headers=headers)
    assert filed.status_code == 201, filed.text
    target = {"reference": f"DocumentReference/{filed.headers['location'].split('/_history')[0].rpartition('/')[2]}"}
    second = document("johnson") | {
        "identifier": [{"system": system, "value": "r/2"}],
        "date": "2026-11-21T10:00:00Z",
        "relatesTo": [{"code": "replaces", "target": target}],
    }
    assert ehr.post("/oracle/fhir/DocumentReference", json=second, headers=headers).status_code == 201
    sign_in(ehr, "oracle")
    basket = ehr.get("/oracle/in-basket").text
    assert "Second opinion amended" in basket and "replaced by a newer one" in basket
    assert ehr.get("/oracle/patients/johnson").text.count("Report to read") == 1


def test_front_page_without_a_demo_says_how_to_make_one(ehr: Ehr, tmp_path: Path) -> None:
    assert "make demo" in ehr.get("/").text
    assert ehr.get("/programs").json()["programs"] == {}
    assert ehr.get("/healthz").status_code == 200


def test_front_page_has_a_door_for_each_role(ehr: Ehr) -> None:
    folder = ehr.demo_file.parent
    content = {"open": {"people": who(Plan(folder))}, "programs": []}
    ehr.demo_file.write_text(json.dumps(content))
    ehr.demo_file.with_name("cases.json").write_text('{"state": "making", "done": 7, "of": 14}')
    text = ehr.get("/").text
    ehr.demo_file.unlink()
    for title, _ in front.DOORS.values():
        assert title in text
    for each in content["open"]["people"]:
        assert f'href="{each["door"]}"' in text
    assert "Making cases: 7 of 14" in text
    assert ehr.get("/programs").json()["cases"] == {"text": "Making cases: 7 of 14", "done": 7, "of": 14}
    ehr.demo_file.with_name("cases.json").unlink()
    assert ehr.get("/programs").json()["cases"]["text"] == ""


@pytest.fixture
def trouble(ehr: Ehr) -> Iterator[None]:
    yield
    assert ehr.post("/sandbox/behave").json() == {"going": []}


@pytest.mark.usefixtures("trouble")
@pytest.mark.parametrize(
    ("answer", "status"),
    [("401", 401), ("403", 403), ("break-the-glass", 403), ("429", 429), ("500", 500), ("503", 503), ("garbage", 200)],
)
def test_it_misbehaves_as_often_as_asked(ehr: Ehr, oracle: dict[str, str], answer: str, status: int) -> None:
    wanted = {"tenant": "oracle", "path": "/fhir/Patient/*", "status": answer, "count": 2, "seconds": 7}
    assert ehr.post("/sandbox/misbehave", json=wanted).status_code == 201
    assert ehr.get("/sandbox/trouble").json()["going"][0]["tenant"] == "oracle"
    answers = [ehr.get("/oracle/fhir/Patient/oneill", headers=oracle) for _ in range(3)]
    assert [each.status_code for each in answers] == [status, status, 200]
    if status in {429, 503}:
        assert answers[0].headers["retry-after"] == "7"
    if answer == "garbage":
        with pytest.raises(ValueError):
            answers[0].json()
    assert answers[2].json()["id"] == "oneill"


@pytest.mark.usefixtures("trouble")
def test_trouble_stays_where_it_was_made(ehr: Ehr, oracle: dict[str, str]) -> None:
    wanted = {"tenant": "epic", "when": "chart", "status": "500", "count": "0"}
    page = ehr.post("/sandbox/misbehave", data=wanted, headers={"origin": EHR})
    assert (page.status_code, page.headers["location"]) == (303, "/#trouble")
    assert "until stopped" in ehr.get("/").text
    assert ehr.get("/oracle/fhir/Patient/oneill", headers=oracle).status_code == 200
    assert ehr.get("/epic/fhir/metadata").status_code == 200  # discovery and screens keep working
    sign_in(ehr, "epic")
    assert ehr.get("/epic/patients/wang").status_code == 200
    assert ehr.get("/epic/fhir/Patient/wang").status_code == 500


def test_trouble_is_made_from_this_machine_and_this_page_only(ehr: Ehr) -> None:
    wanted = {"tenant": "epic", "when": "chart", "status": "500"}
    assert ehr.post("/sandbox/misbehave", json=wanted, headers={"origin": "https://evil.test"}).status_code == 403
    assert ehr.post("/sandbox/misbehave", json=wanted | {"status": "418"}).status_code == 400
    far = httpx.AsyncClient(transport=httpx.ASGITransport(ehr.app, client=("203.0.113.9", 1)), base_url=EHR)
    assert ehr.portal.call(partial(far.post, "/sandbox/misbehave", json=wanted)).status_code == 403
    assert ehr.get("/sandbox/trouble").json() == {"going": []}
