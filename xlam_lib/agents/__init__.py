"""Agents and the loop that lets them act: models behind any back end, scripted ones, tree search."""
