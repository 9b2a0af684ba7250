"""Tables of people who come by a link: invitations, for whom a proxy acts, changes of e-mail, mails to be sent.

Links are kept as SHA-256 of 256 random bits, addresses sealed until their owner has confirmed them.  Times are epoch
seconds.
"""

from sqlalchemy import Column, Double, ForeignKey, Integer, LargeBinary, Table, Text

from fhir_server.store.models import metadata
from konsil.outbox import outbox_table

invitation = Table(
    "auth_invitation",
    metadata,
    Column("invitation_id", Text, primary_key=True),
    Column("link_hash", Text, nullable=False, unique=True),
    Column("subject", Text, nullable=False, index=True),  # Patient/x or RelatedPerson/x
    Column("patient", Text, nullable=False),  # the id of the patient whose record it opens
    Column("email_sealed", LargeBinary, nullable=False),
    Column("invited_by", Text, nullable=False),
    Column("organization", Text),  # of who invited: an interface engine sees its own
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("failures", Integer, nullable=False),
    Column("proof_hash", Text, unique=True),  # the handle of who has proved to be the person
    Column("proof_until", Double),
    Column("begun_json", Text),  # what was chosen before the last code: password hash, sealed secret
    Column("used_at", Double),
    Column("revoked_at", Double),
    Column("mail_key", Text, nullable=False),  # dedupe_key of its last mail
)

acting = Table(  # the RelatedPersons that an account is: one for each patient it acts for
    "auth_acting",
    metadata,
    Column("account_id", Text, ForeignKey("auth_account.account_id", ondelete="CASCADE"), primary_key=True),
    Column("related_person", Text, primary_key=True),
    Column("patient", Text, nullable=False),
)

email_change = Table(
    "auth_email_change",
    metadata,
    Column("old_hash", Text, primary_key=True),
    Column("new_hash", Text, nullable=False, unique=True),
    Column("account_id", Text, ForeignKey("auth_account.account_id", ondelete="CASCADE"), nullable=False),
    Column("email_sealed", LargeBinary, nullable=False),
    Column("old_at", Double),
    Column("new_at", Double),
    Column("used_at", Double),
    Column("expires_at", Double, nullable=False, index=True),
)

mail = outbox_table(metadata, "auth_mail")
