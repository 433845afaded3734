"""Full-text search over WebShop's products: BM25, as the published environment's Lucene index."""

from __future__ import annotations

from collections.abc import Sequence

import bm25s
import numpy as np
import snowballstemmer

# Pyserini's settings for Lucene, which the published environment leaves as they are.
K1, B = 0.9, 0.4


class Index:
    """Texts that can be searched; about a second for a thousand products."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._stem = snowballstemmer.stemmer("porter").stemWords
        self._ranking = bm25s.BM25(k1=K1, b=B, method="lucene")
        self._ranking.index(self._words(texts), show_progress=False)

    def _words(self, texts: Sequence[str]) -> list[list[str]]:
        words = bm25s.tokenize(
            list(texts),
            token_pattern=r"(?u)\b\w+\b",
            stopwords="english",
            stemmer=self._stem,
            return_ids=False,
            show_progress=False,
        )
        assert isinstance(words, list)
        return words

    def search(self, keywords: str, limit: int) -> list[int]:
        """Places of the texts that share a word with the keywords, best first; equals in their order."""
        words = self._words([keywords])[0]
        if not words:
            return []
        scores = self._ranking.get_scores(words)
        order = np.argsort(-scores, kind="stable")[:limit]
        return [int(place) for place in order if scores[place] > 0]
