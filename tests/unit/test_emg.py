"""EMG: ideal envelopes are activation; raw signals rectify to it; errors as declared."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from scipy.signal import butter, sosfiltfilt

from analytic_walker import analytic_population
from synthgait.bundled import folder as declarations
from synthgait.errors import InputError
from synthgait.sensors import EMG
from synthgait.sensors.emg import with_crosstalk
from synthgait.walks import walk


@pytest.fixture(scope="module")
def walks():
    return walk(analytic_population(3, seed=1), 8.0, np.random.default_rng(0))


def test_the_ideal_electrode_shows_the_mean_activation_of_its_muscles(walks):
    record = EMG(["soleus", "gastrocnemius"]).record(walks)
    np.testing.assert_allclose(record.channel("soleus_l"), walks.channel("soleus_l"), atol=1e-6)
    mean = 0.5 * (walks.channel("gastrocnemius_medialis_r") + walks.channel("gastrocnemius_lateralis_r"))
    np.testing.assert_allclose(record.channel("gastrocnemius_r"), mean, atol=1e-6)


def test_the_raw_signal_rectifies_to_the_activation(walks):
    raw = EMG(["soleus"], raw_rate_hz=2000.0).record(walks, np.random.default_rng(0))
    signal = raw.channel("soleus_r")[0].astype(float)
    assert abs(signal.mean()) < 0.01
    envelope = sosfiltfilt(butter(2, 6.0, fs=2000.0, output="sos"), np.abs(signal))
    truth = np.interp(np.arange(len(signal)) / 2000, np.arange(800) / 100, walks.channel("soleus_r")[0])
    assert np.corrcoef(envelope, truth)[0, 1] > 0.95
    assert envelope.mean() == pytest.approx(truth.mean(), rel=0.05)
    power = np.abs(np.fft.rfft(signal)) ** 2
    frequency = np.fft.rfftfreq(len(signal), 1 / 2000)
    assert power[(frequency > 15) & (frequency < 500)].sum() > 0.95 * power.sum()


@pytest.mark.parametrize("sensor", list(yaml.safe_load((declarations("simulations") / "sensors" / "emg.yaml").read_text())))
def test_every_declared_electrode_records(walks, sensor):
    record = EMG(sensor=sensor, normalise=True).record(walks, np.random.default_rng(1))
    array = record.signals["emg"]
    assert array.min() >= 0.0
    np.testing.assert_allclose(array.max(axis=1), 1.0, rtol=1e-6)
    tibialis = record.channel("tibialis_anterior_r")[0]
    assert np.corrcoef(tibialis, walks.channel("tibialis_anterior_r")[0])[0, 1] > 0.7


def test_wrong_input_is_named(walks):
    with pytest.raises(InputError, match="no surface muscle"):
        EMG(["eyelid"])
    with pytest.raises(InputError, match="1000 Hz"):
        EMG(raw_rate_hz=100.0)
    with pytest.raises(InputError, match="random generator"):
        EMG(sensor="laboratory").record(walks)


def test_crosstalk_is_the_mean_of_the_other_electrodes() -> None:
    leg = np.array([[1.0, 0.0, 0.5]])
    assert np.allclose(with_crosstalk(leg, 0.2), [[0.8 + 0.05, 0.15, 0.4 + 0.1]])
    assert np.array_equal(with_crosstalk(leg[:, :1], 0.2), leg[:, :1])
