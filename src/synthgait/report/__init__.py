"""The report: figures of simulated and generated gaits and of estimates against truth, on one page.

In: ``Trials``, rows and pairs of ``validate``. Out: one self-contained HTML file; matplotlib figures.
"""

from synthgait.report.agreement import scatter_and_difference
from synthgait.report.distributions import histograms, mean_curves
from synthgait.report.gaits import gait_curves, muscle_activations, stick_figures
from synthgait.report.page import write

__all__ = ["gait_curves", "histograms", "mean_curves", "muscle_activations", "scatter_and_difference", "stick_figures", "write"]
