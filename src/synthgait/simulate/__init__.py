"""The CasADi side: walking as an optimal-control problem with exact derivatives, and the sweep.

Nothing here imports casadi at package import; ``dynamics``, ``problem`` and ``solve`` do, in worker
processes of their own (the casadi and opensim wheels cannot share a process).
"""
