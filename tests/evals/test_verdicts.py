"""Replies of judges, and what a person reads in them."""

import pytest

from axolotl_slung.evals.services.verdicts import WORDS, read

CLEAR = {
    "correct": [
        "correct", "Correct", "CORRECT", "correct.", "Correct!", "**Correct**", "*Correct.* The response", '"correct"',
        "“Correct”", "`correct`", "'Correct'", "  \n**Correct**\n\nBecause", "Correct because it has", "Correct, because",
        "Correct, as it", "Correct since the response", "Correct — it", "Correct - the response", "Correct: it is",
        "Correct; the candidate", "Correct (the response", "Correct\n\nThe candidate", "Correct. The answer",
        "Answer: correct", "Answer: **Correct**", "**Answer:** Correct", "Verdict: Correct", "Verdict: **Correct**.",
        "The verdict is correct.", "Final answer: correct", "My assessment: correct", "Judgment: correct",
        "Judgement: correct", "Grade: Correct", "### Verdict\n\n**Correct**\n\nThe", "> Correct",
        "The candidate response is correct because", "The response is correct.", "The candidate's response is correct, as it",
        "This response is **correct**.", "I would say the response is correct.", "The answer is correct",
        '{"verdict": "correct"}', '{"verdict": "Correct.", "reason": "it has all"}', '{"correct": true}',
        '```json\n{"verdict": "correct"}\n```', "```\ncorrect\n```", "\\boxed{correct}", "$\\boxed{\\text{Correct}}$",
        "<think>It is incorrect? No.</think>Correct", "<think></think>\n\nCorrect.", "so it has it.</think>\nCorrect",
        "<thinking>incorrect</thinking> Correct", "<|channel|>analysis<|message|>incorrect?<|end|><|channel|>final<|message|>Correct",
        "Correct or incorrect: correct",
    ],
    "incorrect": [
        "incorrect", "Incorrect. The response", "**Incorrect**", "Incorrect because", "Incorrect, the candidate response",
        "Incorrect - it", "Verdict: **Incorrect**", "Correct or incorrect: incorrect", "The candidate response is incorrect because",
        "The candidate response is not correct.", "The candidate response does not contain the information",
        "The response fails to mention", '{"verdict": "incorrect", "why": "x"}', '{"correct": false}',
        "<think>correct</think>\nIncorrect", "Incorrect\nQuestion: Who", "*Incorrect.* The", "Answer: Incorrect, since",
    ],
    "yes": [
        "yes", "Yes.", "Yes, it does", '"Yes," it does', "*yes*", "**Yes**", "Yes the response", "Yes, because", "Yes. The",
        "Answer: yes", "Yes: the response", "Yes, the candidate response", '{"answer": true}', "<think>no</think>yes", "Yes or no: yes",
        "The candidate response contains relevant information", "Yes, there is",
    ],
    "no": [
        "no", "No.", "NO!", "“No”", "No, it does not", "No\u00a0it", "No, the candidate response", "No, there is none", "**No.**",
        "No because", "No: the response", "No\nQuestion: Who", "Yes or no: no", "Answer: No", '{"answer": "no"}',
        "The candidate response does not contain any relevant information", "The response contains no relevant", "<think></think>No",
    ],
}  # fmt: skip

UNCLEAR = {
    "correct": [
        "Correct answer: Michel Vaelsing invests", "Correct answer:", "Correct: no", "Correct response: x",
        "Correct information is missing", "correctness", "incorrectly put", "correct_", "correct/incorrect", "in correct",
        "not correct", "partially correct", "Partially correct.", "The response is partially correct",
        "The candidate response is not incorrect", "1. correct", "Question: who? Correct answer: me", "Candidate response: correct",
        "The correct answer is Paris", "Richtig", "не correct", "Correct.\nIncorrect", "Correct. Incorrect.", "yes", "no",
        "<think>correct", "<think>correct. So", "<|channel|>analysis<|message|>correct", "", "  ", None, "{}", '{"a": "b"}',
        '{"first": "correct", "second": "incorrect"}', "{correct", "I cannot judge this.", "I am sorry, but", "Correct or incorrect",
        "Correct and incorrect parts", "The candidate response is correct or incorrect", "Given a question and the correct answer",
        "Correct Mr. Smith was", "It depends", "Maybe correct", "Neither",
    ],
    "relevant": [
        "Yes, in recognition of his tremendous contributions", "Yes man", "yesterday", "No one knows", "No relevant person came",
        "now", "none", "yes/no", "Yes. No.", "No. Yes.", "nо", "correct", "incorrect", "Yes and no", "Yes, and no",
        "The candidate response contains any relevant information", "Ja", "是", "<think>yes",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("word", "reply"), [(word, reply) for word, replies in CLEAR.items() for reply in replies])
def test_clear_replies(word, reply):
    question = next(question for question, words in WORDS.items() if word in words)
    assert read(reply, question).word == word


@pytest.mark.parametrize(("question", "reply"), [(key, reply) for key, replies in UNCLEAR.items() for reply in replies])
def test_what_is_not_clear_is_no_verdict(question, reply):
    found = read(reply, question)
    assert not found.word and found.kind


@pytest.mark.parametrize(
    ("reply", "cut_off", "kind"),
    [
        ("<think>well", True, "only thoughts"),
        ("", False, "empty"),
        (None, True, "empty, cut off"),
        ("{}", False, "JSON without a verdict"),
        ("Correct answer: Paris", False, "the prompt's words"),
        ("Let me see", True, "cut off"),
        ("Let me see", False, "other words"),
    ],
)
def test_kinds(reply, cut_off, kind):
    assert read(reply, "correct", cut_off).kind == kind
