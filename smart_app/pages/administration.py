"""`administration/...`: what administrators look after, in lists, with a page and a form for each entry."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from smart_app.administration.kinds import KINDS, Field, Fields, Kind, NotJson
from smart_app.administration.probing import probe
from smart_app.administration.sources import Document, Remote, Stale, Unsuitable, source_of
from smart_app.errors import AppError, Invalid, NotFound
from smart_app.fhir import Resource
from smart_app.gateway import gateway_of
from smart_app.launches import ROLE_TITLES
from smart_app.listing import Choice, Column, Plan, listing
from smart_app.settings import origin_of
from smart_app.visit import NavItem, Visit, page
from smart_app.words import person_name

ADMINISTRATORS = ("administrator",)
DEEDS: Mapping[str, str] = {
    "activate": "It is active again.",
    "deactivate": "It is deactivated, and what it had open has ended.",
    "new-secret": "It has a new secret.",
    "reset": "There is a link to set a new password.",
    "sign-out": "The person is signed out everywhere.",
}
SERVERS_PART = {"issuer": "issuer", "client_id": "client_id", "jwks_url": "jwks_url", "organization": "organization"}
STATES = {True: "Active", False: "Deactivated"}


def kind_of(visit: Visit) -> Kind:
    """The list that the address names.  Raises Forbidden, NotFound."""
    visit.require(*ADMINISTRATORS)
    kind = KINDS.get(str(visit.request.path_params.get("kind", "hospitals")))
    if kind is None:
        raise NotFound("There is no such list.")
    return kind


def plan_of(kind: Kind) -> Plan[Document]:
    """How a list is searched, sorted and narrowed."""
    columns = [Column[Document](name, title, partial(_cell, name)) for title, name in kind.columns]
    state = Column[Document]("state", "State", lambda each: STATES[each["active"]])
    changed = Column[Document]("changed", "Changed", lambda each: each["changed_at"] or "")
    return Plan(
        columns=[*columns, state, changed],
        choices=[
            Choice("state", "State", lambda each: STATES[each["active"]]),
            Choice("managed", "Managed by", lambda each: "file" if each["from_file"] else "hand"),
        ],
        text=lambda each: " ".join(in_words(value) for value in (each["key"], *each["values"].values())),
        sort=kind.columns[0][1],
    )


def _cell(name: str, each: Document) -> str:
    return in_words(each["values"].get(name))


def in_words(value: Any) -> str:
    """A value of a row as text."""
    if isinstance(value, list | tuple):
        return ", ".join(ROLE_TITLES.get(str(each), str(each)) for each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


async def every(visit: Visit) -> Response:
    """One list."""
    kind = kind_of(visit)
    found = await source_of(visit, kind.slug).every()
    shown = listing(plan_of(kind), found, visit.request.query_params)
    return visit.render("admin_list.html", kind=kind, kinds=KINDS, list=shown, in_words=in_words)


async def roles(visit: Visit) -> Response:
    """Every role: who holds it, and what it opens."""
    visit.require(*ADMINISTRATORS)
    clients = source_of(visit, "clients")
    assert isinstance(clients, Remote)  # noqa: S101 - the server's lists are
    found = await Remote(visit, clients.base, "roles").every()
    return visit.render("admin_roles.html", kinds=KINDS, roles=found, titles=ROLE_TITLES)


async def show(visit: Visit) -> Response:
    """One entry: its values, what it is used for, what was changed."""
    kind = kind_of(visit)
    return await shown(visit, kind, await source_of(visit, kind.slug).show(visit.request.path_params["key"]))


async def shown(visit: Visit, kind: Kind, found: Document, **values: Any) -> Response:
    """The page of an entry; `once` is shown this time only."""
    beside = {"changes": await changes_of(visit, found), "server": await server_part(visit, kind, found)}
    once = found.get("once")
    return visit.render(
        "admin_show.html", kind=kind, kinds=KINDS, found=found, in_words=in_words, once=once, **beside, **values
    )


async def server_part(visit: Visit, kind: Kind, found: Document) -> Mapping[str, Any] | None:
    """Whether the FHIR server takes this hospital's id_tokens: its own entry beside the app's."""
    if kind.slug != "hospitals":
        return None
    try:
        theirs = await source_of(visit, "tenants").show(found["key"])
    except NotFound:
        return {"state": "missing", "version": 0}
    differ = [name for name in SERVERS_PART if theirs["values"].get(name) != found["values"][name]]
    differ += ["active"] if theirs["active"] != found["active"] else []
    inline = theirs["values"].get("jwks") is not None and differ == ["jwks_url"]
    state = "differs" if differ and not inline else "same"
    return {"state": state, "differ": differ, "version": theirs["version"], "people": theirs["about"]["people"]}


async def align(visit: Visit) -> Response:
    """POST: let the FHIR server take this hospital's id_tokens, or not, as the app does."""
    kind = kind_of(visit)
    key = visit.request.path_params["key"]
    if kind.slug != "hospitals":
        raise NotFound("Only hospitals are kept in two places.")
    found = await source_of(visit, "hospitals").show(key)
    await aligned(visit, found)
    return visit.go(f"administration/hospitals/{key}", said="The server has the same now.")


async def aligned(visit: Visit, found: Document) -> None:
    """Make the server's entry of a hospital what the app's is."""
    source, key = source_of(visit, "tenants"), found["key"]
    values = {theirs: found["values"][ours] for ours, theirs in SERVERS_PART.items()}
    try:
        now = await source.show(key)
    except NotFound:
        now = await source.add({"name": key, **values})
    else:
        if any(now["values"].get(name) != value for name, value in values.items()):
            now = await source.change(key, now["version"], {**values, "jwks": None})
    if now["active"] != found["active"]:
        await source.do(key, now["version"], "activate" if found["active"] else "deactivate")


async def changes_of(visit: Visit, found: Document) -> Sequence[Mapping[str, Any]]:
    """What was changed, the newest first: kept with the entry, or in the audit."""
    if "changes" in found:
        return list(found["changes"])
    about = {"entity": found["reference"]} if "reference" in found else {"entity-name:exact": found["thing"]}
    wanted = (
        {"_sort": "-date", "_count": "20", "_total": "none", "action:not": "R"}
        if "reference" in found
        else {"_sort": "-date", "_count": "20"}
    )
    events, _ = await visit.fhir.page("AuditEvent", {**about, **wanted})
    who = {reference for event in events if (reference := _person(event)).startswith("Practitioner/")}
    ids = ",".join(sorted(each.partition("/")[2] for each in who))
    people = (await visit.fhir.search("Practitioner", {"_id": ids})).matches if ids else []
    names = {f"Practitioner/{each['id']}": person_name(each) for each in people}
    return [_change(event, names) for event in events]


def _person(event: Resource) -> str:
    agent: Resource = next((each for each in event.get("agent", ()) if each.get("requestor")), {})
    who = agent.get("who", {})
    return str(who.get("reference") or who.get("identifier", {}).get("value", ""))


def _change(event: Resource, names: Mapping[str, str]) -> Mapping[str, Any]:
    details = [detail for entity in event.get("entity", ()) for detail in entity.get("detail", ())]
    person = _person(event)
    by = {"registrar": "provisioning file or command line"}.get(person, names.get(person, person))
    what = event.get("outcomeDesc") or next((each.get("code") for each in event.get("subtype", ())), "")
    told = [(each["type"], each.get("valueString", "")) for each in details]
    return {"at": event.get("recorded"), "by": by, "what": what, "details": told}


async def new(visit: Visit) -> Response:
    """The empty form; POST: add."""
    kind = kind_of(visit)
    if visit.request.method == "GET":
        return form(visit, kind, {}, None)
    posted = await visit.form()
    try:
        values = read(kind.fields, posted)
        found = await source_of(visit, kind.slug).add(values)
    except Unsuitable as refused:
        return form(visit, kind, as_posted(kind.fields, posted), None, errors=refused.fields)
    return await done(visit, kind, found, f"Added: {found['name']}.")


async def edit(visit: Visit) -> Response:
    """The form with what there is; POST: change the version that the form was made of."""
    kind, key = kind_of(visit), visit.request.path_params["key"]
    source = source_of(visit, kind.slug)
    if visit.request.method == "GET":
        found = await source.show(key)
        return form(visit, kind, found["values"], found)
    posted = await visit.form()
    version = version_of(posted)
    mine = [field for field in kind.fields if not field.fixed]
    try:
        found = await source.change(key, version, read(mine, posted))
    except Unsuitable as refused:
        now = await source.show(key)
        return form(
            visit,
            kind,
            {**now["values"], **as_posted(mine, posted)},
            {**now, "version": version},
            errors=refused.fields,
        )
    except Stale as stale:
        now = {
            **stale.current,
            **({} if "changes" in stale.current else {"changes": await changes_of(visit, stale.current)}),
        }
        return form(visit, kind, {**now["values"], **as_posted(mine, posted)}, now, stale=stale)
    return await done(visit, kind, found, "Saved.")


def form(visit: Visit, kind: Kind, values: Mapping[str, Any], found: Document | None, **more: Any) -> Response:
    """The form: 400 with what is not taken, 409 with what somebody else changed."""
    errors, stale = more.get("errors", {}), more.get("stale")
    status = 409 if stale else 400 if errors else 200
    ours = {field.name: field.written(values.get(field.name)) for field in kind.fields}
    differ = [
        field for field in kind.fields if found and stale and field.form != "key" and field.read_differs(values, found)
    ]
    return visit.render(
        "admin_form.html",
        status,
        kind=kind,
        kinds=KINDS,
        values=ours,
        found=found,
        errors=errors,
        stale=stale,
        differ=differ,
        in_words=in_words,
    )


def read(fields: Sequence[Field], posted: Fields) -> dict[str, Any]:
    """The values of a form; keys that were left empty stay as they are.  Raises Unsuitable."""
    values, wrong = {}, {}
    for field in fields:
        try:
            values[field.name] = field.read(posted)
        except NotJson as error:
            wrong[field.name] = str(error)
        if field.required and values.get(field.name) in ("", None, []) and field.name not in wrong:
            wrong[field.name] = "This is needed."
    if wrong:
        raise Unsuitable(wrong)
    return {name: value for name, value in values.items() if value is not None or not _is_key(fields, name)}


def _is_key(fields: Sequence[Field], name: str) -> bool:
    return any(field.name == name and field.form == "key" for field in fields)


def as_posted(fields: Sequence[Field], posted: Fields) -> dict[str, Any]:
    """What was written into a form, to show it again; a key is never."""
    shown_again = {}
    for field in fields:
        try:
            shown_again[field.name] = None if field.form == "key" else field.read(posted)
        except NotJson:
            shown_again[field.name] = str(posted.get(field.name) or "")
    return shown_again


def version_of(posted: Fields) -> int:
    """The version that a form was made of.  Raises Invalid."""
    version = str(posted.get("version") or "")
    if not version.isdecimal():
        raise Invalid("The page did not say what it showed.", "Open it again.")
    return int(version)


async def do(visit: Visit) -> Response:
    """POST: deactivate, activate, a new secret, a link, a sign-out."""
    kind, key, deed = kind_of(visit), visit.request.path_params["key"], visit.request.path_params["deed"]
    if deed not in DEEDS:
        raise NotFound("There is no such deed.")
    address = f"administration/{kind.slug}/{quote(key, safe='')}"
    try:
        found = await source_of(visit, kind.slug).do(key, version_of(await visit.form()), deed)
    except Stale as stale:
        return visit.go(address, said=f"{stale.sentence} Look again.", tone="danger")
    return await done(visit, kind, found, DEEDS[deed])


async def done(visit: Visit, kind: Kind, found: Document, said: str) -> Response:
    """After a change: the entry's page.  A hospital is made the same at the server; where that fails, it says so."""
    tone = "good"
    if kind.slug == "hospitals":
        try:
            await aligned(visit, found)
        except AppError as error:
            said, tone = f"Saved here, but not at the server: {error.sentence}", "danger"
    if found.get("once"):
        return await shown(visit, kind, found)
    return visit.go(f"administration/{kind.slug}/{quote(found['key'], safe='')}", said=said, tone=tone)


async def check(visit: Visit) -> Response:
    """POST: ask a hospital's addresses, or an archive, whether they are there."""
    kind, key = kind_of(visit), visit.request.path_params["key"]
    found = await source_of(visit, kind.slug).show(key)
    if kind.slug == "hospitals":
        origins = {origin_of(found["values"][name]) for name in ("fhir_base", "issuer", "jwks_url")}
        return await shown(
            visit, kind, found, lines=await probe(visit.services.clients.for_origins(origins), found["values"])
        )
    if kind.slug != "peers":
        raise NotFound("There is nothing to ask.")
    try:
        answer = await (await gateway_of(visit)).echo(key)
        said = f"{answer['title']} answers and lets us in." if answer["state"] == "ok" else str(answer["cause"])
        good = answer["state"] == "ok"
    except AppError as error:
        said, good = error.sentence, False
    return visit.go(f"administration/peers/{key}", said=said, tone="good" if good else "danger")


HERE = "administration/{kind}/{key:path}"
BOTH = ("GET", "POST")
routes = [
    page("administration", every),
    page("administration/roles", roles),
    page("administration/{kind}", every),
    page("administration/{kind}/new", new, BOTH),
    page(f"{HERE}/edit", edit, BOTH),
    page(f"{HERE}/check", check, ("POST",)),
    page(f"{HERE}/align", align, ("POST",)),
    page(f"{HERE}/do/{{deed}}", do, ("POST",)),
    page(HERE, show),
]
nav = [NavItem("Administration", "administration", "settings", ADMINISTRATORS)]
