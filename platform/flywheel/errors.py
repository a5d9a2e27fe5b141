"""Every fault that a person sees.

    FlywheelError            exit 1   something is wrong with the world
    ├── UsageError           exit 2   the command line or a file that people write is wrong
    │   └── SpecError                 usecase.yaml or policy.yaml
    ├── DataError                     a source, a column or a feature function
    ├── ContractError                 one request's row breaks the contract (carries field and rule)
    ├── IntegrityError                bytes, events or approvals that do not match
    ├── NotApprovedError     exit 4   a service was to do what takes a person
    ├── StackError                    a part of the stack that does not start or answer
    └── TransientError                may pass by itself: worth another try

A message names the thing, says what is wrong with it, and what to do.
"""


class FlywheelError(Exception):
    """A fault with a sentence for people; `exit_code` is what a command ends with."""

    exit_code = 1


class UsageError(FlywheelError):
    """The command line, a setting or a file that people write is wrong."""

    exit_code = 2


class SpecError(UsageError):
    """A use case or policy file does not say what it must."""


class DataError(FlywheelError):
    """A source, a column, a label or a feature function is not as declared."""


class ContractError(FlywheelError):
    """One row of a request breaks the contract.

    Args:
        field: The field at fault.
        rule: The rule it breaks: type, missing, unknown, finite, range, category.
        message: The sentence for the caller.
    """

    def __init__(self, field: str, rule: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.rule = rule


class IntegrityError(FlywheelError):
    """Bytes, events or approvals that do not match what was recorded."""


class NotApprovedError(FlywheelError):
    """A service was asked to do what nobody has approved: it takes a person."""

    exit_code = 4


class StackError(FlywheelError):
    """A part of the stack that does not start, stop or answer."""


class TransientError(FlywheelError):
    """A fault that may pass by itself; the caller may try again."""
