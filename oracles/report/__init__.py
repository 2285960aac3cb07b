"""The verdict, and its forms: text, table, JSON, HTML."""

from __future__ import annotations

from oracles.report.model import Check, ErrorMap, Location, Report

__all__ = ["Check", "ErrorMap", "Location", "Report"]
