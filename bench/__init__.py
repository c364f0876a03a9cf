"""The instrument: starts hosts, roles and load, observes them, reports. It never imports its subject."""

__version__ = "0.1.0"
