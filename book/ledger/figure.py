"""The home page's figure: one distribution softened at several temperatures, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

# A made-up teacher guessing the character after "the cro": an illustration, not a measurement.
LETTERS = ("w", "s", "p", "o", "c", "n", "t")
PROBABILITIES = (0.62, 0.17, 0.09, 0.06, 0.03, 0.02, 0.01)
TEMPERATURES = (0.5, 1.0, 2.0, 8.0)

PANEL = (158, 150)  # width and height of the plotting area of one temperature
GAP = 14
TOP, BOTTOM = 26, 24


def soften(probabilities: Sequence[float], temperature: float) -> list[float]:
    """Return p^(1/T) / sum p^(1/T) for a few positive probabilities and T > 0."""
    powers = [p ** (1 / temperature) for p in probabilities]
    return [power / sum(powers) for power in powers]


def softening_svg() -> str:
    """Draw the illustration: one panel of bars for each temperature, T = 1 being the teacher."""
    panels = [soften(PROBABILITIES, temperature) for temperature in TEMPERATURES]
    width = len(panels) * (PANEL[0] + GAP) - GAP
    height = TOP + PANEL[1] + BOTTOM
    told = "; ".join(
        f"at T = {temperature:g} the top letter has {panel[0]:.0%} and the last {panel[-1]:.1%}"
        for temperature, panel in zip(TEMPERATURES, panels, strict=True)
    )
    drawn = "".join(
        _panel(panel, temperature, index * (PANEL[0] + GAP))
        for index, (temperature, panel) in enumerate(zip(TEMPERATURES, panels, strict=True))
    )
    alt = f"Bar charts of one distribution over seven letters, softened: {told}."
    return (
        f'<svg class="softening" role="img" aria-label="{escape(alt)}" '
        f'viewBox="0 0 {width} {height}">{drawn}</svg>'
    )


def _panel(panel: Sequence[float], temperature: float, left: float) -> str:
    pitch = PANEL[0] / len(panel)
    floor = TOP + PANEL[1]
    note = " (the teacher)" if temperature == 1 else ""
    parts = [
        f'<text class="softening-title" x="{left:.1f}" y="16">T = {temperature:g}{note}</text>',
        f'<path class="softening-axis" d="M{left:.1f},{floor} h{PANEL[0]}"/>',
    ]
    for index, (letter, p) in enumerate(zip(LETTERS, panel, strict=True)):
        x, tall = left + index * pitch, p * PANEL[1]
        parts.append(
            f'<rect class="softening-bar" x="{x + 2:.1f}" y="{floor - tall:.2f}" '
            f'width="{pitch - 4:.1f}" height="{tall:.2f}"/>'
            f'<text class="softening-letter" x="{x + pitch / 2:.1f}" y="{floor + 17}">'
            f"{letter}</text>"
        )
    return "".join(parts)
