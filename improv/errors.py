"""The one kind of error that is the user's to mend."""


class BadInput(ValueError):
    """One sentence that names the file, key or port, and the way out; commands end with exit code 2."""
