"""The instrument: it starts hosts, roles and load, observes them and reports. It never imports its subject."""

__version__ = "0.1.0"
