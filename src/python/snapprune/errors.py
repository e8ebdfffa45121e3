"""What can go wrong. Every message ends in what to do where that is known."""


class Error(Exception):
    """The base of all errors of snapprune."""


class FileError(Error, OSError):
    """A file could not be read or written."""


class ModelError(Error, ValueError):
    """It is not an ONNX model, or the model breaks a rule of the format."""


class RuntimeMissingError(Error, RuntimeError):
    """ONNX Runtime could not be found or loaded."""


class SessionError(Error, RuntimeError):
    """ONNX Runtime refused a model, or a run failed."""


class DeviceError(Error, RuntimeError):
    """The device asked for is not there."""


class DatabaseError(Error, RuntimeError):
    """The latency database could not be used."""


class PlanError(Error, ValueError):
    """A plan does not fit the model."""


class UsageError(Error, ValueError):
    """An argument cannot be what it is."""


class StoppedError(Error):
    """It was asked to stop."""
