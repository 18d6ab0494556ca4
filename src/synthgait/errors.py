"""The one error that a user's input can cause: a sentence that names the thing and the mend."""


class InputError(ValueError):
    """Bad input (file, YAML, option, array shape, unit). The command line prints it and exits with 2."""
