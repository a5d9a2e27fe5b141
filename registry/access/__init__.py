"""Who is let in, as whom, and with which of MLflow's permissions: roles, service tokens, single sign-on."""
