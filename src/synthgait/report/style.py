"""How the report's figures look: sizes for a phone, colours that colour-blind people can tell apart.

In: a size. Out: empty matplotlib figures; figures as PNG bytes that are the same in every run.

The colours are those of Okabe & Ito (Color Universal Design, 2008).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"
INK, GREY, PALE = "#222222", "#777777", "#DDDDDD"
SIDE_COLOURS = {"r": BLUE, "l": ORANGE}
SIMULATED, GENERATED = INK, GREEN

#: Figure width: a phone shows 4.2 inches as 360 pixels, so that 8 points are 10 pixels high.
WIDTH_IN = 4.2
_DPI = 200
_SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.3,
}


@contextmanager
def drawing(height_in: float, width_in: float = WIDTH_IN) -> Iterator[Figure]:
    """A figure to draw into; the settings hold inside the block only."""
    with matplotlib.rc_context(_SETTINGS):
        yield Figure(figsize=(width_in, height_in), dpi=_DPI, layout="constrained")


def png(figure: Figure) -> bytes:
    """The figure as PNG of at most 256 colours, without a date or a version inside."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(_SETTINGS):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # once; ``savefig`` draws twice
        pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    # a palette takes a third of the bytes
    pixels.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(buffer, format="png", optimize=False)
    return buffer.getvalue()


def cycle_axis(axes: Axes, label: bool = False) -> None:
    """0 to 100 percent of the gait cycle, and a line at zero where the curve crosses it."""
    axes.set(xlim=(0, 100), xticks=(0, 20, 40, 60, 80, 100))
    low, high = axes.get_ylim()
    if low < 0 < high:
        axes.axhline(0, color=PALE, linewidth=0.6, zorder=0)
    axes.set_xlabel("% of gait cycle" if label else "")
    axes.tick_params(labelbottom=label)
