"""The one contract of estimators: ``fit`` makes one, ``predict``, ``save`` and ``load`` are its verbs.

In: a configuration and trained networks, one small ensemble per sensor. Out: ``GaitEstimator``.
A folder holds ``config.json`` (everything but numbers) and ``weights.safetensors``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from synthgait.errors import InputError
from synthgait.estimators import tasks
from synthgait.estimators.features.windows import CYCLE_SAMPLES, Body
from synthgait.estimators.networks import StrideNetwork, one_thread

#: Of the folder; a folder of another version is refused, because its features mean something else.
ESTIMATOR_VERSION = "4"
CONFIG_FILE, WEIGHTS_FILE = "config.json", "weights.safetensors"


def build_network(task: str, sensor: str, network: Mapping[str, Any]) -> StrideNetwork:
    """An untrained network for a task and sensor; ``network`` has backbone, width and depth, and ``widths`` of sensors that differ."""
    values, curves = tasks.task_outputs(task)
    kind = tasks.sensor_named(sensor)
    size = {"backbone": network["backbone"], "width": width_of(network, sensor), "depth": network["depth"]}
    return StrideNetwork(len(kind.channels), len(kind.scalars), len(values), len(curves), CYCLE_SAMPLES, **size)


def width_of(network: Mapping[str, Any], sensor: str) -> int:
    """Width of a sensor's network."""
    return network["widths"].get(sensor, network["width"])


@dataclass
class GaitEstimator:
    """Trained networks for one task.

    Attributes:
        task: one of ``tasks.TASKS``.
        networks: sensor -> members of its ensemble.
        config: the resolved recipe, plus ``held_out``: errors on synthetic people not trained on.
    """

    task: str
    networks: dict[str, list[StrideNetwork]]
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def sensors(self) -> tuple[str, ...]:
        """Sensors it can read; which of a sensor's networks do, the recording tells."""
        return tuple(name for name in self.networks if name not in tasks.SPECIAL)

    def predict(
        self,
        recording: Any,
        *,
        sensor: str | None = None,
        sampling_rate_hz: float | None = None,
        height_m: float | None = None,
        leg_length_m: float | None = None,
        **limits: Any,
    ) -> dict[str, Any]:
        """Estimate one recording; see ``estimators.predict.predict`` for arguments, result and errors."""
        from synthgait.estimators.predict import predict

        body = Body(height_m, leg_length_m)
        return predict(self, recording, sensor=sensor, sampling_rate_hz=sampling_rate_hz, body=body, **limits)

    def save(self, folder: str | Path) -> None:
        """Write the folder (made where missing; both files are replaced atomically)."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        state = {
            f"{sensor}/{member}/{name}": tensor.detach().contiguous().clone()
            for sensor, members in self.networks.items()
            for member, network in enumerate(members)
            for name, tensor in network.state_dict().items()
        }
        partial = target / (WEIGHTS_FILE + ".partial")
        save_file(state, partial)
        partial.replace(target / WEIGHTS_FILE)
        config = {
            "estimator_version": ESTIMATOR_VERSION,
            "task": self.task,
            **self.config,
            "ensembles": {s: len(m) for s, m in self.networks.items()},
        }
        partial = target / (CONFIG_FILE + ".partial")
        partial.write_text(json.dumps(config, indent=1) + "\n")
        partial.replace(target / CONFIG_FILE)

    @classmethod
    def load(cls, folder: str | Path) -> GaitEstimator:
        """Read what ``save`` wrote.

        Raises:
            InputError: no such folder, a broken file, or an estimator of another version.
        """
        source = Path(folder)
        try:
            config = json.loads((source / CONFIG_FILE).read_text())
        except FileNotFoundError:
            raise InputError(f"{source} has no {CONFIG_FILE}; give the folder that an estimator was saved to") from None
        except (json.JSONDecodeError, UnicodeDecodeError, OSError):
            raise InputError(f"{source / CONFIG_FILE} cannot be read as JSON; fit the estimator again") from None
        version = config.pop("estimator_version", None) if isinstance(config, dict) else None
        if version != ESTIMATOR_VERSION:
            raise InputError(
                f"{source} is an estimator of version {version!r} and this synthgait reads {ESTIMATOR_VERSION!r}; fit it again"
            )
        try:
            state = load_file(source / WEIGHTS_FILE)
            task, ensembles = config.pop("task"), config.pop("ensembles")
            networks: dict[str, list[StrideNetwork]] = {}
            for sensor, count in ensembles.items():
                networks[sensor] = []
                for member in range(count):
                    network = build_network(task, sensor, config["network"])
                    prefix = f"{sensor}/{member}/"
                    network.load_state_dict({name[len(prefix) :]: t for name, t in state.items() if name.startswith(prefix)})
                    networks[sensor].append(network.eval())
        except (FileNotFoundError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{source / WEIGHTS_FILE} is missing or broken or does not fit {CONFIG_FILE}; fit the estimator again"
            ) from error
        return cls(task, networks, config)


@torch.no_grad()
@one_thread()
def ensemble(
    members: list[StrideNetwork], cycles: np.ndarray, present: np.ndarray, scalars: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Values (N, V) and curves (N, Q, S) of a mixture of the members, each followed by its standard deviation.

    ``present`` is (C,) or (N, C). The variance is the members' own plus their disagreement
    (Lakshminarayanan et al., NeurIPS 2017).
    """
    given = (
        torch.from_numpy(np.asarray(cycles, np.float32)),
        torch.from_numpy(np.broadcast_to(present, cycles.shape[:2]).copy()),
        torch.from_numpy(scalars),
    )
    outs = [member.natural(*given) for member in members]

    def mixed(means: list[torch.Tensor], log_sds: list[torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
        mean = torch.stack(means)
        centre = mean.mean(0)
        variance = torch.exp(2 * torch.stack(log_sds)).mean(0) + ((mean - centre) ** 2).mean(0)
        return centre.numpy().astype(float), variance.sqrt().numpy().astype(float)

    values, value_sd = mixed([o.values for o in outs], [o.value_log_sd for o in outs])
    curves, curve_sd = mixed([o.curves for o in outs], [o.curve_log_sd for o in outs])
    return values, value_sd, curves, curve_sd
