"""Whether a text runs in circles, as greedy decoding makes small models do."""

from __future__ import annotations

from xlam_lib.verify.quality import MIN_DISTINCT, distinct_share

END = 200  # characters at a text's end that are looked at
_READ = 200_000  # characters of a text whose words are compared


def circles(text: str) -> bool:
    """Whether the last :data:`END` characters repeat with a period of at most half of them, or most runs of
    words in the text occur twice.
    """
    text = text[-_READ:].rstrip()
    end = text[-END:]
    if len(end) == END and end in text[-END - END // 2 : -1]:
        return True
    return distinct_share(text) < MIN_DISTINCT
