"""The local target: versions are programs of the supervisor, and traffic is two files that Envoy watches."""
