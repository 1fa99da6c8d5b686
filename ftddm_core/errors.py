"""The errors users meet: each says what was found and what to do about it."""


class FtddmError(Exception):
    """Base of every error that a front end shows to its user in the error's own words."""


class FormatError(FtddmError):
    """A file is missing, unreadable, or not of a kind this project can use."""


class GeometryError(FtddmError):
    """Images do not share a grid, do not overlap in space, or have an impossible affine."""


class SettingsError(FtddmError):
    """A setting is outside its bounds or contradicts another."""


class CheckpointError(FtddmError):
    """A set of weights is unknown, damaged, or does not fit its configuration."""


class Cancelled(FtddmError):  # noqa: N818 - a request that was honoured, not a fault
    """The user asked a running job to stop."""
