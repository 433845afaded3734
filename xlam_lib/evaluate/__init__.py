"""Evaluation: BFCL v2 with the official checker, and the interactive environments (report, section 4)."""
