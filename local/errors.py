"""The one exception of this package."""


class LocalError(Exception):
    """Something that is missing or went wrong, told so that the reader knows what to do."""
