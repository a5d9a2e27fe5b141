"""Alerts: what a look has found becomes events, once each, and notices for people; the state is `flywheel.alerts`."""
