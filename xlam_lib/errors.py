"""The errors a user of the library can meet. Every message names the place, the fault and the remedy."""


class XlamError(Exception):
    """Base of all errors that the library raises on purpose."""


class SchemaError(XlamError):
    """A record does not follow the unified format."""


class AssetError(XlamError):
    """A model or benchmark file is missing, truncated or not what was pinned."""


class ArtifactError(XlamError):
    """A stage's input is missing or incomplete, or its output cannot be written."""


class ProfileError(XlamError):
    """A profile, a parameter, a stage or a source name is unknown or out of range."""


class TrainingError(XlamError):
    """Training cannot start or go on with the data and settings it was given."""
