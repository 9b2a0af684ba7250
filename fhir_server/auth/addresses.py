"""A person's e-mail address: its change, confirmed at both, and the birth date that a forgotten password asks for."""

from typing import Final

from fhir_server.auth import invitations, mail, opaque, records
from fhir_server.auth.accounts import normal
from fhir_server.auth.mail import Letter
from fhir_server.auth.server import AuthorizationServer
from fhir_server.store import auth_grants, auth_joining, auth_registry, auth_sessions
from fhir_server.store.auth_values import Account
from konsil.secrets import open_, seal

CHANGE_SECONDS = 86_400.0
WAITING: Final = Account("", "", frozenset(), None, None)
"""One address has confirmed, the other has not yet."""


class Unusable(Exception):
    """An address that cannot become the new one; says why."""


async def begin_change(server: AuthorizationServer, account: Account, text: str) -> None:
    """Send a link to the present and to the new address.  Raises Unusable.

    That another account has the new address is not said: then its owner gets the mail, and confirming does nothing.
    """
    address, now = normal(text), server.clock()
    if not invitations.ADDRESS.fullmatch(address) or address == account.email or account.email is None:
        raise Unusable("This cannot be the new e-mail address.")
    if not all([await mail.may_post(server.db, each, now) for each in (address, account.email)]):
        raise Unusable("These addresses had many e-mails from us: wait an hour.")
    old, new = opaque.make(), opaque.make()
    row = {
        "old_hash": opaque.digest(old),
        "new_hash": opaque.digest(new),
        "account_id": account.account_id,
        "email_sealed": seal(address.encode()),
        "expires_at": now + CHANGE_SECONDS,
    }
    async with server.db.transaction() as transaction:
        await auth_joining.add_email_change(transaction, row)
        for to, template, link in ((account.email, "email_old", old), (address, "email_new", new)):
            values = {"name": server.settings.product_name, "link": server.url(f"account/address?link={link}")}
            await mail.post(transaction, Letter(to, template, values, now + CHANGE_SECONDS))


async def confirm(server: AuthorizationServer, link: str) -> Account | None:
    """Confirm by one link; gives the account once both have, WAITING before, None for a link of no use."""
    key, now = opaque.digest(link), server.clock()
    change = await auth_joining.find_email_change(server.db, key, now)
    account = await auth_registry.find_account(server.db, change["account_id"]) if change is not None else None
    if change is None or account is None or account.disabled:
        return None
    address = open_(bytes(change["email_sealed"])).decode()
    async with server.db.transaction() as transaction:
        if not await auth_joining.confirm_email_change(transaction, change, key, now):
            return WAITING
        if await auth_joining.username_is_taken(transaction, address):
            return None
        values = {"username": address, "email": address}
        await auth_joining.change_account(transaction, account.account_id, values)
        await auth_sessions.remove_sessions_of(transaction, account.account_id)
        await auth_grants.revoke_person(transaction, account.account_id, now)
    return account


async def use_codes(server: AuthorizationServer, account: Account) -> None:
    """Make codes by e-mail the second step."""
    async with server.db.transaction() as transaction:
        await auth_joining.change_account(transaction, account.account_id, {"email_codes": True})


async def birth_date(server: AuthorizationServer, account: Account) -> str:
    """The birth date of the person on record: as a patient, or as who acts for one; empty where there is none."""
    acting = await auth_joining.acting_for(server.db, account.account_id)
    references = [account.fhir_user or "", *(row["related_person"] for row in acting)]
    for reference in filter(None, references):
        kind, _, resource_id = reference.partition("/")
        found = await records.search(server.node, records.registrar(None), kind, {"_id": resource_id})
        if found and found[0].get("birthDate"):
            return str(found[0]["birthDate"])
    return ""
