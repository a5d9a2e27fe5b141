"""Backtest: labelled history replayed under several retraining policies, through the functions that run live."""
