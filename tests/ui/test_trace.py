from lianlu.ui.trace import TraceEvent, read_event, read_events


def test_a_result_has_the_name_of_its_call() -> None:
    rows = [
        {"type": "user", "content": "What does json.dumps do?"},
        {"type": "tool_call", "id": "0.0", "name": "python_docs", "arguments": '{"name": "x"}'},
        {"type": "tool_result", "id": "0.0", "content": "page", "failed": False},
        {"type": "error", "message": "too many turns"},
    ]
    assert list(read_events(rows)) == [
        TraceEvent("user", "", "What does json.dumps do?"),
        TraceEvent("tool_call", "python_docs", '{"name": "x"}'),
        TraceEvent("tool_result", "python_docs", "page"),
        TraceEvent("error", "", "too many turns"),
    ]


def test_a_turn_is_shown_only_when_it_thinks_beside_a_call() -> None:
    calls = [{"function": {"name": "python_docs"}}]
    assert read_event({"type": "assistant", "content": "It is 4.", "tool_calls": []}, {}) is None
    assert read_event({"type": "assistant", "content": "", "tool_calls": calls}, {}) is None
    thought = read_event({"type": "assistant", "content": "Look up.", "tool_calls": calls}, {})
    assert thought == TraceEvent("assistant", "", "Look up.")


def test_odd_rows_become_text() -> None:
    event = read_event({"type": ["?"], "id": {}, "content": {"a": 1}}, {})
    assert event == TraceEvent('["?"]', "", '{"a": 1}')
