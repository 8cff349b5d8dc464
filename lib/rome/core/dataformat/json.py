"""Dates and networks as JSON, by the first version's path."""

from __future__ import annotations

from rome.orm.json_values import Decoder, Encoder

__all__ = ["Decoder", "Encoder"]
