"""From an approved version to answers: the data plane (agent, shipper) and the controller that rolls versions out."""
