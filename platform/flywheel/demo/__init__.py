"""The demo: plays the people and the clients of one whole loop, through the same doors as they would use.

It starts commands, sends requests and reads records; it decides nothing that the platform decides.
"""
