"""The MLflow server's side: who may move a version, what is recorded about it, and the page it is reviewed on.

In flow requests to MLflow's REST API; out flow vetoes with a sentence, stages and aliases that the policy allows, and
events about both.
"""
