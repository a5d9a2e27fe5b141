"""The prediction log: spools shipped exactly once into Delta, kept in order, looked up and erased by age."""
