"""What the doctor says of one thing that it has looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Verdict:
    """A line of the doctor's.

    Attributes
    ----------
    check
        What it is about.
    verdict
        "unchecked" if nothing could be found out.
    says
        What was found, in a clause.
    do
        What to do about it; "" if it's ok.
    """

    check: str
    verdict: Literal["ok", "wrong", "unchecked"]
    says: str
    do: str = ""


def ok(check: str, says: str) -> Verdict:
    """All is well."""
    return Verdict(check, "ok", says)


def wrong(check: str, says: str, do: str) -> Verdict:
    """Something is to be done."""
    return Verdict(check, "wrong", says, do)


def unchecked(check: str, says: str) -> Verdict:
    """Nothing was found out."""
    return Verdict(check, "unchecked", says)
