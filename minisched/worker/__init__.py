"""The other side: what runs inside the ingestion interpreter. Standard library only, Python 3.8 syntax.

The launcher imports the workflow modules once and forks; each run is a guard (which owns the process tree and writes
its exit record) and a runner (which executes one workflow and leaves). `protocol` is what the server shares with them.
"""
