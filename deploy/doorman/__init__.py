"""The doorman: tells Envoy who may predict, and how often a day."""
