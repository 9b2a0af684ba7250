"""What a Consent keeps from a consultant is said on the case's pages.  docs/access.md"""

from deploy.sandbox import keys
from konsil.http_client import guarded_client
from konsil.oauth_client import BackendToken, ClientKey
from tests.smart_app.platform import Platform, launch_id
from tests.smart_app.steps import offer, patient_of, submit
from tests.smart_app.test_writeback import consented

SAYS = "because a patient does not share it"


def test_a_case_of_which_a_part_is_withheld_says_so(hospital: Platform) -> None:
    requester, consultant = hospital.browser(), hospital.browser()
    page = requester.launch("epic", patient_of("epic"))
    consented(requester, page.text)
    case = submit(requester, page, basis="consent")
    offer(hospital, case, "lindqvist")
    address = f"/l/{launch_id(consultant.sign_in('lindqvist'))}/cases/{case}"
    assert SAYS not in consultant.get(address).text
    keep_observations_back(hospital, case)
    for tab in ("", "/records"):
        shown = consultant.get(f"{address}{tab}").text
        assert SAYS in shown and "of which a Consent releases a part: 1." in shown
    assert SAYS not in requester.get(f"/l/{launch_id(page)}/cases/{case}").text


def keep_observations_back(hospital: Platform, case: str) -> None:
    """The patient's hospital writes the exception down."""
    kept = keys.load_or_make(hospital.plan.directory / "keys.json")
    base, token_url = f"{hospital.plan.fhir_url}/fhir", f"{hospital.plan.fhir_url}/oauth/token"
    with guarded_client([base, token_url]) as client:
        key = ClientKey("interface-engine-demo", kept["interface-engine"], token_url)
        headers = BackendToken(client, key, "system/*.cruds").header()
        wanted = {"_id": case, "_include": "Task:focus"}
        found = client.get(f"{base}/Task", params=wanted, headers=headers).json()["entry"]
        request = next(each["resource"] for each in found if each["resource"]["resourceType"] == "ServiceRequest")
        named = (each["reference"] for each in request["supportingInfo"])
        reference = next(one for one in named if one.startswith("Consent/"))
        consent = client.get(f"{base}/{reference}", headers=headers).json()
        exception = {"type": "deny", "class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]}
        consent["provision"]["provision"] = [exception]
        done = client.put(f"{base}/{reference}", json=consent, headers=headers)
    assert done.status_code == 200, done.text
