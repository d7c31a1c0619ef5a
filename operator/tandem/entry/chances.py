"""Candidates, their numbers and what was decided about each: as a table, and as rows of JSON."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tandem.runtime.forecast import Chance, Forecast

HEAD = ("VARIANT", "ACCELERATOR", "ASKS", "FITS", "FREE", "TOTAL", "NODES", "VERDICT")
CHOSEN = "Chosen"


def rows(item: Forecast) -> list[Mapping[str, Any]]:
    """One object for each candidate, in listed order."""
    return [_row(chance, item.status) for chance in item.chances]


def table(item: Forecast) -> list[str]:
    """Lines; the reason of a rejected candidate stands under it. Numbers are from before the decision."""
    found = rows(item)
    if not found:
        return []
    cells = [HEAD, *(_cells(row) for row in found)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    head, *lines = [_aligned(line, widths) for line in cells]
    told = [head]
    for line, row in zip(lines, found, strict=True):
        told.append(line)
        if row["message"]:
            told.append(f"  {row['message']}")
    return told


def _row(chance: Chance, status: Mapping[str, Any]) -> Mapping[str, Any]:
    verdict, message = _verdict(chance, status)
    room = chance.room
    return {
        "variant": chance.variant,
        "accelerator": chance.accelerator,
        "pods": chance.pods,
        "devicesPerPod": chance.devices,
        "podsThatFit": room.pods if room else None,
        "free": room.free if room else None,
        "total": room.total if room else None,
        "nodes": room.nodes if room else None,
        "verdict": verdict,
        "message": message,
    }


def _verdict(chance: Chance, status: Mapping[str, Any]) -> tuple[str | None, str]:
    """Chosen, the reason of its rejection, or None where it was not needed."""
    placement = status.get("placement") or {}
    shares = status.get("variants") or ()
    held = next((share for share in shares if share["name"] == chance.variant and share["replicas"]), None)
    if held is not None and held.get("accelerator") == chance.accelerator:
        return CHOSEN, _rejection(chance, placement)[1]
    if placement.get("chosen") == chance.accelerator and placement.get("variant") == chance.variant:
        return CHOSEN, ""
    return _rejection(chance, placement)


def _rejection(chance: Chance, placement: Mapping[str, Any]) -> tuple[str | None, str]:
    """The rejection of this accelerator, or of the variant before its accelerators were looked at."""
    own = [one for one in placement.get("rejected") or () if one["variant"] == chance.variant]
    exact = [one for one in own if one["accelerator"] == chance.accelerator]
    whole = [one for one in own if one["reason"] == "HeldOff"]
    return next(((one["reason"], one["message"]) for one in (*exact, *whole)), (None, ""))


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    numbers = (row[name] for name in ("podsThatFit", "free", "total", "nodes"))
    return (
        row["variant"],
        row["accelerator"],
        f"{row['pods']} x {row['devicesPerPod']}",
        *("-" if number is None else str(number) for number in numbers),
        row["verdict"] or "-",
    )


def _aligned(cells: Iterable[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
