"""What is true without any framework: pipelines, runs, schedules, secrets and errors."""
