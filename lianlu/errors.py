"""The two ways a verb can fail, told apart by exit code."""


class UserError(Exception):
    """A mistake of the person at the keyboard: shown without a traceback, exit code 2.

    The message says what is wrong and where; `hint` says what to do instead.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class StepFailed(Exception):
    """A step could not finish; what it had done is kept for the next run. Exit code 1."""
