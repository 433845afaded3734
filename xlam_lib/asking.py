"""What every question to a model about data needs: marks that the data cannot forge, and a lenient fence."""

from __future__ import annotations

import hashlib
import re

_FENCE = re.compile(r"\A```\w*\n(.*)\n```\Z", re.DOTALL)


def mark(data: str) -> str:
    """A line to set data off with; it depends on all of the data, so that nothing in the data can hold it."""
    return f"=== {hashlib.sha256(data.encode()).hexdigest()[:16]} ==="


def unfenced(text: str) -> str:
    """A model's answer without the one code fence around it, if there is one."""
    fenced = _FENCE.match(text.strip())
    return fenced[1] if fenced else text


def one_line(text: str, width: int) -> str:
    """Somebody's words on one line of bounded length."""
    text = " ".join(text.split())
    return text if len(text) <= width else text[:width] + "..."
