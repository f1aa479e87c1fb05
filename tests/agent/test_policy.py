"""The function-calling policy."""

from lianlu.agent.policy import Answer, Ask, GiveUp, Run, next_action
from lianlu.agent.trajectory import Event, State, fold

USER: Event = {"type": "user", "content": "What is a.b?"}


def says(content: str | None, *names: str) -> Event:
    calls = [
        {"id": f"c{i}", "type": "function", "function": {"name": name, "arguments": "{}"}}
        for i, name in enumerate(names)
    ]
    return {"type": "assistant", "content": content, "tool_calls": calls}


def result(call_id: str) -> Event:
    return {"type": "tool_result", "id": call_id, "content": "text", "failed": False}


def test_the_model_speaks_after_the_user_and_after_all_results() -> None:
    assert next_action(fold([USER]), 4) == Ask()
    half = fold([USER, says(None, "f", "g"), result("0.1")])
    assert isinstance(action := next_action(half, 4), Run)
    assert [call.id for call in action.calls] == ["0.0"]
    assert next_action(fold([USER, says(None, "f"), result("0.0")]), 4) == Ask()


def test_text_without_calls_is_the_answer() -> None:
    assert next_action(fold([USER, says("It is b.")]), 4) == Answer("It is b.")
    assert next_action(fold([USER, says(None)]), 4) == Answer("")


def test_turns_are_bounded_and_counted_from_the_last_question() -> None:
    events = [USER, says(None, "f"), result("0.0")]
    assert isinstance(next_action(fold(events), 1), GiveUp)
    ended = [*events, {"type": "error", "message": "no"}, USER]
    assert next_action(fold(ended), 1) == Ask()


def test_nothing_follows_the_end() -> None:
    assert next_action(State(), 4) is None
    assert next_action(fold([USER, says("x"), {"type": "answer", "content": "x"}]), 4) is None
