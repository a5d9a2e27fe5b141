"""The schedule: when each use case is looked at; kept in Postgres, run by a program of the stack.

plan       what is planned, on APScheduler's job store: add, remove, pause, run now
look       one look of the schedule, as a process; one that fails becomes an alert
resident   the program that stays and starts looks
staying    how the supervisor runs it
cli        `flywheel schedule`
"""
