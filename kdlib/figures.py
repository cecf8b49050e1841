"""One look for every figure of the book, readable on light and on dark pages."""

from __future__ import annotations

#: Text and axes: a grey that stands out from white and from black alike.
GREY = "#808080"
#: Okabe and Ito's palette, which readers with a colour-vision deficiency can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def use_book_style() -> None:
    """Set matplotlib's defaults: transparent ground, grey axes and text."""
    import matplotlib.pyplot as plt

    inks = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    grounds = ("figure.facecolor", "axes.facecolor")
    plt.rcParams.update(
        {"savefig.transparent": True, "legend.framealpha": 0, "figure.dpi": 110}
        | dict.fromkeys(inks, GREY)
        | dict.fromkeys(grounds, "none")
    )
