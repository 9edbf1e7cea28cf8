"""Runs become processes: claim, hand over to a launcher, watch, stop, and say once how it ended."""
