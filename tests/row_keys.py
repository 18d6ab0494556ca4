"""The stable keys of an agreement row, as the issue that asked for them lists them."""

ROW_KEYS = frozenset(
    [
        "dataset",
        "sensor",
        "group",
        "quantity",
        "method",
        "n_recordings",
        "n_people",
        "mae",
        "mape",
        "bias",
        "loa_low",
        "loa_high",
        "r",
        "icc",
    ]
)
