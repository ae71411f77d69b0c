"""From what an endpoint was asked and answered to one record for each prediction. No I/O."""

from passerelle.domain.predictions.exchange import BrokenExchangeError, Exchange, read_captured, read_logged
from passerelle.domain.predictions.once import once
from passerelle.domain.predictions.records import Recorder, RefusedExchangeError, ServedModel

__all__ = [
    "BrokenExchangeError",
    "Exchange",
    "Recorder",
    "RefusedExchangeError",
    "ServedModel",
    "once",
    "read_captured",
    "read_logged",
]
