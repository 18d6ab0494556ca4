"""Puts tests/ on the path, so that tests share ``analytic_walker``."""
