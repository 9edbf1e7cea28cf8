"""REST: thin handlers over operations and ports; everything about HTTP and nothing else."""
