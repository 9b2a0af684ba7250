"""Taking e-mails away: to a mail server by SMTP (RFC 5321), or as `.eml` files into a folder where there is none."""

import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP as CRLF
from pathlib import Path
from uuid import uuid4

from fhir_server.settings import Settings
from konsil.outbox import Failed, Retry

TIMEOUT_SECONDS = 20.0


def deliver(settings: Settings, message: EmailMessage) -> None:
    """Hand one over.  Raises Failed where the server refuses it for good, Retry where it may take it later."""
    if settings.smtp_host is None:
        _put(settings.mail_folder, message)
        return
    try:
        with _connected(settings, settings.smtp_host) as server:
            server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        raise _refusal(max(code for code, _ in error.recipients.values()), "the address") from error
    except smtplib.SMTPAuthenticationError as error:
        raise Retry("the mail server does not take our name and password") from error
    except smtplib.SMTPResponseException as error:
        raise _refusal(error.smtp_code, "the mail") from error
    except (smtplib.SMTPException, ssl.SSLError) as error:
        raise Retry(f"the mail server cannot be used ({type(error).__name__})") from error


def _connected(settings: Settings, host: str) -> smtplib.SMTP:
    """Connect, with TLS before a name or a word of a mail is said, and sign in."""
    trusted = ssl.create_default_context(cafile=str(settings.smtp_ca) if settings.smtp_ca else None)
    if settings.smtp_security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, settings.smtp_port, timeout=TIMEOUT_SECONDS, context=trusted)
    else:
        server = smtplib.SMTP(host, settings.smtp_port, timeout=TIMEOUT_SECONDS)
    try:
        if settings.smtp_security == "starttls":
            server.starttls(context=trusted)
        if settings.smtp_user:
            server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
    except Exception:
        server.close()
        raise
    return server


def _refusal(code: int, what: str) -> Failed | Retry:
    """5yz: never; 4yz: later.  RFC 5321 4.2.1"""
    said = f"the mail server refused {what} ({code})"
    return Failed(said) if code >= 500 else Retry(said)


def _put(folder: Path, message: EmailMessage) -> None:
    """Write the file under another name first: who lists the folder sees whole mails only."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = folder / f"{uuid4()}.new"
    fresh.touch(mode=0o600)
    fresh.write_bytes(message.as_bytes(policy=CRLF))
    fresh.replace(fresh.with_suffix(".eml"))
