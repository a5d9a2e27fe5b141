"""What people say of monitoring's alerts: that they know, that one is over, that nobody be told for a while."""
