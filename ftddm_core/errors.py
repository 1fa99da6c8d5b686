"""Errors shown to users: each states the problem and what to do about it."""


class FtddmError(Exception):
    """Base class of the errors whose message front ends show to the user."""


class FormatError(FtddmError):
    """A file is missing, unreadable, or of an unsupported kind."""


class GeometryError(FtddmError):
    """Images do not share a grid, do not overlap in space, or have an invalid affine."""


class SettingsError(FtddmError):
    """A setting is outside its bounds or contradicts another."""


class CheckpointError(FtddmError):
    """A set of weights is unknown, damaged, or does not fit its configuration."""


class NotFiniteError(FtddmError):
    """A computed image has values that are not finite, so it can be neither shown nor written."""


class Cancelled(FtddmError):  # noqa: N818 - a fulfilled request, not an error
    """The user asked a running job to stop."""
