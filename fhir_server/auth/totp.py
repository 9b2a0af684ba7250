"""Time-based one-time passwords as the second step of signing in.  RFC 6238, RFC 4226 5.3"""

import base64
import hmac
from dataclasses import dataclass
from io import BytesIO

import pyotp
import segno

from fhir_server.store import auth_registry
from fhir_server.store.auth_values import Account
from fhir_server.store.database import Database
from konsil.secrets import open_, seal

PERIOD_SECONDS = 30
DRIFT_STEPS = 1
"""A code of the step before and after counts too: telephones' clocks are off by some seconds."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A secret that is about to become a person's, as an authenticator takes it."""

    secret: str
    uri: str

    @property
    def picture(self) -> str:
        """The QR code as an SVG element without style attributes or script."""
        buffer = BytesIO()
        segno.make(self.uri, error="m").save(
            buffer, kind="svg", xmldecl=False, omitsize=True, light="#fff", title="QR code for the authenticator"
        )
        return buffer.getvalue().decode()

    @property
    def grouped(self) -> str:
        """The secret to type, in groups of four."""
        return " ".join(self.secret[start : start + 4] for start in range(0, len(self.secret), 4))


def new_secret() -> str:
    """Make a secret of 160 bits.  RFC 4226 4 R6"""
    return pyotp.random_base32()


def sealed(secret: str) -> str:
    """Seal a secret for keeping it as text while its person sets it up."""
    return base64.b64encode(seal(secret.encode())).decode()


def unsealed(text: str) -> str:
    """Undo `sealed`."""
    return open_(base64.b64decode(text)).decode()


def enrolment(secret: str, account: Account, issuer: str) -> Enrolment:
    """Write what an authenticator is to take up, under the product's and the person's name."""
    uri = pyotp.TOTP(secret).provisioning_uri(name=account.username or account.name, issuer_name=issuer)
    return Enrolment(secret, uri)


def matching_step(secret: str, code: str, now: float) -> int | None:
    """Find the time step that a code is of, the present one or a neighbour; every one is compared."""
    given, present, found = "".join(code.split()).encode(), int(now) // PERIOD_SECONDS, None
    for step in range(present - DRIFT_STEPS, present + DRIFT_STEPS + 1):
        if hmac.compare_digest(pyotp.TOTP(secret).generate_otp(step).encode(), given):
            found = step
    return found


async def enrol(db: Database, account: Account, secret: str, code: str, now: float) -> bool:
    """Make a secret a person's own if its code shows that the authenticator has it; the code is used up."""
    step = matching_step(secret, code, now)
    if step is None:
        return False
    async with db.transaction() as transaction:
        await auth_registry.put_totp(transaction, account.account_id, seal(secret.encode()), step)
    return True


async def check(db: Database, account: Account, code: str, now: float) -> bool:
    """Check a code; each works once."""
    held = await auth_registry.find_totp(db, account.account_id)
    step = matching_step(open_(held).decode(), code, now) if held is not None else None
    if step is None:
        return False
    async with db.transaction() as transaction:
        return await auth_registry.use_totp_step(transaction, account.account_id, step)


async def remove(db: Database, account: Account) -> None:
    """Take the second step away."""
    async with db.transaction() as transaction:
        await auth_registry.put_totp(transaction, account.account_id, None)
