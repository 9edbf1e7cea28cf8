"""What we call out to: orchestrators behind the PipelineServiceClient port, and OpenMetadata."""
