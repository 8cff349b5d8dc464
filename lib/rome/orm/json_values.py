"""Dates and networks as JSON, and back.

A datetime becomes `{"simplify_strategy": "datetime", "value": "2026-01-31 12:00:00.000000", "timezone": "UTC"}`, a
netaddr.IPNetwork `{"simplify_strategy": "ipnetwork", "value": "10.0.0.0/8"}`. Lists and dictionaries are looked
through; every other value stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

try:  # an extra: rome[upstream]
    from netaddr import IPNetwork
except ImportError:
    IPNetwork = None

STRATEGY = "simplify_strategy"
_OFFSET = re.compile(r"UTC([+-])(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{6}))?)?")


class Encoder:
    """Makes values fit for `json.dumps`."""

    def encode(self, value: Any) -> Any:
        """`value` with its datetimes and networks written as dictionaries.

        A dictionary that has the key `simplify_strategy` already is ValueError: it would come back as something else.
        """
        if isinstance(value, datetime):
            encoded = {STRATEGY: "datetime", "value": _wall_clock(value), "timezone": _zone_name(value)}
            return {**encoded, "fold": 1} if value.fold else encoded
        if IPNetwork is not None and isinstance(value, IPNetwork):
            return {STRATEGY: "ipnetwork", "value": str(value)}
        if isinstance(value, Mapping):
            if STRATEGY in value:
                raise ValueError(f"a dictionary with the key {STRATEGY!r} cannot be encoded: it is encoded already")
            return {key: self.encode(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.encode(each) for each in value]
        return value


class Decoder:
    """Makes back what Encoder wrote."""

    def decode(self, value: Any) -> Any:
        """`value` with its datetimes and networks made again; ValueError for what Encoder never writes."""
        if isinstance(value, Mapping):
            if STRATEGY not in value:
                return {key: self.decode(each) for key, each in value.items()}
            match value[STRATEGY]:
                case "datetime":
                    fold = value.get("fold", 0)
                    clock = datetime.fromisoformat(value["value"])
                    return clock.replace(tzinfo=_zone(value.get("timezone", "None")), fold=fold)
                case "ipnetwork":
                    if IPNetwork is None:
                        raise ValueError("a network needs the package netaddr: pip install 'rome[upstream]'")
                    return IPNetwork(value["value"])
                case strategy:
                    raise ValueError(f"{strategy!r} is no {STRATEGY} that can be decoded: datetime, ipnetwork")
        if isinstance(value, list):
            return [self.decode(each) for each in value]
        return value


def _wall_clock(value: datetime) -> str:
    return value.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")


def _zone_name(value: datetime) -> str:
    """What `_zone` takes; ValueError for a zone that could not be found again."""
    zone = value.tzinfo
    if zone is None:
        return "None"
    if value.utcoffset() == timedelta(0) and str(zone) in ("UTC", "UTC+00:00", "Etc/UTC"):
        return "UTC"
    name = str(zone)
    if _zone(name).utcoffset(value.replace(tzinfo=None)) != value.utcoffset():  # type: ignore[union-attr]
        raise ValueError(f"the time zone {name!r} has no name by which it can be found again: use datetime.UTC")
    return name


def _zone(name: str) -> tzinfo | None:
    if name == "None":
        return None
    if name == "UTC":
        return UTC
    offset = _OFFSET.fullmatch(name)
    if offset is not None:
        sign, *parts = offset.groups(default="0")
        hours, minutes, seconds, microseconds = map(int, parts)
        length = timedelta(hours=hours, minutes=minutes, seconds=seconds, microseconds=microseconds)
        return timezone(-length if sign == "-" else length)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{name!r} is no time zone: UTC, UTC+02:00 and Europe/Paris are") from None
