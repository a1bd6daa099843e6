"""Fingerprints: functions and arguments to keys that are the same in every process, and only for what is the same."""
