"""Columns that no preset knows: their meaning by their names and their values."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from subscribers.imports.attributes import parse_attributes
from subscribers.imports.dates import parse_datetime, tells_order
from subscribers.imports.state_words import normal_word, words_of
from subscribers.imports.table import ADDRESS_CELL
from subscribers.imports.targets import Target, TargetKind
from subscribers.models import BUILT_IN_FIELDS, FieldKind
from subscribers.profile.fields import NO, YES

#: Names of columns in lower case, with spaces for `_`, `-` and dots, in the languages of most exports.
_NAMES = {
    TargetKind.ADDRESS: "email,e mail,mail,email address,e mail address,emailaddress,emailadresse,e mail adresse,"
    "mailadresse,deine e mail adresse,ihre e mail adresse,adresse email,adresse e mail,adresse mail,courriel,correo,"
    "correo electrónico,correo electronico,dirección de correo electrónico,dirección de email,subscriber,user email",
    TargetKind.FIRST_NAME: "first name,firstname,fname,given name,forename,vorname,prénom,prenom,nombre",
    TargetKind.LAST_NAME: "last name,lastname,lname,surname,family name,nachname,familienname,nom,nom de famille,"
    "apellido,apellidos",
    TargetKind.FULL_NAME: "name,full name,fullname,display name,subscriber name,nom complet,nombre completo",
    TargetKind.TAGS: "tags,tag,labels,groups,segments,lists,étiquettes,etiquetas,schlagwörter",
    TargetKind.STATE: "state,status,subscription status,subscription state,subscriber status,email status,"
    "subscriber state,subscriber type,estado,statut,abonnementstatus",
    TargetKind.JOINED_AT: "created at,created,created on,creation date,date created,date added,added,added at,"
    "added time,subscribed at,subscribed on,subscribed,subscription date,subscribe date,date subscribed,joined,"
    "joined at,joined on,join date,signed up,signed up at,signup date,sign up date,signup time,optin time,opt in time,"
    "opt in date,optin date,opted in at,registered,registered at,timestamp,anmeldedatum,angemeldet am,"
    "date d'inscription,fecha de alta",
    TargetKind.CONFIRMED_AT: "confirmed at,confirmed on,confirmed,confirm time,confirmation date,confirmation time,"
    "double opt in at,double optin at,doi at,optin confirmed at,bestätigt am,confirmé le",
    TargetKind.ENDED_AT: "unsubscribed at,unsubscribed on,unsubscribe date,unsubscription date,unsub time,"
    "date unsubscribed,ended at,opted out at,opt out date,clean time,bounced at,abgemeldet am,date de désinscription",
    TargetKind.EVIDENCE: "ip,ip address,optin ip,opt in ip,confirm ip,confirmation ip,signup ip,sign up ip,"
    "subscribe ip,source,signup source,referrer,referrer url,form,consent,gdpr consent,consent text,unsub reason,"
    "unsubscribe reason",
    TargetKind.TIME_ZONE: "time zone,timezone,tz,zeitzone,fuseau horaire,zona horaria",
    TargetKind.LANGUAGE: "language,lang,locale,preferred language,sprache,langue,idioma",
    TargetKind.NOTE: "note,notes,comment,comments,notiz,notizen,remarques,notas",
    TargetKind.ATTRIBUTES: "attributes,attribs,metadata,custom fields,data",
    # Identifiers, and what other tools counted.
    TargetKind.IGNORE: "id,uuid,uid,external id,subscriber id,user id,updated at,modified,modified at,last changed,"
    "last modified,opens,clicks,open rate,click rate,rating,member rating,leid,euid,latitude,longitude,gmtoff,dstoff",
}
_KIND_BY_NAME = {name: kind for kind, names in _NAMES.items() for name in names.split(",")}

#: Kinds that a second column cannot have.
SINGLE_KINDS = frozenset(
    {
        TargetKind.ADDRESS,
        TargetKind.FULL_NAME,
        TargetKind.FIRST_NAME,
        TargetKind.LAST_NAME,
        TargetKind.TIME_ZONE,
        TargetKind.LANGUAGE,
        TargetKind.NOTE,
        TargetKind.FREQUENCY,
        TargetKind.PAUSED_UNTIL,
        TargetKind.TOPICS_OFF,
    }
)

#: Numbers without zeros in front: those are post codes and phone numbers.
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,6})?")

MAX_KEY, MAX_LABEL = 40, 100

_KEY = re.compile(rf"[a-z][a-z0-9_]{{0,{MAX_KEY - 1}}}")


def kind_of_name(name: str) -> TargetKind | None:
    """The usual meaning of a column with this name."""
    return _KIND_BY_NAME.get(" ".join(re.sub(r"[_.\-]+", " ", name.casefold()).split()))


def is_address_column(samples: Sequence[str]) -> bool:
    """Whether almost all cells that are not empty are addresses."""
    filled = [cell for cell in samples if cell.strip()]
    return bool(filled) and sum(ADDRESS_CELL.fullmatch(cell) is not None for cell in filled) * 5 >= len(filled) * 4


def is_state_column(name: str, samples: Sequence[str]) -> bool:
    """Whether the words are states of a subscription. A column called “state” may hold parts of a country."""
    words = {normal_word(cell) for cell in samples if cell.strip()}
    known = words & set(words_of("other"))
    return bool(known) or (bool(words) and name.casefold() != "state" and len(words) <= 8)


def guessed_kind(samples: Sequence[str]) -> FieldKind:
    """The type of a new custom field."""
    filled = {cell.strip() for cell in samples if cell.strip()}
    words = {cell.casefold() for cell in filled}
    if not filled:
        return FieldKind.TEXT
    if words <= YES | NO and not words <= {"0", "1"}:
        return FieldKind.YES_NO
    if all(map(_NUMBER.fullmatch, filled)):
        return FieldKind.NUMBER
    if all(parse_datetime(cell, is_day_first=True) for cell in filled):
        return FieldKind.DATE
    return FieldKind.TEXT


def is_day_first(samples: Iterable[str]) -> bool:
    """The order in dates such as 03/04/2026; day first if no sample tells."""
    return next((order for cell in samples if (order := tells_order(cell.strip())) is not None), True)


def new_field(label: str, samples: Sequence[str], taken: set[str], *, key: str = "") -> Target:
    """A new custom field with a key that is not in `taken`; the key is added there."""
    found = _key(key or label, taken)
    taken.add(found)
    shown = "".join(character for character in label if character.isprintable())[:MAX_LABEL]
    return Target(TargetKind.NEW_FIELD, found, shown or found, guessed_kind(samples))


def is_field_key(key: str) -> bool:
    """Whether a new custom field can have this key."""
    return _KEY.fullmatch(key) is not None and key not in BUILT_IN_FIELDS


def _key(label: str, taken: set[str]) -> str:
    if is_field_key(label) and label not in taken:
        return label
    ascii_text = unicodedata.normalize("NFKD", label.replace("ß", "ss")).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "_", ascii_text).strip("_")
    if not base or not base[0].isalpha():
        base = f"field_{base}".rstrip("_")
    base = base[: MAX_KEY - 4].rstrip("_")
    number = 1
    key = base
    while key in taken or key in BUILT_IN_FIELDS:
        number += 1
        key = f"{base}_{number}"
    return key


#: Names in JSON objects that become fields; others are left out, and counted.
MAX_ATTRIBUTES = 40


def attribute_fields(samples: Sequence[str], taken: set[str]) -> tuple[Target, ...]:
    """A new field for each name in the JSON objects of these cells."""
    values: dict[str, list[str]] = {}
    for cell in samples:
        for name, value in (parse_attributes(cell) or {}).items():
            # A plan with such a name could not be stored.
            if name.isprintable() and len(name) <= MAX_LABEL:
                values.setdefault(name, []).append(value)
    fields = []
    for name, found in list(values.items())[:MAX_ATTRIBUTES]:
        field = new_field(name, found, taken)
        fields.append(Target(field.kind, field.key, name, field.field_kind))
    return tuple(fields)
