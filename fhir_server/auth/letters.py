"""E-mails in words: templates in `templates/mail`, each as plain text (its first line is the subject) and as HTML.

A letter names the hospital or the service, never a person, a record or why somebody is treated.
"""

from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr

from jinja2 import Environment, PackageLoader, StrictUndefined

PLAIN = Environment(  # noqa: S701 (plain text has nothing to escape)
    loader=PackageLoader("fhir_server.auth", "templates/mail"), undefined=StrictUndefined, trim_blocks=True
)
HTML = Environment(
    loader=PackageLoader("fhir_server.auth", "templates/mail"), autoescape=True, undefined=StrictUndefined
)


def write(sender: str, recipient: str, template: str, values: Mapping[str, str]) -> EmailMessage:
    """Write one.  RFC 5322, RFC 2046 5.1.4; the Message-ID names the sender's domain, not this machine."""
    subject, _, body = PLAIN.get_template(f"{template}.txt").render(values).partition("\n")
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, recipient, subject
    message["Date"] = formatdate(usegmt=True)
    message["Message-ID"] = make_msgid(domain=parseaddr(sender)[1].rpartition("@")[2] or "localhost")
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834 5: no machine answers
    message.set_content(body.strip() + "\n")
    message.add_alternative(
        HTML.get_template(f"{template}.html").render({**values, "subject": subject}), subtype="html"
    )
    return message
