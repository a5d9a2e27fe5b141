"""What is measured of a candidate before people decide: gates, the jobs that run them, the evidence they leave."""
