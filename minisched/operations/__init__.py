"""Use cases: what callers of the API and of the command line ask for, in terms of ports and domain only."""
