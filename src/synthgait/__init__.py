"""synthgait: synthetic gait data from physics."""

__version__ = "0.1.0"
