"""The text in front of the model, character by character, and the layout of one sequence."""

import numpy as np
import pytest

from pi05lite.errors import DataError
from pi05lite.tokens.kind import Kind
from pi05lite.tokens.prompt import clean, question_prompt, robot_prompt, sequence
from pi05lite.tokens.vocabulary import BOS, EOS


def test_low_level_prompt_is_openpis():
    state = np.array([-1.0, 0.0, 0.5, 1.0], np.float32)
    assert (robot_prompt("pick up the cup", state, "low")
            == "Task: pick up the cup, State: 0 128 192 255;\nAction: ")


def test_high_level_prompt_asks_for_a_subtask():
    assert (robot_prompt("clean the kitchen", np.zeros(1), "high")
            == "Task: clean the kitchen, State: 128;\nSubtask: ")


def test_a_robot_without_state_gets_no_state_text():
    assert robot_prompt("go", None, "low") == "Task: go;\nAction: "


def test_state_out_of_range_is_clipped():
    state = np.array([-7.0, -1.001, 1.001, 50.0])
    assert robot_prompt("go", state, "low") == "Task: go, State: 0 0 255 255;\nAction: "


def test_number_of_bins_is_a_choice():
    assert robot_prompt("go", np.array([-1, 0, 1.0]), "low", bins=8).startswith(
        "Task: go, State: 0 4 7;")


def test_state_that_is_not_a_number_is_refused():
    with pytest.raises(DataError, match="state"):
        robot_prompt("go", np.array([0.0, np.nan]), "low")


@pytest.mark.parametrize("text, cleaned", [
    ("  pick_up the\ncup \n", "pick up the cup"), ("Keep Case", "Keep Case"), ("", "")])
def test_text_becomes_one_line_without_underscores(text, cleaned):
    assert clean(text) == cleaned
    assert robot_prompt(text, None, "low") == f"Task: {cleaned};\nAction: "
    assert question_prompt(text) == cleaned + "\n"


def test_a_sequence_is_prompt_then_answer_then_actions():
    s = sequence([10, 11], [20], [30, 31])
    assert s.tokens == [BOS, 10, 11, 20, EOS, 30, 31, EOS]
    assert s.kinds == [Kind.PROMPT] * 3 + [Kind.TEXT] * 2 + [Kind.ACTION] * 3
    assert s.target == [False] * 3 + [True] * 5


def test_absent_parts_leave_nothing_behind():
    assert sequence([10]).tokens == [BOS, 10] and not any(sequence([10]).target)
    only_actions = sequence([10], None, [30])
    assert only_actions.tokens == [BOS, 10, 30, EOS]
    assert Kind.TEXT not in only_actions.kinds
    only_answer = sequence([10], [20])
    assert only_answer.tokens == [BOS, 10, 20, EOS]
    assert only_answer.kinds[2:] == [Kind.TEXT] * 2


def test_an_empty_answer_still_ends():
    s = sequence([10], [])
    assert s.tokens == [BOS, 10, EOS] and s.target == [False, False, True]


def test_laying_out_leaves_the_parts_alone():
    prompt, answer = [10], [20]
    sequence(prompt, answer)
    assert prompt == [10] and answer == [20]
