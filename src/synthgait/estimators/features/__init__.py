"""Signals of one recording to stride-normalised windows: the networks' only food."""
