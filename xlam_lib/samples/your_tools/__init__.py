"""Tools that the rest of the book knows nothing about: what chapter 13 brings as somebody's own."""
