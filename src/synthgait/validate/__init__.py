"""Agreement with real recordings: statistics, floors, peers and the verb that runs them.

In: recordings and an estimator. Out: rows of figures. Imports neither ``simulate`` nor ``generators``.
"""
