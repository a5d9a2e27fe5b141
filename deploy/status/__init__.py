"""What `flywheel status` says of serving: read from agents, exporter and files, by whoever runs the command."""
