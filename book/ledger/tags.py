"""Permanent tags: four characters that name a statement for ever.

The file holds one line `tag,label` for each statement and only ever grows at its end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

HEADER = "tag,label"
# No I and no O: they look like 1 and 0 in print.
TAG = re.compile(r"[0-9A-HJ-NP-Z]{4}")
LABEL = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def read_tags(path: Path) -> tuple[dict[str, str], list[str]]:
    """Read the tags file.

    Parameters
    ----------
    path : Path
        A text file with the header `tag,label` and one line for each statement.

    Returns
    -------
    tags : dict
        Label to tag. A faulty line is left out.
    problems : list of str
        One sentence for each faulty line; empty for a good file.
    """
    return parse_tags(path.read_text(encoding="utf-8").splitlines())


def parse_tags(lines: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Parse the lines of a tags file; see `read_tags`."""
    tags: dict[str, str] = {}
    problems = []
    if not lines or lines[0] != HEADER:
        problems.append(f"line 1: expected the header {HEADER!r}, got {lines[:1]!r}")
    for number, line in enumerate(lines[1:], start=2):
        tag, _, label = line.partition(",")
        if not TAG.fullmatch(tag) or not LABEL.fullmatch(label):
            problems.append(f"line {number}: expected TAG,label, got {line!r}")
        elif tag in tags.values():
            problems.append(f"line {number}: tag {tag} is used twice")
        elif label in tags:
            problems.append(f"line {number}: label {label!r} has two tags")
        else:
            tags[label] = tag
    return tags, problems


def lost_lines(earlier: Sequence[str], now: Sequence[str]) -> list[str]:
    """Return the lines of an earlier tags file that the present one lacks, or moved up.

    Order matters: a line counts as kept only when it stands after every kept line
    that stood before it.
    """
    lost, start = [], 0
    for line in earlier:
        try:
            start = now.index(line, start) + 1
        except ValueError:
            lost.append(line)
    return lost
