import pytest

from fhir_server.auth import policy

ALL = ("openid", "launch", "offline_access", "patient/*.cruds", "user/*.cruds", "system/*.cruds")


@pytest.mark.parametrize("role", sorted(policy.PERSONS))
def test_people_who_work_with_records_never_hold_system_scopes(role: str) -> None:
    assert policy.for_person(ALL, ALL, [role]) == ALL[:-1]


@pytest.mark.parametrize(
    ("registered", "granted"),
    [
        (("openid", "user/Patient.rs"), ("openid", "user/Patient.rs")),
        (("launch", "user/*.s", "patient/Observation.rs"), ("launch", "user/Patient.s", "patient/Observation.rs")),
        ((), ()),
    ],
)
def test_a_person_gives_a_client_no_more_than_it_is_registered_for(
    registered: tuple[str, ...], granted: tuple[str, ...]
) -> None:
    asked = ("openid", "launch", "user/Patient.cruds", "patient/Observation.rs")
    assert set(policy.for_person(asked, registered, ["requester"])) == set(granted)


def test_a_patient_holds_patient_scopes_alone() -> None:
    assert policy.for_person(ALL, ALL, ["patient"]) == ("openid", "launch", "offline_access", "patient/*.cruds")


@pytest.mark.parametrize("roles", [[], ["unheard-of"], ["system"], ["interface-engine"]])
def test_without_a_role_of_a_person_no_resource_opens(roles: list[str]) -> None:
    assert policy.for_person(ALL, ALL, roles) == ("openid", "launch", "offline_access")


def test_a_backend_client_holds_system_scopes_alone() -> None:
    assert policy.for_backend(ALL, ALL) == ("system/*.cruds",)


def test_grants_are_said_in_plain_words() -> None:
    granted = ("patient/*.rs", "user/Task.r", "user/Observation.rs?category=laboratory", "openid", "offline_access")
    assert policy.describe(granted) == [
        "Read and find all records of the chosen patient",
        "Read Task records that you may see",
        "Read and find Observation records that you may see, limited to category laboratory",
        "Know who you are",
        "Keep this access after you have left",
    ]
