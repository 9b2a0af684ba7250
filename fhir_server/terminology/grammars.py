"""Code systems that are a grammar or a registry, not a list: their codes are recognised by rule."""

import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files

MIME_TYPES = "urn:ietf:bcp:13"
LANGUAGES = "urn:ietf:bcp:47"
TIME_ZONES = "https://www.iana.org/time-zones"
CURRENCIES = "urn:iso:std:iso:4217"

# RFC 6838 4.2 for the names, RFC 2045 5.1 for the parameters.
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+\-]{0,126}"
_MIME_TYPE = re.compile(rf"{_NAME}/{_NAME}(?:\s*;\s*[\w.\-]+=(?:\"[^\"]*\"|[^\s;\"]+))*\s*\Z")
# RFC 5646 2.1: language, script, region, variants, extensions, private use.
_LANGUAGE = re.compile(
    r"(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})(?:-[a-z]{4})?(?:-(?:[a-z]{2}|\d{3}))?(?:-(?:[a-z0-9]{5,8}|\d[a-z0-9]{3}))*"
    r"(?:-[a-wyz0-9](?:-[a-z0-9]{2,8})+)*(?:-x(?:-[a-z0-9]{1,8})+)?\Z|x(?:-[a-z0-9]{1,8})+\Z|i-[a-z]{3,8}\Z",
    re.IGNORECASE,
)
# ISO 4217, with the metals, funds and codes for testing that the list has.
_CURRENCIES = frozenset(
    re.findall(
        "[A-Z]{3}",
        """
        CUR REN CIE AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP
        BYN BZD CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP
        GBP GEL GGP GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS IMP INR IQD IRR ISK JEP JMD JOD JPY KES KGS
        KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR
        MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP
        SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TVD TWD TZS UAH UGX USD USN UYI UYU UYW UZS
        VED VEF VES VND VUV WST XAF XAG XAU XBA XBB XBC XBD XCD XDR XOF XPD XPF XPT XSU XTS XUA XXX YER ZAR ZMW ZWG
        ZWL
        """,
    )
)


def recognise(system: str, code: str) -> bool | None:
    """Whether a code belongs to a system that is known by rule; None for any other system."""
    rule = RULES.get(system)
    return None if rule is None else rule(code)


def listed(system: str) -> dict[str, str] | None:
    """Every code with its name, of a registry that can be listed; None for a grammar and any other system."""
    lists = LISTS.get(system)
    return None if lists is None else lists()


@cache
def _time_zones() -> dict[str, str]:
    names = (files("tzdata") / "zones").read_text(encoding="utf-8").split()
    return {name: name for name in sorted(names)}


def _currencies() -> dict[str, str]:
    return {code: code for code in sorted(_CURRENCIES)}


RULES: dict[str, Callable[[str], bool]] = {
    MIME_TYPES: lambda code: bool(_MIME_TYPE.match(code)),
    LANGUAGES: lambda code: bool(_LANGUAGE.match(code)),
    TIME_ZONES: lambda code: code in _time_zones(),
    CURRENCIES: lambda code: code in _CURRENCIES,
}
LISTS: dict[str, Callable[[], dict[str, str]]] = {
    TIME_ZONES: _time_zones,
    CURRENCIES: _currencies,
}
